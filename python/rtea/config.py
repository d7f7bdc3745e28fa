"""The configuration that the generator, the job, the sinks and the local stack share.

Precedence: defaults < `rtea.toml` < environment (`RTEA_SECTION__KEY`) < flags. `rtea.sections` has the settings.
"""

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from rtea import plugins
from rtea.errors import ConfigError
from rtea.sections import (
    BigQuerySection,
    DashboardSection,
    EventsSection,
    FaultsSection,
    GeneratorSection,
    JarsSection,
    JobSection,
    KafkaSection,
    Section,
    SinkSection,
    StackSection,
    is_map_file,
    user_jar_cache,
)

DEFAULT_FILE = Path("rtea.toml")


class Config(Section):
    """Every setting, resolved."""

    kafka: KafkaSection = KafkaSection()
    events: EventsSection = EventsSection()
    job: JobSection = JobSection()
    sink: SinkSection = SinkSection()
    bigquery: BigQuerySection = BigQuerySection()
    generator: GeneratorSection = GeneratorSection()
    faults: FaultsSection = FaultsSection()
    stack: StackSection = StackSection()
    dashboard: DashboardSection = DashboardSection()
    jars: JarsSection = JarsSection()


if _more := plugins.more_sections(set(Config.model_fields)):
    # Settings of sinks that bring their own; type checkers see the class above.
    _sections: dict[str, Any] = {name: (section, section()) for name, section in _more.items()}
    globals()["Config"] = create_model("Config", __base__=Config, __module__=__name__, **_sections)

_DEFAULTS = Config()


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Resolve the configuration.

    Args:
        file: a TOML file that must exist; by default the `rtea.toml` of this folder or of the nearest folder above
            that has one. Relative paths in the file start from its folder.
        flags: values by dotted name, for example `{"job.window_ms": 10_000}`; None means "not given".

    Raises:
        ConfigError: the file cannot be read, or a value is not valid.

    >>> load(flags={"job.window_ms": 10_000}).job.window_ms
    10000
    """
    chosen = file or _found_upwards(DEFAULT_FILE)
    if chosen is not None and not chosen.is_file():
        raise ConfigError(f"configuration file {chosen} not found: name an existing file with --config")

    class Loader(BaseSettings, Config):
        model_config = SettingsConfigDict(
            env_prefix="RTEA_", env_nested_delimiter="__", extra="forbid", enable_decoding=False
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            *_: PydanticBaseSettingsSource,
            **__: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, _FileSource(settings_cls, chosen)

    try:
        resolved = Loader(**_nested(flags or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_first_problem(error, chosen)) from error
    except ValueError as error:
        raise ConfigError(f"configuration file {chosen} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"configuration file {chosen} cannot be read: {error.strerror}") from error
    found = _with_found_state(Config(**{name: getattr(resolved, name) for name in Config.model_fields}))
    return _with_jar_cache(found)


class _FileSource(TomlConfigSettingsSource):
    """The settings in the TOML file; relative paths in it start from its folder."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path | None) -> None:
        super().__init__(settings_cls, toml_file=file)
        if file is None or file.parent == Path():
            return
        for (section, key), field in _fields().items():
            values = self.init_kwargs.get(section)
            if not isinstance(values, dict) or not isinstance(values.get(key), str):
                continue
            is_map = (section, key) == ("events", "map") and is_map_file(values[key])
            if is_map or field.annotation in (Path, Path | None):
                values[key] = str(file.parent / Path(values[key]).expanduser())


def _fields() -> dict[tuple[str, str], FieldInfo]:
    """Every setting by section and key."""
    return {
        (section, key): field
        for section in Config.model_fields
        for key, field in type(getattr(_DEFAULTS, section)).model_fields.items()
    }


def _found_upwards(name: Path) -> Path | None:
    """Find a file in the working directory, or in the nearest folder above that has it."""
    if name.exists():
        return name
    here = Path.cwd()
    return next((folder / name for folder in here.parents if (folder / name).exists()), None)


def _with_found_state(config: Config) -> Config:
    """Use the stack of a folder also from its subfolders."""
    if "state_dir" in config.stack.model_fields_set:
        return config
    marker = _found_upwards(config.stack.state_dir / ".rtea-state")
    if marker is None:
        return config
    return config.model_copy(update={"stack": config.stack.model_copy(update={"state_dir": marker.parent})})


def _with_jar_cache(config: Config) -> Config:
    """Keep jars in the user's cache directory; if there is none that the user can write to, beside `state_dir`."""
    if config.jars.cache_dir:
        return config
    cache = user_jar_cache()
    if cache.is_absolute() and (cache.is_dir() or _may_be_made(cache)):
        return config
    cache = config.stack.state_dir.with_name(f"{config.stack.state_dir.name}-jars")
    return config.model_copy(update={"jars": config.jars.model_copy(update={"cache_dir": cache})})


def _may_be_made(path: Path) -> bool:
    existing = next(folder for folder in path.parents if folder.exists())
    return os.access(existing, os.W_OK | os.X_OK)


def unknown_variables() -> list[str]:
    """One warning for each environment variable that begins with RTEA_ but is not a setting."""
    known = {f"RTEA_{section}__{key}".upper() for section, key in _fields()}
    problems = []
    for name in sorted(os.environ):
        if name.startswith("RTEA_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {near[0]}?" if near else "docs/configuration.md lists every setting"
            problems.append(f"environment variable {name} is unknown and has no effect: {hint}")
    return problems


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
    found = "not valid" if "password" in name or "token" in name else f"{problem['input']!r}"
    return f"setting {name} is {found}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def save(config: Config, path: Path) -> None:
    """Write the resolved configuration as JSON, for the job, which runs elsewhere. Only its owner can read the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = _revealed(config)
    for (section, key), field in _fields().items():
        if field.annotation in (Path, Path | None) and values[section][key] is not None:
            values[section][key] = str(Path(values[section][key]).absolute())
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(values, file, indent=2)


def _revealed(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting as plain data, including secrets: only for processes of RTEA."""
    values = config.model_dump(mode="json")
    if config.kafka.sasl_password:
        values["kafka"]["sasl_password"] = config.kafka.sasl_password.get_secret_value()
    for key in ("kafka_properties", "flink_settings"):
        secrets: dict[str, SecretStr] = getattr(config.stack, key)
        values["stack"][key] = {name: value.get_secret_value() for name, value in secrets.items()}
    del values["dashboard"]["token"]  # Only the dashboard itself needs it.
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
    """The configuration file and the flags of a command line. A subcommand adds its own flags."""

    def __init__(self, file: Path | None, flags: Mapping[str, Any]) -> None:
        self.file = file
        self.flags = dict(flags)

    def resolve(self, flags: Mapping[str, Any]) -> Config:
        """Load the configuration; these flags override the earlier ones.

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
