"""Promise: one configuration, with one precedence, and one clear line when it is wrong."""

import os
from pathlib import Path

import platformdirs
import pytest

from rtea import config as configuration
from rtea.cli.config import document
from rtea.errors import ConfigError
from rtea.stack import jars

ROOT = Path(__file__).parents[2]


def test_precedence_is_default_file_environment_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration.load().job.window_ms == 60_000
    file = tmp_path / "rtea.toml"
    file.write_text("[job]\nwindow_ms = 1000\nparallelism = 3\n")
    assert configuration.load().job.window_ms == 1000  # rtea.toml of the working directory
    monkeypatch.setenv("RTEA_JOB__WINDOW_MS", "2000")
    assert configuration.load(file).job.window_ms == 2000
    loaded = configuration.load(file, {"job.window_ms": 3000, "job.parallelism": None})
    assert (loaded.job.window_ms, loaded.job.parallelism) == (3000, 3)


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("", {"job.windows_ms": 1}, "setting 'job.windows_ms' is unknown"),
        ("", {"window_ms": 1}, "setting 'window_ms' is unknown"),
        ("", {"job.window_ms": "soon"}, "setting job.window_ms is 'soon': input should be a valid integer"),
        ("", {"job.window_ms": 5}, "setting job.window_ms is 5: input should be greater than or equal to 1000"),
        ("", {"sink.table": 'x"; DROP TABLE y'}, "setting sink.table is"),
        ("[job]\nwindow = 1\n", {}, "setting 'job.window' is unknown"),
        ("[job\n", {}, "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    tmp_path: Path, text: str, flags: dict[str, object], expected: str
) -> None:
    file = tmp_path / "some.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        configuration.load(file, flags)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        configuration.load(tmp_path / "absent.toml")


def test_a_saved_configuration_is_restored_whatever_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration.load(flags={"job.window_ms": 7000})
    configuration.save(config, tmp_path / "deep" / "saved.json")
    monkeypatch.setenv("RTEA_JOB__WINDOW_MS", "9000")
    restored = configuration.restore(tmp_path / "deep" / "saved.json")
    assert restored.job == config.job
    assert restored.sink == config.sink.model_copy(update={"duckdb_path": config.sink.duckdb_path.absolute()})
    assert (tmp_path / "deep" / "saved.json").stat().st_mode & 0o077 == 0


def test_environment_variables_carry_a_whole_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration.load(
        flags={
            "job.window_ms": 7000,
            "generator.speed": 0,
            "stack.state_dir": "/some/where",
            "generator.transitions": {"mobile": {"landing": {"leave": 1}}},
            "generator.devices": '{"website": [["BeOS", "NetPositive 2", "800x600", 1]]}',
        }
    )
    for name, value in configuration.as_environment(config).items():
        monkeypatch.setenv(name, value)
    assert configuration.load() == config


def test_the_documentation_of_the_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == document(), "run `make docs`"


def test_a_sale_that_stops_the_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"generator\.sale_factor"):
        configuration.load(flags={"generator.sale_factor": 0})


SECURED = {
    "kafka.security_protocol": "SASL_SSL",
    "kafka.sasl_username": "rtea",
    "kafka.sasl_password": "s3cr3t",
    "stack.kafka_properties": '{"sasl.jaas.config": "s3cr3t"}',
    "stack.flink_settings": '{"metrics.reporter.mine.password": "s3cr3t"}',
}


def test_secrets_are_never_shown_but_reach_our_own_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration.load(flags=SECURED)
    assert "s3cr3t" not in config.model_dump_json() + repr(config) + str(config)
    configuration.save(config, tmp_path / "saved.json")
    assert (tmp_path / "saved.json").stat().st_mode & 0o077 == 0
    restored = configuration.restore(tmp_path / "saved.json")
    assert restored.kafka == config.kafka
    for secrets in ("kafka_properties", "flink_settings"):
        assert getattr(restored.stack, secrets) == getattr(config.stack, secrets)
    for name, value in configuration.as_environment(config).items():
        monkeypatch.setenv(name, value)
    assert configuration.load() == config


@pytest.mark.parametrize("missing", ["kafka.sasl_username", "kafka.sasl_password"])
def test_a_password_protocol_needs_user_and_password(missing: str) -> None:
    flags = {name: value for name, value in SECURED.items() if name != missing}
    with pytest.raises(ConfigError, match=r"SASL_SSL needs kafka\.sasl_username and kafka\.sasl_password") as raised:
        configuration.load(flags=flags)
    assert "s3cr3t" not in str(raised.value)


def test_lists_are_json_and_anything_else_is_one_line_without_the_value() -> None:
    assert configuration.load(flags={"job.categories": '["a", "b"]'}).job.categories == ("a", "b")
    with pytest.raises(ConfigError, match=r"^setting stack\.kafka_properties: expected JSON") as raised:
        configuration.load(flags={"stack.kafka_properties": "s3cr3t"})
    assert "s3cr3t" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_file_and_state_are_found_from_folders_below_and_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, below = tmp_path / "shop", tmp_path / "shop" / "a" / "b"
    below.mkdir(parents=True)
    (shop / ".rtea").mkdir()
    (shop / ".rtea" / ".rtea-state").touch()
    monkeypatch.chdir(below)
    assert configuration.load().stack.state_dir == shop / ".rtea"
    assert configuration.load(flags={"stack.state_dir": ".rtea"}).stack.state_dir == Path(".rtea")
    (shop / "rtea.toml").write_text("[sink]\nduckdb_path = 'x.duckdb'\n[kafka]\nssl_ca = '/ca.pem'\n")
    found = configuration.load(flags={"generator.path": "events.ndjson"})
    assert found.sink.duckdb_path == shop / "x.duckdb"
    assert (found.kafka.ssl_ca, found.generator.path) == (Path("/ca.pem"), Path("events.ndjson"))


def test_a_list_in_the_environment_is_json_or_an_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTEA_JOB__CATEGORIES", '["a", "b"]')
    assert configuration.load().job.categories == ("a", "b")
    monkeypatch.setenv("RTEA_JOB__CATEGORIES", "a,b")
    with pytest.raises(ConfigError, match=r'setting job.categories: expected JSON, such as \["a", "b"\]'):
        configuration.load()


@pytest.mark.parametrize(
    ("home", "expected"), [("made", "made/.cache/rtea/jars"), ("locked", "state-jars"), (None, "state-jars")]
)
def test_jars_are_next_to_the_stack_if_no_cache_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, expected: str
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home:
        (tmp_path / home).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / home))
    else:
        # What it gives a user without a home and without a passwd entry.
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: Path("~/.cache") / name)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "locked")  # Root may write everywhere.
    found = jars.cache_dir(configuration.load(flags={"stack.state_dir": tmp_path / "state"}).jars)
    assert found == tmp_path / expected
