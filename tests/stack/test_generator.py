"""Promises of `rtea-gen` against a real broker: the manifest does not depend on the number of processes; events that
were not delivered are counted, reported and marked; a killed run, when resumed, neither repeats nor misses an event."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psutil
import pytest
import requests
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from rtea import _core, events, manifest, topics
from rtea import config as configuration
from rtea.config import Config
from rtea.errors import RteaError
from rtea_gen import outlet, shard
from rtea_gen import plan as plans
from tests.conftest import free_ports
from tests.flink import pipeline

pytestmark = pytest.mark.timeout(200)

ALL = ("--speed", "0", "--rate", "1000", "--start", "1760000000000", "--no-progress")


def start(config: Config, path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), *ALL, *arguments]
    environment = os.environ | configuration.as_environment(config)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def read_topic(config: Config, count: int) -> list[bytes]:
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "read", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.events_topic])
    values: list[bytes] = []
    while len(values) < count and (messages := consumer.consume(1000, 10)):
        for message in messages:
            value = message.value()
            assert value is not None
            event = events.decode(value)
            assert message.key() == event.visitor_id.encode()
            assert message.timestamp()[1] == event.event_time
            values.append(value)
    consumer.close()
    return values


def test_events_and_manifest_are_the_same_for_every_number_of_processes(
    pipeline_config: Config, tmp_path: Path
) -> None:
    found = []
    for procs in (1, 3):
        with start(pipeline_config, tmp_path / f"{procs}.jsonl", "--procs", str(procs), "--events", "5000") as ran:
            assert ran.wait() == 0, ran.stderr and ran.stderr.read()
        found.append(manifest.read(tmp_path / f"{procs}.jsonl"))
    assert (found[0].windows, found[0].end) == (found[1].windows, found[1].end)
    assert found[0].end == manifest.End(
        events=5000, failed=0, last_event_ms=1_760_000_004_999, complete=True, next_number=5000
    )
    values = read_topic(pipeline_config, 10_000)
    assert len(values) == 10_000
    assert len(set(values)) == 5_000, "each event came once from each run, byte for byte the same"


def test_a_partition_is_out_of_order_by_at_most_the_shards_lead(pipeline_config: Config, tmp_path: Path) -> None:
    with start(pipeline_config, tmp_path / "m.jsonl", "--procs", "4", "--rate", "4000", "--events", "200000") as ran:
        assert ran.wait() == 0, ran.stderr and ran.stderr.read()
    consumer = Consumer(topics.connection(pipeline_config.kafka) | {"group.id": "o", "auto.offset.reset": "earliest"})
    consumer.subscribe([pipeline_config.kafka.events_topic])
    newest: Counter[int | None] = Counter()
    read = most_disorder_ms = 0
    while read < 200_000 and (messages := consumer.consume(10_000, 10)):
        read += len(messages)
        for message in messages:
            time_ms, partition = message.timestamp()[1], message.partition()
            newest[partition] = max(newest[partition], time_ms)
            most_disorder_ms = max(most_disorder_ms, newest[partition] - time_ms)
    consumer.close()
    assert read == 200_000
    # Not zero, or the run proves nothing: four processes never keep step by chance.
    assert 0 < most_disorder_ms <= shard.MAX_AHEAD_MS + 1


def test_undelivered_events_are_counted_and_the_manifest_says_so(pipeline_config: Config, tmp_path: Path) -> None:
    narrow = f"{pipeline_config.kafka.events_topic}-narrow"
    admin = AdminClient(topics.connection(pipeline_config.kafka))
    admin.create_topics([NewTopic(narrow, 4, 1, config={"max.message.bytes": "200"})])[narrow].result()
    with start(pipeline_config, tmp_path / "m.jsonl", "--topic", narrow, "--events", "500") as ran:
        _, errors = ran.communicate()
    assert ran.returncode == 11
    assert "500 of 500 events were not delivered" in errors
    assert errors.count("\n") == 1
    end = manifest.read(tmp_path / "m.jsonl").end
    assert (end.failed, end.complete) == (500, False)


def test_a_killed_shard_is_reported_and_the_manifest_says_so(pipeline_config: Config, tmp_path: Path) -> None:
    with start(pipeline_config, tmp_path / "m.jsonl", "--speed", "1", "--procs", "2") as ran:
        parent = psutil.Process(ran.pid)
        shards: list[psutil.Process] = []
        while len(shards) < 2:
            assert ran.poll() is None
            shards = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        shards[0].kill()
        _, errors = ran.communicate()
    assert ran.returncode == 11
    assert "died: the manifest is marked incomplete" in errors
    assert not manifest.read(tmp_path / "m.jsonl").end.complete
    assert not any(shard.is_running() for shard in shards)


def shards_of(ran: "subprocess.Popen[str]", count: int) -> list[psutil.Process]:
    """The shards' processes, once all are there."""
    parent = psutil.Process(ran.pid)
    while True:
        assert ran.poll() is None
        found = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        if len(found) == count:
            return found


def wait_for_windows(ran: "subprocess.Popen[str]", path: Path, count: int) -> None:
    """Wait until the manifest holds that many windows while it is written."""
    while True:
        assert ran.poll() is None, ran.stderr and ran.stderr.read()
        if path.exists() and path.stat().st_size and len(manifest.read_cut(path).windows) >= count:
            return


def sent_ids(config: Config) -> Counter[tuple[str, str]]:
    """Every record of the topic: plain ones by event id, corrupted ones by their header."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "ids", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.events_topic])
    found: Counter[tuple[str, str]] = Counter()
    while messages := consumer.consume(10_000, 5):
        for message in messages:
            mark = dict(message.headers() or []).get(outlet.FAULT_HEADER)
            value = message.value() or b""
            found["corrupted" if mark else "plain", str(mark) if mark else events.decode(value).event_id] += 1
    consumer.close()
    return found


CORRUPTED = ("duplicate", "disorder", "late", "future", "malformed")


@pytest.mark.parametrize("corrupt", [False, True], ids=["plain", "with faults"])
@pytest.mark.parametrize("victim", ["a shard", "the parent"])
def test_a_killed_run_is_resumed_without_repeated_or_missing_events(
    pipeline_config: Config, tmp_path: Path, corrupt: bool, victim: str
) -> None:
    shares = [f"--set=faults.{kind}_share=0.02" for kind in CORRUPTED] if corrupt else []
    # Ten minutes of event time are too short for events that are late by the default of an hour.
    shares += ["--set=job.allowed_lateness_ms=60000"] if corrupt else []
    # Event time passes quickly, so that whole windows lie before and after the kill.
    arguments = ["--speed", "20", "--procs", "3", "--events", "600000", *shares]
    path = tmp_path / "m.jsonl"
    with start(pipeline_config, path, *arguments) as ran:
        shards = shards_of(ran, 3)
        wait_for_windows(ran, path, 2)
        (shards[1] if victim == "a shard" else ran).kill()
        ran.communicate()
    psutil.wait_procs(shards)
    assert ran.returncode == (11 if victim == "a shard" else -9)
    with pytest.raises(RteaError, match="--resume") if victim == "the parent" else nullcontext():
        assert not manifest.read(path).end.complete
    with resume(pipeline_config, path, *arguments[2:4], *shares, "--speed", "0") as again:
        _, errors = again.communicate()
    assert again.returncode == 0, errors
    found = sent_ids(pipeline_config)
    assert set(found.values()) == {1}, found.most_common(3)
    undisturbed = pipeline_config.model_copy(
        update={"generator": pipeline_config.generator.model_copy(update={"sink": "file", "path": tmp_path / "e"})}
    )
    with start(undisturbed, tmp_path / "whole.jsonl", "--events", "600000", *shares) as whole:
        assert whole.wait() == 0
    wanted, got = manifest.read(tmp_path / "whole.jsonl"), manifest.read(path)
    assert got.windows == wanted.windows
    assert got.end == wanted.end
    assert got.end.complete
    assert got.end.events == sum(found.values())
    assert set(CORRUPTED[:4]) <= set(got.end.faults) or not corrupt


def resume(config: Config, path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--resume", "--rate", "1000", *arguments]
    environment = os.environ | configuration.as_environment(config)
    return subprocess.Popen([*command, "--no-progress"], env=environment, stderr=subprocess.PIPE, text=True)


def test_a_run_is_resumed_only_with_its_own_settings(pipeline_config: Config, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with start(pipeline_config, path, "--events", "2000") as ran:
        assert ran.wait() == 0
    for arguments, line in (
        ([], "is complete: nothing is left to resume"),
        (["--seed", "2", "--events", "4000"], "generator.seed is 2, but"),
        (["--sink", "file", "--events", "4000"], "only runs to Kafka can be resumed"),
    ):
        with resume(pipeline_config, path, *arguments) as again:
            _, errors = again.communicate()
        assert (again.returncode, errors.count("\n")) == (2, 1), errors
        assert line in errors
    with resume(pipeline_config, path, "--events", "4000") as longer:
        assert longer.wait() == 0
    assert manifest.read(path).end.events == 4000
    assert sum(sent_ids(pipeline_config).values()) == 4000


def test_a_broker_stopped_for_20_s_loses_nothing(pipeline_config: Config, tmp_path: Path) -> None:
    pid = pipeline.pid_of(pipeline_config, "kafka")
    broker, path = psutil.Process(pid), tmp_path / "m.jsonl"
    arguments = ("--speed", "1", "--rate", "20000", "--events", "600000", "--set", "job.window_ms=1000")
    with start(pipeline_config, path, *arguments) as ran:
        wait_for_windows(ran, path, 3)
        before_s = shard_seconds(ran)
        broker.suspend()
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                ran.wait(20)
            waited_s = [now - before for now, before in zip(shard_seconds(ran), before_s, strict=True)]
        finally:
            broker.resume()
        output, errors = ran.communicate()
    assert ran.returncode == 0, errors
    sent = manifest.read(path)
    assert (sent.end.events, sent.end.failed, sent.end.complete) == (600_000, 0, True)
    found = sent_ids(pipeline_config)
    assert len(found) == 600_000
    assert set(found.values()) == {1}
    # The stall is reported, not hidden: events kept their intended times, and the rate recovered.
    behind_s = float(re.findall(r"at most ([\d.]+) s behind schedule", output)[0])
    assert 15 < behind_s < 30
    # Waiting costs next to nothing, once the silent connection is given up.
    assert max(waited_s) < 8, waited_s


def shard_seconds(ran: "subprocess.Popen[str]") -> list[float]:
    """CPU seconds of each shard so far."""
    shards = [child for child in psutil.Process(ran.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert shards
    return [times.user + times.system for times in (shard.cpu_times() for shard in shards)]


@contextmanager
def silent_broker(config: Config) -> Iterator[None]:
    """A broker that runs but does not answer, for a block."""
    pid = pipeline.pid_of(config, "kafka")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def has_started(ran: "subprocess.Popen[str]", path: Path) -> None:
    """Wait until windows are in the manifest: events flow."""
    wait_for_windows(ran, path, 1)


LIVE = ("--speed", "1", "--rate", "20000", "--procs", "2", "--set", "job.window_ms=1000")


def live(config: Config, path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), "--no-progress", *LIVE, *arguments]
    environment = os.environ | configuration.as_environment(config)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_while_the_broker_is_silent_ends_soon_with_an_exact_manifest(
    pipeline_config: Config, tmp_path: Path, signals: int
) -> None:
    path = tmp_path / "m.jsonl"
    with live(pipeline_config, path) as ran:
        has_started(ran, path)
        with silent_broker(pipeline_config):
            time.sleep(3)  # Until the producers' queues are full.
            ran.send_signal(signal.SIGINT)
            sent_s = time.monotonic()
            if signals == 2:
                # The process may see the first one late; two within half a second count as one.
                time.sleep(1.5)
                ran.send_signal(signal.SIGINT)
            output, errors = ran.communicate(timeout=60)
            seconds = time.monotonic() - sent_s
        assert ran.returncode == 130
    # Without the second one, shards wait for five seconds.
    assert seconds < (10 if signals == 1 else 4)
    assert "Traceback" not in errors + output
    assert "; interrupted: " in output
    assert "the manifest is marked incomplete" in output
    sent = manifest.read(path)
    assert not sent.end.complete
    assert len(sent.windows) >= 1
    held = Counter(events.decode(value).event_time // 1_000 * 1_000 for value in everything(pipeline_config))
    assert {window.window_start_ms: window.events for window in sent.windows} == {
        window.window_start_ms: held[window.window_start_ms] for window in sent.windows
    }


def everything(config: Config) -> list[bytes]:
    """Every value of the events topic."""
    return [message.value() or b"" for message in topics.read(config.kafka, config.kafka.events_topic)]


def test_a_full_queue_neither_loses_nor_repeats_events(
    pipeline_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, count = plans.make(pipeline_config, start_ms=1_760_000_000_000, events=3_000, duration_s=None), 3_000
    room = outlet.producer_settings(plan) | {"queue.buffering.max.messages": 70}
    monkeypatch.setattr(outlet, "producer_settings", lambda _: room)
    insisted: list[bytes | None] = []
    sending = outlet.KafkaOutlet(plan, plans.stream(pipeline_config, plan.start_ms), None, lambda: False)
    insist = sending._insist
    monkeypatch.setattr(sending, "_insist", lambda *record: insisted.append(record[1]) or insist(*record))
    sending.send(0, 1, count)
    sending.close()
    _, values, _ = plans.stream(pipeline_config, plan.start_ms).batch(0, 1, count, "json")
    assert len(insisted) > 10, "the queue was never full"
    assert sorted(read_topic(pipeline_config, count + 1)) == sorted(values)


def test_keys_go_to_the_partitions_that_kafka_s_producers_choose(pipeline_config: Config, tmp_path: Path) -> None:
    with start(pipeline_config, tmp_path / "m.jsonl", "--events", "3000") as ran:
        assert ran.wait() == 0
    assert {place[1] for place in places(pipeline_config, 3000)} == {0}


def places(config: Config, count: int) -> list[tuple[int, int, bytes]]:
    """Partition, its distance from the one that the key belongs to, and key of each record."""
    consumer = Consumer(topics.connection(config.kafka) | {"group.id": "places", "auto.offset.reset": "earliest"})
    consumer.subscribe([config.kafka.events_topic])
    found: list[tuple[int, int, bytes]] = []
    while len(found) < count and (messages := consumer.consume(1000, 10)):
        for message in messages:
            key, partition = message.key(), message.partition()
            assert isinstance(key, bytes)
            assert partition is not None
            found.append((partition, (partition - _core.partition_of(key, 4)) % 4, key))
    consumer.close()
    return found


def test_an_idle_partition_stays_empty_and_a_hot_key_is_hot(pipeline_config: Config, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    faults = ("--set", "faults.idle_partition=2", "--set", "faults.hot_key_share=0.5")
    with start(pipeline_config, path, "--events", "4000", *faults) as ran:
        assert ran.wait() == 0, ran.stderr and ran.stderr.read()
    found = places(pipeline_config, 4000)
    assert {partition for partition, *_ in found} == {0, 1, 3}
    counted = manifest.read(path).end.faults
    assert counted["idle_partition"] == sum(distance == 1 for _, distance, _ in found) > 0
    assert counted["hot_key"] == sum(key == b"hot" for *_, key in found) > 1500


def test_metrics_agree_with_the_summary(pipeline_config: Config, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    arguments = ("--speed", "1", "--rate", "5000", "--procs", "2", "--metrics-port", str(port))
    with start(pipeline_config, tmp_path / "m.jsonl", *arguments) as ran:
        wait_for_windows(ran, tmp_path / "m.jsonl", 0)
        served: dict[str, float] = {}
        while served.get('rtea_gen_delivery_latency_seconds_count{shard="1"}', 0) < 5000:
            assert ran.poll() is None
            with suppress(requests.ConnectionError):
                lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
                served = {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}
        ran.send_signal(signal.SIGINT)
        output, errors = ran.communicate()
    assert ran.returncode == 0, errors
    assert served["rtea_gen_target_rate_hz"] == 5000
    assert served['rtea_gen_records_total{shard="0"}'] >= 5000 - 500
    assert served['rtea_gen_failed_total{shard="0"}'] == 0
    assert served['rtea_gen_size_bytes_total{shard="0"}'] > 200 * served['rtea_gen_records_total{shard="0"}']
    shares = [served[f'rtea_gen_delivery_latency_seconds_bucket{{le="{le}",shard="1"}}'] for le in ("0.001", "100")]
    assert shares[0] <= shares[1] == served['rtea_gen_delivery_latency_seconds_count{shard="1"}']
    assert re.search(r"acknowledged within \d+/\d+/\d+ ms", output)
    assert output.count("shard ") == 2
    manifest_end = manifest.read(tmp_path / "m.jsonl").end
    assert manifest_end.complete
    assert manifest_end.events == int(output.split()[0]), "the manifest covers what was acknowledged, no less"
