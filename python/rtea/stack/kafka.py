"""The local broker: one Kafka process in KRaft mode, listening on the loopback only."""

import base64
import os
import subprocess
import uuid
from pathlib import Path

from rtea.config import Config
from rtea.errors import DiskSpaceError, StackError
from rtea.stack import jars, java
from rtea.stack.layout import Layout

LOOPBACK = "127.0.0.1"

# Simulated events may have old timestamps: retention by timestamp would delete them within minutes.
KEEP_FOR_EVER = "-1"

LOG4J2 = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="console" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


def prepare(config: Config, layout: Layout) -> list[str]:
    """Write the settings, format the storage if it is new, and return the broker's command.

    Raises:
        JarError: a jar is missing.
        StackError: the storage cannot be formatted.
        DiskSpaceError: the disk is full.
    """
    properties = layout.kafka / "server.properties"
    lines = java.properties(_properties(config, layout))
    # The settings may contain passwords, so only the owner may read the file.
    with open(os.open(properties, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(lines)
    (layout.kafka / "log4j2.xml").write_text(LOG4J2)
    class_path = os.pathsep.join(str(path) for path in jars.locate(config.jars, "kafka"))
    java_command = [str(java.find_home() / "bin" / "java"), *java.LOCALE, "-cp", class_path]
    if not (layout.kafka / "data" / "meta.properties").exists():
        _format(java_command, properties)
    heap = ["-Xms256m", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError"]
    # A path relative to the state directory, where the broker runs: the option also takes URIs, in which # is special.
    log = f"-Dlog4j2.configurationFile={layout.kafka.name}/log4j2.xml"
    # Java unpacks the libraries of its codecs here: the machine's temporary directory may be full, or mounted noexec.
    temporary = f"-Djava.io.tmpdir={layout.as_seen_inside(layout.kafka_tmp)}"
    return [*java_command[:1], *heap, log, temporary, *java_command[1:], "kafka.Kafka", str(properties)]


def _properties(config: Config, layout: Layout) -> dict[str, str]:
    broker, controller = (f"{LOOPBACK}:{port}" for port in (config.stack.kafka_port, config.stack.controller_port))
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": controller,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "log.dirs": str(layout.kafka / "data"),
        "log.retention.ms": KEEP_FOR_EVER,
        "log.message.timestamp.before.max.ms": str(2**63 - 1),
        "log.message.timestamp.after.max.ms": str(2**63 - 1),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        **{name: value.get_secret_value() for name, value in config.stack.kafka_properties.items()},
    }


def _format(java_command: list[str], properties: Path) -> None:
    # A random id as Kafka writes it. The command would take an id with a leading dash for an option.
    cluster_id = "r" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    command = [*java_command, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id]
    command += ["-c", str(properties)]
    formatted = subprocess.run(command, capture_output=True, text=True, env=os.environ | java.ENVIRONMENT)
    output = (formatted.stdout + formatted.stderr).strip()
    if "No space left" in output:
        raise DiskSpaceError(f"no room for Kafka's storage in {properties.parent}: free some space")
    if formatted.returncode:
        reason = next((line for line in output.splitlines() if "xception" in line), output)
        raise StackError(f"Kafka's storage in {properties.parent} could not be formatted: {reason.strip()}")
