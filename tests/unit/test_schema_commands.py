"""Promises: `rtea schema check` tells what a map makes of a sample; `rtea schema guess` finds presets, and proposes
maps
that count events of a layout nobody wrote a preset for.
"""

import json
from pathlib import Path

import pytest

from rtea import maps, topics
from rtea.cli import root
from rtea.errors import InputError
from rtea.maps import EventMap, guess, report
from tests import layouts


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = root.run(root.cli, list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("preset", maps.presets())
def test_every_event_of_a_sample_counts_or_is_left_out(preset: str) -> None:
    found = report.examine(layouts.sample(preset), EventMap.load(preset))
    skipped = layouts.read(preset).count(layouts.SKIPPED)
    assert (found.events, found.skipped, found.refused) == (len(layouts.sample(preset)), skipped, 0)


def test_check_counts_and_shows_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sample = tmp_path / "s.ndjson"
    good = layouts.sample("segment")[:10]
    sample.write_bytes(b"\n".join([*good, b'{"type":"page"}', b"no json"]))
    code, out, _ = run(capsys, "schema", "check", str(sample), "--map", "segment")
    assert code == 0
    assert "1 refused: missing_field: event_time at /timestamp or /originalTimestamp or /receivedAt: expected" in out
    assert "event 12: invalid_json" in out
    code, out, _ = run(capsys, "schema", "check", str(sample), "--map", "segment", "--json")
    found = json.loads(out)
    assert found["refused"] == 2
    assert found["counted"] + found["skipped"] == 10
    assert sum(found["fields"]["source"].values()) == found["counted"] + 1


def test_check_fails_if_nothing_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema", "check", str(maps.sample("segment")), "--map", "snowplow")
    assert code == 1
    assert ": 0 count" in out


@pytest.mark.parametrize("preset", maps.presets())
def test_guess_finds_the_preset(preset: str) -> None:
    assert f"--map {preset}`" in guess.propose(layouts.sample(preset))


def unknown_layout(number: int) -> dict[str, object]:
    name = ["pageview", "view_item", "addtocart", "order"][number % 4]
    lines = [{"sku": f"s{number}", "dept": "toys", "unitPrice": "12.50", "qty": 2}]
    return {
        "meta": {"occurredAt": 1_790_000_000 + number, "uuid": f"u{number}"},
        "action": name,
        "customer": {"clientId": f"c{number % 5}", "country": "DE"},
        "platform": "ios-app" if number % 2 else "web",
        "basket": {"lines": lines if number % 4 else [], "currencyCode": "EUR"},
        "orderNumber": f"o{number}" if number % 4 == 3 else None,
    }


def test_guess_proposes_a_map_that_counts_an_unknown_layout() -> None:
    sample = [json.dumps(unknown_layout(number)).encode() for number in range(40)]
    text = guess.propose(sample)
    # "dept" is no usual name: this is what the user has to add.
    assert "nothing found" in text
    event_map = EventMap(text)
    found = [event_map.decode(value) for value in sample]
    assert [event and event.event_type for event in found[:4]] == [
        "page_view",
        "product_view",
        "add_to_cart",
        "purchase",
    ]
    first = found[3]
    assert first is not None
    assert first.items is not None
    assert (first.event_time, first.source, first.visitor_id) == (1_790_000_003_000, "mobile", "c3")
    assert (first.currency, first.order_id, first.items[0].price, first.items[0].quantity) == ("EUR", "o3", 12.5, 2)


def test_sample_prints_a_layout(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema", "sample", "segment")
    assert (code, out.encode().splitlines()) == (0, layouts.sample("segment"))
    code, _, err = run(capsys, "schema", "sample", "nope")
    assert code == InputError.exit_code
    assert "expected one of ga4-export" in err


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "has no events"), (b'{"a": 1}\n', "none of the first 1 events"), (None, "cannot be read")],
)
def test_send_refuses_a_file_of_which_nothing_counts(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    problem: str,
) -> None:
    """Before it asks Kafka for anything but the topic's id."""
    monkeypatch.setattr(topics, "find_id", lambda *_: "an-id")
    if content is not None:
        (tmp_path / "x.ndjson").write_bytes(content)
    code, _, err = run(capsys, "send", str(tmp_path / "x.ndjson"), "--map", "segment")
    assert code == InputError.exit_code
    assert problem in err
    assert err.count("\n") == 1


def test_the_statement_of_a_view_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "bigquery", "sql", "daily_uniques", "--table", "d.t", "--view", "d.my_view")
    assert code == 0
    assert out.startswith("CREATE OR REPLACE VIEW `d.my_view` AS\n-- Unique visitors by day")
    assert run(capsys, "bigquery", "sql", "daily_uniques", "--view", "x`; DROP TABLE y")[0] == 2


@pytest.mark.parametrize(
    "event",
    [
        {"event": "buy \U0001f389", "ts": 1_790_000_000, "client_id": "a", "\x7f": "\x7f"},
        {"event": "buy", "ts": 10**400, "client_id": "a"},
        {
            "event": "buy",
            "ts": "2026-10-09T10:00",
            "a[0]": {"campaign": "y"},
            "*": {"session_id": "s"},
            "client_id": "a",
        },
        {"event": "buy", "\ud800": {"campaign": "x"}, "client_id": "a", "list": [[1], [[{"price": 1, "sku": 2}]]]},
    ],
)
def test_guess_proposes_valid_toml_for_odd_names_and_values(event: dict[str, object]) -> None:
    text = guess.propose([json.dumps(event).encode()])
    for needed in ("event_type", "event_time", "visitor_id"):
        text = text.replace(f'# {needed} = "/..."', f'{needed} = "/added"')
    EventMap(text)


def test_guess_survives_lines_that_nest_too_deep() -> None:
    assert "check each line" in guess.propose([b'{"a":' * 3_000 + b"1" + b"}" * 3_000, b"[1]", b"\xff"])
