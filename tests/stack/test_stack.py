"""Promises of the local stack: it listens only on the loopback, restarts processes that die, and leaves no process
behind when it stops, is interrupted or fails to start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from rtea import config as configuration
from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError, ConfigError, JobError, MissingTopicError, PortInUseError, StackError
from rtea.job import cluster
from rtea.job import submit as job
from rtea.stack import kafka, local, supervisor
from rtea.stack.layout import Layout
from tests.conftest import stack_config

pytestmark = pytest.mark.timeout(300)


def processes_below(root: Path) -> list[psutil.Process]:
    """Processes that name the stack's directory in their command line or environment."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "pid"]):
        words = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if process.info["pid"] != os.getpid() and any(str(root) in word for word in words):
            found.append(process)
    return found


def command(config: Config, *arguments: str) -> "subprocess.Popen[str]":
    environment = os.environ | configuration.as_environment(config)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "rtea", *arguments], env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def test_everything_listens_on_the_loopback_only(stack: Config) -> None:
    pids = {process.pid for process in local.status(stack)}
    listening = [c.laddr.ip for c in psutil.net_connections("tcp") if c.pid in pids and c.status == "LISTEN"]
    assert len(listening) >= 5
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_the_topics_are_as_documented(stack: Config) -> None:
    partitions = topics.list_partitions(stack.kafka)
    assert partitions["ecommerce_clickstream"] == 4
    assert {"ecommerce_clickstream_dlq", "ecommerce_metrics"} <= partitions.keys()
    assert topics.create(stack) == []


def test_starting_a_running_stack_changes_nothing(stack: Config) -> None:
    before = {process.pid for process in local.status(stack)}
    assert local.up(stack) is False
    assert {process.pid for process in local.status(stack)} == before


def test_other_ports_than_those_of_a_running_stack_are_refused_at_once(stack: Config) -> None:
    other = stack.model_copy(update={"stack": stack.stack.model_copy(update={"rest_port": 1})})
    started_s = time.monotonic()
    with pytest.raises(ConfigError, match=f"stack.rest_port {stack.stack.rest_port} instead of 1: use those ports"):
        local.up(other)
    assert time.monotonic() - started_s < 5
    assert not local.up(stack)


def test_a_second_stack_on_the_same_ports_is_refused(stack: Config, tmp_path: Path) -> None:
    other = stack.model_copy(update={"stack": stack.stack.model_copy(update={"state_dir": tmp_path / "other"})})
    with pytest.raises(PortInUseError, match=rf"port {stack.stack.kafka_port} .* set stack\.kafka_port"):
        local.up(other)


def test_reading_a_new_topic_waits_for_its_leader(pipeline_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Early(Consumer):
        """Comes as early as a submission right after `rtea topics create`."""

        def get_watermark_offsets(self, *arguments: Any, **options: Any) -> Any:
            asked.append(arguments)
            if len(asked) <= 2:
                raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
            return super().get_watermark_offsets(*arguments, **options)

    monkeypatch.setattr(topics, "Consumer", Early)
    assert list(topics.read(pipeline_config.kafka, pipeline_config.kafka.results_topic, last=100)) == []
    assert len(asked) == 3


def test_a_missing_topic_is_one_clear_line(stack: Config) -> None:
    absent = stack.model_copy(update={"kafka": stack.kafka.model_copy(update={"events_topic": "absent"})})
    with pytest.raises(MissingTopicError, match=r"topic absent is missing .* run `rtea topics create`"):
        job.submit(absent)
    generator = subprocess.run(
        [sys.executable, "-m", "rtea_gen", "--events", "1"],
        env=os.environ | configuration.as_environment(absent),
        capture_output=True,
        text=True,
    )
    assert (generator.returncode, generator.stderr.count("\n")) == (4, 1)
    assert "topic absent is missing" in generator.stderr


def test_a_job_that_needs_more_slots_than_there_are_is_refused_with_its_cause(
    stack: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "START_SECONDS", 40)
    greedy = stack.model_copy(
        update={
            "job": stack.job.model_copy(update={"parallelism": 64}),
        }
    )
    with pytest.raises(JobError, match=r"slots|resource"):
        job.submit(greedy)
    assert {entry.state for entry in cluster.jobs(stack)} <= {"CANCELED", "FAILED", "FINISHED"}, "it was left behind"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    config = stack_config(tmp_path / "stack")
    with command(config, "stack", "up") as starting:
        while not Layout.of(config.stack.state_dir).supervisor_socket.exists():
            assert starting.poll() is None
            time.sleep(0.05)
        starting.send_signal(number)
        output, errors = starting.communicate(timeout=60)
    assert (starting.returncode, output) == (130, "")
    assert errors.strip() == "interrupted"
    assert processes_below(tmp_path) == []


def test_a_directory_that_rtea_did_not_make_stays_unchanged(tmp_path: Path) -> None:
    precious = tmp_path / "demo" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("ten years of work")
    config = stack_config(tmp_path)
    for arguments in (["demo", "--minutes", "1"], ["stack", "up"], ["--set", "stack.state_dir=.", "demo"]):
        with command(config, *arguments) as ran:
            _, errors = ran.communicate(timeout=60)
        assert ran.returncode == 2
        assert "was not made by RTEA and is not empty: set stack.state_dir to a new directory" in errors
        assert errors.count("\n") == 1
    assert precious.read_text() == "ten years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert [path.name for path in precious.parent.iterdir()] == ["thesis.txt"]


def test_a_state_directory_from_before_the_marker_is_recognized(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "state")
    layout.make()
    (layout.kafka / "server.properties").touch()
    layout.marker.unlink()
    with pytest.raises(ConfigError, match="was not made by RTEA"):
        layout.clear()
    layout.supervisor_conf.write_text("[supervisord]\ndirectory = /home/somebody\n[program:taskmanager]\n")
    with pytest.raises(ConfigError, match="was not made by RTEA"):
        layout.clear()
    layout.supervisor_conf.write_text(f"[supervisord]\ndirectory = {layout.root}\n[program:taskmanager]\n")
    layout.clear()
    assert [path.name for path in layout.root.iterdir()] == [layout.marker.name]


def test_a_disk_mounted_in_a_new_state_directory_is_accepted(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "state")
    layout.checkpoints.mkdir(parents=True)
    (layout.root / "lost+found").mkdir()
    layout.make()
    assert layout.marker.exists()


def test_the_directory_of_a_demo_does_not_prevent_that_of_the_stack(tmp_path: Path) -> None:
    demo, stack = Layout.of(tmp_path / "state" / "demo"), Layout.of(tmp_path / "state")
    demo.make()
    stack.make()
    assert stack.marker.exists()
    (tmp_path / "state" / "thesis.txt").touch()
    stack.marker.unlink()
    with pytest.raises(ConfigError, match="was not made by RTEA"):
        stack.claim()


def test_a_stack_is_found_whatever_tmpdir_says_and_however_long_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stack_config(tmp_path / ("long" * 30) / "stack")
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "first"))
    with command(config, "stack", "up") as ran:
        assert ran.wait(120) == 0
    before = {process.pid for process in local.status(config)}
    assert len(before) == 4
    monkeypatch.setenv("TMPDIR", str(tmp_path / "second"))
    with command(config, "stack", "status") as ran:
        output, _ = ran.communicate(timeout=60)
    assert output.count("RUNNING") == 4
    with command(config, "stack", "up") as ran:
        assert ran.wait(60) == 0
    assert {process.pid for process in local.status(config)} == before
    with command(config, "stack", "down") as ran:
        assert ran.wait(60) == 0
    assert processes_below(tmp_path) == []


def test_a_start_does_not_kill_a_stack_whose_supervisor_does_not_answer(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "stack")
    local.up(config)
    layout = Layout.of(config.stack.state_dir)
    pids = {process.pid for process in local.status(config)}
    layout.supervisor_socket.unlink()
    try:
        with pytest.raises(StackError, match=r"its supervisor does not answer: stop them with `rtea .* stack down`"):
            local.up(config)
        assert all(psutil.pid_exists(pid or 0) for pid in pids)
    finally:
        assert local.down(config) is True
    assert processes_below(tmp_path) == []


def test_stopping_removes_a_stack_whose_supervisor_was_killed(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "stack")
    local.up(config)
    pid = int((Layout.of(config.stack.state_dir).root / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert local.down(config) is True
    assert processes_below(tmp_path) == []
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        topics.list_partitions(config.kafka.model_copy(update={"timeout_ms": 500}))
    with pytest.raises(StackError, match="no Flink cluster answers"):
        cluster.jobs(config)
    assert local.down(config) is False


def test_a_stack_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    config = stack_config(tmp_path / "stack", stack__taskmanager_memory="10m")
    with pytest.raises(StackError, match=r"^taskmanager did not start: see .*taskmanager\.log, which ends with: .+$"):
        local.up(config)
    assert processes_below(tmp_path) == []
    assert supervisor.Supervisor(Layout.of(config.stack.state_dir)).states() is None


def test_kafka_formats_its_storage_in_a_turkish_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Duser.country=TR")
    config = stack_config(tmp_path / "state")
    layout = Layout.of(config.stack.state_dir)
    layout.make()
    kafka.prepare(config, layout)
    assert (layout.kafka / "data" / "meta.properties").exists()
