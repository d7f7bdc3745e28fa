"""Promise: bad input gives one line that names the remedy, and a documented exit code."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rtea.cli import root
from rtea.cli.root import cli
from rtea.errors import RteaError
from rtea_gen.cli import command as generator
from tests.conftest import PORT_SETTINGS, free_ports

ROOT = Path(__file__).parents[2]
UNREACHABLE = "127.0.0.1:1"
SHORT_TIMEOUT = ["--set", "kafka.timeout_ms=300"]


def own_ports() -> list[str]:
    """Options that keep a stack away from whatever listens on the usual ports."""
    ports = dict(zip(PORT_SETTINGS, free_ports(len(PORT_SETTINGS)), strict=True))
    settings = {f"stack.{name}": port for name, port in ports.items()}
    settings["kafka.bootstrap_servers"] = f"127.0.0.1:{ports['kafka_port']}"
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--set", "job.window_ms=x", "config", "show"], 2, "setting job.window_ms is 'x'"),
        (["--set", "job.window_ms", "config", "show"], 2, "expected section.key=value"),
        (["--config", "absent.toml", "config", "show"], 2, "absent.toml not found"),
        (["--wrong"], 2, "No such option"),
        (["unknown"], 2, "there is no command 'unknown'"),
        (["topics", "create", "--bootstrap-servers", UNREACHABLE], 3, "no Kafka broker answers at 127.0.0.1:1"),
        (["job", "submit", "--bootstrap-servers", UNREACHABLE], 3, "rtea stack up"),
        (["sink", "duckdb", "--bootstrap-servers", UNREACHABLE], 3, "kafka.bootstrap_servers"),
        (["--set", "stack.rest_port=1", "job", "status"], 8, "no Flink cluster answers"),
        (["--set", "jars.cache_dir=empty", "stack", "up"], 6, "run `rtea jars fetch`"),
        (["--set", "stack.min_free_bytes=999999999999999", "stack", "up"], 7, "free some space or set stack.state_dir"),
        (["--set", "stack.kafka_port=29092", "stack", "up"], 2, "the stack's broker listens on 127.0.0.1:29092"),
        (["--set", "kafka.bootstrap_servers=kafka.example:9092", "stack", "up"], 2, "set kafka.bootstrap_servers or"),
        (["--set", "stack.state_dir=a,b", "stack", "up"], 2, "has a comma or a colon"),
        (["--set", "kafka.security_protocol=SSL", "stack", "up"], 2, "the stack's broker has no listener for it"),
        (["--set", "stack.rest_port=1", "job", "cancel", "0" * 32], 8, "no Flink cluster answers"),
        (["job", "submit", "--from", "0"], 2, "--from and --to belong together"),
        (["job", "submit", "--from", "0", "--to", "60000", "--savepoint", "s"], 2, "start without a savepoint"),
        (["job", "submit", "--savepoint", "/nope/x"], 9, "savepoint /nope/x not found: name the address"),
        (["job", "submit", "--from", "soon", "--to", "60000"], 2, "--from 'soon' is not a time"),
        (["job", "submit", "--from", "1", "--to", "60000"], 2, "expected the start of a window"),
        (["--set", "stack.rest_port=1", "job", "stop", "0" * 32], 8, "no Flink cluster answers"),
        (["dlq", "show", "--set", "x"], 2, "expected section.key=value"),
        (["stack", "up", "--set", "job.window_ms=x"], 2, "setting job.window_ms is 'x'"),
        (["config", "show", "--config", "absent.toml"], 2, "absent.toml not found"),
        (["demo", "--minutes", "nan"], 2, "is not a finite number"),
        (
            ["--set", "job.watermark_delay_ms=60000", "demo", "--minutes", "1"],
            2,
            "too short for a window to finish: expected at least 1.07",
        ),
        (["job", "submit", "--from", "0", "--to", "99999999999999999"], 2, "is out of range"),
        (["--config", "/proc/self/mem", "config", "show"], 2, "cannot be read"),
        (["dlq", "show"], 3, "no Kafka broker answers"),
        (["dlq", "replay", "absent.ndjson"], 12, "absent.ndjson cannot be read"),
        (["verify", "absent.jsonl"], 12, "manifest absent.jsonl cannot be read"),
        (["query", "--path", "absent.duckdb"], 10, "absent.duckdb not found"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(cli, [*SHORT_TIMEOUT, *own_ports(), *arguments]) == code
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--rate", "0"], 2, "setting generator.rate is 0"),
        (["--procs", "zero"], 2, "is not a valid integer"),
        (["--format", "xml"], 2, "'xml' is not one of"),
        (["--manifest", "absent/m.jsonl", "--events", "1"], 2, "manifest absent/m.jsonl cannot be written"),
        (["--start", "0"], 2, "is not after 1970-01-01"),
        (["--start", "tomorrow"], 2, "--start 'tomorrow' is not a time"),
        (["--events", "1", "--duration", "1"], 2, "name one of them"),
        (["--duration", "inf"], 2, "is not in the range"),
        (["--duration", "nan"], 2, "not a finite number"),
        (["--events", "99999999999999999999"], 2, "is not in the range"),
        (["--start", "99999999999999999"], 2, "is out of range"),
        (["--speed", "inf"], 2, "setting generator.speed is"),
        (["--rate", "99999999999999999999"], 2, "setting generator.rate is"),
        (["--events", "1", "--bootstrap-servers", UNREACHABLE], 3, "no Kafka broker answers"),
    ],
)
def test_the_generator_s_bad_input_is_one_line(
    arguments: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(generator, [*SHORT_TIMEOUT, *arguments]) == code
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_a_taken_port_is_named_with_its_setting_and_owner(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert root.run(cli, [*own_ports(), "--set", f"stack.rest_port={port}", "stack", "up"]) == 5
    error = capsys.readouterr().err
    assert f"port {port} on 127.0.0.1 is in use by process" in error
    assert "set stack.rest_port" in error
    assert not Path(".rtea").exists()


def test_an_interrupted_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    assert root.run(interrupted) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("raised", "code", "expected"),
    [
        (PermissionError(13, "Permission denied", "/x"), 13, "error: [Errno 13] Permission denied: '/x'"),
        (OSError(28, "No space left on device", "/x"), 7, "free some space"),
        (ZeroDivisionError("x"), 70, "error: ZeroDivisionError: a bug in RTEA: please report it"),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(
    raised: Exception, code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise raised

    assert root.run(failing) == code
    assert expected in capsys.readouterr().err


def test_each_error_has_an_exit_code_of_its_own_and_the_readme_names_it() -> None:
    codes = [kind.exit_code for kind in RteaError.__subclasses__() if kind.__module__ == "rtea.errors"]
    ours = [code for code in codes if code != RteaError.exit_code]
    assert len(set(ours)) == len(ours) - 1, "an invalid event has the code of a wrong input"
    documented = (ROOT / "README.md").read_text().split("## Exit codes")[1].split("## Licence")[0]
    assert {int(code) for code in re.findall(r"(\d+) ", documented)} == {0, 1, 130, RteaError.exit_code, *ours}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["config", "show", "--set", "job.window_ms=7000"], '"window_ms": 7000'),
        (["--set", "job.window_ms=5000", "config", "show", "--set", "job.window_ms=7000"], '"window_ms": 7000'),
    ],
)
def test_every_subcommand_takes_settings(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(cli, arguments) == 0
    assert expected.replace('"', "").replace(":", "") in capsys.readouterr().out.replace('"', "").replace(
        " =", ""
    ).replace(":", "")


def test_every_subcommand_has_the_options_for_settings() -> None:
    def leaves(command: click.Command) -> Iterator[click.Command]:
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                assert found
                yield from leaves(found)
        else:
            yield command

    for command in leaves(cli):
        options = [option for parameter in command.params for option in parameter.opts]
        assert options.count("--set") == options.count("--config") == 1, command.name


def test_unknown_variables_are_named_with_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RTEA_JOBS__WINDOW_MS", "1")
    monkeypatch.setenv("RTEA_JOB_PARALLELISM", "1")
    assert root.run(cli, ["config", "show"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("did you mean ")[2] for line in lines] == ["RTEA_JOB__WINDOW_MS?", "RTEA_JOB__PARALLELISM?"]
