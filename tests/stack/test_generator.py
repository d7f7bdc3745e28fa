"""Promises of `rtea-gen` against a real broker: the manifest does not depend on the number of
processes, and what was not delivered is counted, reported and marked."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from rtea import config as configuration
from rtea import events, manifest, topics
from rtea.config import Config
from rtea_gen import shard

pytestmark = pytest.mark.timeout(200)

ALL = ("--speed", "0", "--rate", "1000", "--start", "1760000000000", "--no-progress")


def start(config: Config, path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rtea_gen", "--manifest", str(path), *ALL, *arguments]
    environment = os.environ | configuration.as_environment(config)
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


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
    assert found[0] == found[1]
    assert found[0].end == manifest.End(events=5000, failed=0, last_event_ms=1_760_000_004_999, complete=True)
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
