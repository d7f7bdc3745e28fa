"""The one configuration, shared by generator, job, sink and the local stack.

Precedence: defaults < `rtea.toml` < environment (`RTEA_SECTION__KEY`) < flags. `rtea.sections` has the settings.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from rtea.errors import ConfigError
from rtea.sections import (
    BigQuerySection,
    FaultsSection,
    GeneratorSection,
    JarsSection,
    JobSection,
    KafkaSection,
    Section,
    SinkSection,
    StackSection,
)

DEFAULT_FILE = Path("rtea.toml")


class Config(Section):
    """Every setting, resolved."""

    kafka: KafkaSection = KafkaSection()
    job: JobSection = JobSection()
    sink: SinkSection = SinkSection()
    bigquery: BigQuerySection = BigQuerySection()
    generator: GeneratorSection = GeneratorSection()
    faults: FaultsSection = FaultsSection()
    stack: StackSection = StackSection()
    jars: JarsSection = JarsSection()


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Resolve the configuration.

    Args:
        file: a TOML file that must exist; by default `rtea.toml` where there is one.
        flags: values by dotted name, for example `{"job.window_ms": 10_000}`; None is "not given".

    Raises:
        ConfigError: the file cannot be read, or a value does not fit.

    >>> load(flags={"job.window_ms": 10_000}).job.window_ms
    10000
    """
    chosen = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if chosen is not None and not chosen.is_file():
        raise ConfigError(f"configuration file {chosen} not found: name an existing file with --config")

    class Loader(BaseSettings, Config):
        model_config = SettingsConfigDict(env_prefix="RTEA_", env_nested_delimiter="__", extra="forbid")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            *_: PydanticBaseSettingsSource,
            **__: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=chosen)

    try:
        resolved = Loader(**_nested(flags or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_first_problem(error, chosen)) from error
    except ValueError as error:
        raise ConfigError(f"configuration file {chosen} is not valid TOML: {error}") from error
    return Config(**{name: getattr(resolved, name) for name in Config.model_fields})


def _nested(flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if not key:
            raise ConfigError(f"setting {name!r} is unknown: expected section.key, as in docs/configuration.md")
        if value is not None:
            sections.setdefault(section, {})[key] = value
    return sections


def _first_problem(error: ValidationError, file: Path | None) -> str:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"setting {name!r} is unknown: docs/configuration.md lists every setting (file: {file or 'none'})"
    if problem["type"] == "value_error":
        return f"setting {name}: {problem['ctx']['error']}"
    found = "not valid" if "password" in name else f"{problem['input']!r}"
    return f"setting {name} is {found}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def save(config: Config, path: Path) -> None:
    """Write the resolved configuration as JSON, readable by its owner alone, for the job to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(_revealed(config), file, indent=2)


def _revealed(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting as plain data, secrets with them: for our own processes only."""
    values = config.model_dump(mode="json")
    if config.kafka.sasl_password:
        values["kafka"]["sasl_password"] = config.kafka.sasl_password.get_secret_value()
    properties = config.stack.kafka_properties.items()
    values["stack"]["kafka_properties"] = {name: value.get_secret_value() for name, value in properties}
    return values


def restore(path: Path) -> Config:
    """Read what `save` wrote, ignoring file, environment and flags."""
    return Config.model_validate_json(path.read_text())


def as_environment(config: Config) -> dict[str, str]:
    """Environment variables that give another process this configuration.

    >>> as_environment(load())["RTEA_JOB__WINDOW_MS"]
    '60000'
    """
    return {
        f"RTEA_{section}__{key}".upper(): json.dumps(value) if isinstance(value, dict | list) else str(value)
        for section, values in _revealed(config).items()
        for key, value in values.items()
        if value is not None
    }


class Request:
    """What a command line asks for: a file and flags, to be resolved with further flags."""

    def __init__(self, file: Path | None, flags: Mapping[str, Any]) -> None:
        self.file = file
        self.flags = dict(flags)

    def resolve(self, flags: Mapping[str, Any]) -> Config:
        """Load with these flags over the earlier ones.

        Raises:
            ConfigError: as `load`.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        return load(self.file, self.flags | given)


def parse_flags(settings: tuple[str, ...]) -> dict[str, str]:
    """Parse `section.key=value` settings.

    >>> parse_flags(("job.window_ms=5000",))
    {'job.window_ms': '5000'}
    """
    flags = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"setting {setting!r} has no value: expected section.key=value")
        flags[name] = value
    return flags
