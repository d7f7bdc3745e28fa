"""Promises of fault injection: each fault is what its name says, comes as often as its share says, counts in the right
window, and is the same in every run."""

from collections import Counter

import pytest

from rtea import _core, config, events
from rtea.errors import ConfigError, InvalidEventError
from rtea.events import Format
from rtea_gen import plan as plans

START_MS, WINDOW_MS, RATE_HZ = 1_760_000_040_000, 60_000, 500

REASONS: dict[str, dict[Format, str]] = {
    "cut_off": {"json": "invalid_json", "msgpack": "invalid_msgpack"},
    "wrong_type": {"json": "wrong_type", "msgpack": "wrong_type"},
    "bad_utf8": {"json": "invalid_utf8", "msgpack": "invalid_utf8"},
    "missing_field": {"json": "missing_field", "msgpack": "missing_field"},
    "empty": {"json": "empty", "msgpack": "empty"},
}

LATENESS_MS = 60_000

Record = tuple[bytes, bytes | None, int, int, str | None]


def stream(**flags: object) -> _core.EventStream:
    names = {f"faults.{name}": value for name, value in flags.items()}
    settings = {"generator.rate": RATE_HZ, "generator.lanes": 1000, "generator.visitors": 5000}
    settings["job.allowed_lateness_ms"] = LATENESS_MS
    return plans.stream(config.load(flags=settings | names), START_MS)


def records(found: _core.EventStream, count: int, format: Format = "json", procs: int = 1) -> list[Record]:
    sent = [record for shard in range(procs) for record in found.records(shard, procs, count // procs, format)]
    return [*sent, *found.finish(START_MS + count * 1000 // RATE_HZ, format)]


def truth(found: _core.EventStream) -> list[tuple[int, dict[str, int], dict[str, int]]]:
    windows = []
    for _, encoded in found.take_truth(2**62):
        total, counts, _, _, faults, _ = _core.merge_truth([encoded], plans.categories(config.Config().generator), 100)
        assert total == sum(count for _, count in counts)
        windows.append((total, dict(counts), dict(faults)))
    return windows


@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_each_kind_of_malformed_event_is_refused_with_its_reason(format: Format) -> None:
    sent = records(stream(malformed_share=0.5), 2_000, format)
    kinds = Counter(fault for *_, fault in sent if fault)
    assert set(kinds) == {*REASONS, "huge", "null"}
    assert sum(kinds.values()) == pytest.approx(1_000, rel=0.1)
    for _, value, _, _, fault in sent:
        if fault == "null":
            assert value is None
        elif fault == "huge":
            assert value is not None
            assert len(value) > config.Config().job.max_event_bytes
            assert events.decode(value).page_url
        else:
            assert value is not None
            if fault is None:
                events.decode(value)
            else:
                with pytest.raises(InvalidEventError) as refused:
                    events.decode(value)
                assert refused.value.reason == REASONS[fault][format]


def test_a_duplicate_comes_twice_with_one_id_and_counts_twice() -> None:
    found = stream(duplicate_share=0.1)
    sent = records(found, 5_000)
    ids = Counter(events.decode(value or b"").event_id for _, value, *_ in sent)
    copies = [number for *_, number, fault in sent if fault == "duplicate"]
    assert sorted(Counter(ids.values()).items()) == [(1, 5_000 - len(copies)), (2, len(copies))]
    assert len(copies) == pytest.approx(500, rel=0.15)
    (window,) = truth(found)
    assert (window[0], window[2]) == (5_000 + len(copies), {"duplicate": len(copies)})


def test_disorder_is_bounded_and_still_counts() -> None:
    found = stream(disorder_share=0.2, disorder_ms=3_000)
    sent = records(found, 20_000)
    assert len(sent) == 20_000
    newest_ms, moved = 0, 0
    for _, _, time_ms, _, fault in sent:
        newest_ms = max(newest_ms, time_ms)
        assert newest_ms - time_ms <= (3_000 + 1000 // RATE_HZ if fault == "disorder" else 0)
        moved += fault == "disorder"
    assert moved == pytest.approx(4_000, rel=0.1)
    assert sum(total for total, *_ in truth(found)) == 20_000


def test_late_events_are_sent_when_their_window_is_over_and_do_not_count() -> None:
    found = stream(late_share=0.05)
    count = RATE_HZ * 300
    sent = records(found, count)
    job, by_ms = config.Config().job, config.Config().faults.late_by_ms
    newest_ms, late = 0, 0
    for _, _, time_ms, _, fault in sent:
        newest_ms = max(newest_ms, time_ms)
        if fault == "late":
            late += 1
            over_ms = time_ms // WINDOW_MS * WINDOW_MS + WINDOW_MS + LATENESS_MS + job.watermark_delay_ms
            assert newest_ms >= over_ms + by_ms - 1000 // RATE_HZ
    windows = truth(found)
    assert sum(faults.get("late", 0) for *_, faults in windows) == late > 0
    assert sum(total for total, *_ in windows) == sum(fault is None for *_, fault in sent)
    # Those that were not late by the end are not sent at all.
    assert late + sum(fault is None for *_, fault in sent) < count


def test_events_from_the_future_are_ahead_of_their_record() -> None:
    sent = records(stream(future_share=0.1, future_by_ms=900_000), 2_000)
    ahead = {(fault, events.decode(value or b"").event_time - time_ms) for _, value, time_ms, _, fault in sent}
    assert ahead == {(None, 0), ("future", 900_000)}


def test_the_hot_key_replaces_the_visitor_id() -> None:
    found = stream(hot_key_share=0.3)
    sent = records(found, 5_000)
    hot = sum(key == b"hot" for key, *_ in sent)
    assert hot == pytest.approx(1_500, rel=0.1)
    assert all(key in (b"hot", events.decode(value or b"").visitor_id.encode()) for key, value, *_ in sent)
    assert [window[2] for window in truth(found)] == [{"hot_key": hot}]


ALL = {
    "duplicate_share": 0.02,
    "disorder_share": 0.02,
    "late_share": 0.02,
    "future_share": 0.02,
    "malformed_share": 0.02,
    "hot_key_share": 0.02,
}


@pytest.mark.parametrize("procs", [2, 3, 5])
def test_faults_do_not_depend_on_the_number_of_processes(procs: int) -> None:
    count = 30_000
    together = records(stream(**ALL), count)
    apart = [
        record
        for shard in range(procs)
        for shards in [stream(**ALL)]
        for record in [
            *shards.records(shard, procs, count // procs, "json"),
            *shards.finish(START_MS + count * 1000 // RATE_HZ, "json"),
        ]
    ]
    assert sorted(together, key=repr) == sorted(apart, key=repr)


def test_events_without_faults_stay_as_they_are() -> None:
    plain = {number: value for _, value, _, number, _ in records(stream(), 5_000)}
    assert all(value == plain[number] for _, value, _, number, fault in records(stream(**ALL), 5_000) if fault is None)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"duplicate_share": 0.7, "late_share": 0.7}, "at most 1 in all"),
        ({"disorder_share": 0.1, "disorder_ms": 10**6}, "beyond job.allowed_lateness_ms"),
    ],
)
def test_invalid_settings_of_faults_are_one_line(flags: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        stream(**flags)
