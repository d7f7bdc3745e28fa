"""Promises: the commands help a newcomer: versions, completion, a settings file to begin with, and the nearest name of
a mistyped command; what prints a table prints JSON, too.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from rtea import config as configuration
from rtea.cli.root import COMMANDS, cli, run
from rtea.config import Config
from rtea_gen.cli import command as generator


def test_the_version_names_commit_flink_and_kafka() -> None:
    shown = CliRunner().invoke(cli, ["--version"]).output
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, text=True)
    assert f"commit {commit[:12]}" in shown
    assert "Flink 2.3.0" in shown
    assert "Kafka 4.3.1" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_every_command(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).output
    assert "_RTEA_COMPLETE" in script
    current = "" if shell == "fish" else "1"
    words = {"COMP_WORDS": "rtea ", "COMP_CWORD": current, "_RTEA_COMPLETE": f"{shell}_complete"}
    completed = CliRunner().invoke(cli, [], env=words, prog_name="rtea")
    assert set(COMMANDS) <= set(completed.output.replace(",", " ").split())


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["dashbord"]) == 2
    assert "did you mean dashboard?" in capsys.readouterr().err


def test_the_settings_file_to_begin_with_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rtea.toml"
    assert run(cli, ["config", "init", "--path", str(path)]) == 0
    assert configuration.load(path).model_dump() == configuration.load().model_dump()
    assert run(cli, ["config", "init", "--path", str(path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_each_line_of_the_settings_file_is_valid_without_its_mark(tmp_path: Path) -> None:
    """Settings without a default have an empty text, which is to be replaced."""
    path = tmp_path / "rtea.toml"
    assert run(cli, ["config", "init", "--path", str(path)]) == 0
    lines = path.read_text().splitlines()
    settings = [line.removeprefix("# ") if " = " in line and "=" in line.split()[2:3] else line for line in lines]
    found = msgspec.toml.decode("\n".join(settings))
    for section in Config.model_fields:
        for key, field in type(getattr(Config(), section)).model_fields.items():
            default = "" if field.default is None else json.loads(json.dumps(field.default, default=str))
            assert found[section][key] == default, (section, key)


def commands(group: click.Command, context: click.Context) -> Iterator[click.Command]:
    """Every command below a group."""
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            each = group.get_command(context, name)
            assert each is not None
            yield from commands(each, click.Context(each, parent=context, info_name=name))
    else:
        yield group


def test_the_help_of_each_command_has_an_example_that_it_takes() -> None:
    found = list(commands(cli, click.Context(cli, info_name="rtea")))
    assert len(found) > 25
    for each in [*found, generator]:
        example = re.search(r"Example.*?: (rtea.*)", each.help or "")
        assert example, each.name
        words = shlex.split(example[1].partition(" > ")[0])
        program = cli if words[0] == "rtea" else generator
        # Parses everything, and runs nothing.
        context = program.make_context(words[0], words[1:], obj=configuration.Request(None, {}))
        while isinstance(context.command, click.Group):
            name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            context = command.make_context(name, rest, parent=context)
        assert context.command.name == each.name


def test_a_stack_that_is_down_says_so_in_json() -> None:
    shown = CliRunner().invoke(cli, ["stack", "status", "--json"])
    assert json.loads(shown.output) == []


@pytest.mark.parametrize("arguments", [["--log-format", "json", "query"], ["query", "--log-format", "json"]])
def test_an_error_is_one_line_of_json_on_request(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, arguments) == 10
    shown = json.loads(capsys.readouterr().err)
    assert shown.keys() == {"time", "level", "logger", "message", "exit_code"}
    assert (shown["level"], shown["exit_code"]) == ("ERROR", 10)
    assert "rtea sink duckdb" in shown["message"]
    assert run(cli, ["query"]) == 10
    assert capsys.readouterr().err.startswith("error: ")


def test_the_generator_logs_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(generator, ["--log-format", "json", "--rate", "none"]) == 2
    assert json.loads(capsys.readouterr().err)["exit_code"] == 2


def test_what_a_sink_logs_is_json_on_request() -> None:
    """With an exception and its trace in one line."""
    program = (
        "import logging\nfrom rtea import logs\nlogs.choose('json')\nlogs.start()\n"
        "logger = logging.getLogger('rtea.sinks.runner')\nlogger.warning('Größe %d', 7)\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logger.exception('x')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    first, second = (json.loads(line) for line in ran.stderr.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("WARNING", "rtea.sinks.runner", "Größe 7")
    assert "ZeroDivisionError" in second["exception"]
