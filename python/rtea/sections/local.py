"""What runs on this machine: the local stack, the page, the jars."""

import re
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, field_validator

from rtea.sections.section import Section, parsed


class StackSection(Section):
    """The local Kafka and Flink of `rtea stack`."""

    state_dir: Path = Path(".rtea")
    """Directory for all files of the stack: logs, topics, checkpoints."""
    kafka_port: int = Field(9092, ge=1, le=65535)
    """Port of the broker."""
    controller_port: int = Field(9093, ge=1, le=65535)
    """Port of Kafka's controller."""
    zookeeper_port: int = Field(2181, ge=1, le=65535)
    """Port of the ZooKeeper that stores Flink's jobs."""
    rest_port: int = Field(8081, ge=1, le=65535)
    """Port of Flink's REST interface and web page."""
    rpc_port: int = Field(6123, ge=1, le=65535)
    """Port of the JobManager."""
    blob_port: int = Field(6124, ge=1, le=65535)
    """Port of the JobManager's file server."""
    kafka_properties: Annotated[dict[str, SecretStr], BeforeValidator(parsed)] = {}
    """Settings of the broker that add to or replace the stack's own, for example listeners with TLS. RTEA never prints
    their values, because they may be passwords."""
    slots: int = Field(4, ge=1)
    """Number of task slots of the TaskManager."""
    taskmanager_memory: str = Field("1728m", pattern=r"^\d+[kmg]$")
    """Total memory of the TaskManager."""
    metrics_interval_ms: int = Field(1_000, ge=10)
    """How often the JobManager updates the metrics that its REST interface shows."""
    metrics_ports: str = Field("9250-9260", pattern=r"^(\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*)?$")
    """Ports of 127.0.0.1 on which JobManager and TaskManager serve their metrics for Prometheus, each on the first free
    one; empty: none."""
    flink_settings: Annotated[dict[str, SecretStr], BeforeValidator(parsed)] = {}
    """Settings of Flink that add to or replace the stack's own, for example a reporter for OpenTelemetry. RTEA never
    prints their values, because they may be passwords."""
    min_free_bytes: int = Field(1_073_741_824, ge=0)
    """Free disk space below which the stack does not start."""


class DashboardSection(Section):
    """The live page of `rtea dashboard` and `rtea demo`."""

    host: str = "127.0.0.1"
    """Address to listen on. Another one than the loopback needs a token."""
    port: int = Field(8050, ge=0, le=65535)
    """Port; 0: any free one."""
    token: SecretStr | None = None
    """What a browser must present once, as `?token=`: letters, digits and `._~-`, best set as RTEA_DASHBOARD__TOKEN.
    RTEA never prints it."""

    @field_validator("token")
    @classmethod
    def _is_plain(cls, value: SecretStr | None) -> SecretStr | None:
        # Addresses and cookies would change other characters.
        if value and not re.fullmatch(r"[A-Za-z0-9._~-]{1,256}", value.get_secret_value()):
            raise ValueError("the token has other characters: expected letters, digits and ._~-")
        return value

    manifest: Path | None = None
    """The manifest of a `rtea-gen` run: the page shows how many of its windows equal the table's."""


def user_jar_cache() -> Path:
    """Where jars lie by default. Without a home directory it begins with "~"."""
    return platformdirs.user_cache_path("rtea") / "jars"


class JarsSection(Section):
    """Jars from Maven."""

    mirror: str = Field("https://repo1.maven.org/maven2", pattern=r"^(https?|file)://\S+$")
    """Base address of a Maven repository: Maven Central or a mirror of it."""
    cache_dir: Path | None = None
    """Directory for downloaded jars; default: in the user's cache directory, or next to `stack.state_dir` if the cache
    is not writable."""
    retries: int = Field(4, ge=0)
    """Number of retries of a failed download."""
