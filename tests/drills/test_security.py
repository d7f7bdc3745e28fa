"""Promises: with one set of settings, generator, job, sink and tools use TLS, with a password or a certificate; the
password is in no log, no printed configuration and no process's arguments."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from rtea import topics
from rtea.config import Config
from rtea.errors import BrokerError
from rtea.stack import jars, local
from rtea.stack.layout import Layout
from tests.conftest import free_ports, stack_config, with_own_topics
from tests.drills import load
from tests.flink import pipeline

pytestmark = [pytest.mark.timeout(400), pytest.mark.quick]

PASSWORD = "s3cr3t=/\"quoted\" 'and' \\slashed"
BROKERS_PASSWORD = "br0ker-s3cr3t"


def identity(authority: trustme.CA, path: Path) -> Path:
    """A certificate for the loopback with its key, as Kafka wants them: PKCS 8, in one file."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + b"".join(certificate.bytes() for certificate in issued.cert_chain_pems))
    return path


def jaas(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Config]]:
    """A stack whose broker takes TLS only: with a password on one port, with a certificate on another."""
    root = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(root / "ca.pem"))
    server, client = (identity(authority, root / f"{name}.pem") for name in ("server", "client"))
    (ssl_port,) = free_ports(1)
    plain = stack_config(root / "stack")
    listeners = f"SASL_SSL://127.0.0.1:{plain.stack.kafka_port},SSL://127.0.0.1:{ssl_port}"
    users = (f'username="broker" password="{BROKERS_PASSWORD}" user_broker="{BROKERS_PASSWORD}" '
             f'user_rtea="{jaas(PASSWORD)}";')  # fmt: skip
    properties = {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{plain.stack.controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users}"
        ),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(root / "ca.pem"),
    }
    flags = {
        "kafka__security_protocol": "SASL_SSL",
        "kafka__ssl_ca": root / "ca.pem",
        "kafka__sasl_mechanism": "PLAIN",
        "kafka__sasl_username": "rtea",
        "kafka__sasl_password": PASSWORD,
    }
    config = stack_config(root / "stack", **flags)
    secret = {name: SecretStr(value) for name, value in properties.items()}
    stack = plain.stack.model_copy(update={"kafka_properties": secret})
    config = config.model_copy(
        update={
            "stack": stack,
            "kafka": config.kafka.model_copy(update={"bootstrap_servers": plain.kafka.bootstrap_servers}),
        }
    )
    by_certificate = config.kafka.model_copy(
        update={
            "security_protocol": "SSL",
            "ssl_identity": client,
            "bootstrap_servers": f"127.0.0.1:{ssl_port}",
            "sasl_username": None,
            "sasl_password": None,
        }
    )
    jars.fetch(config.jars, progress=False)
    with local.running(config):
        yield {"SASL_SSL": config, "SSL": config.model_copy(update={"kafka": by_certificate})}


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SSL"])
def test_the_whole_pipeline_uses_tls(secured: dict[str, Config], protocol: str, tmp_path: Path) -> None:
    config = load.drill_config(with_own_topics(secured[protocol], tmp_path))
    with pipeline.submitted(config), pipeline.sinking(config):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *load.arguments(30, speed="0"))
        pipeline.assert_rows_match(config, sent, least_windows=4)
        assert_no_secret(config, tmp_path)


def assert_no_secret(config: Config, scratch: Path) -> None:
    """Look for the passwords wherever others could see them, while everything runs."""
    words = ["s3cr3t"]
    for process in psutil.process_iter(["cmdline"]):
        assert not any(word in part for word in words for part in process.info["cmdline"] or ())
    for log in Layout.of(config.stack.state_dir).logs.iterdir():
        assert not any(word in log.read_text(errors="replace") for word in words), f"a secret in {log.name}"
    for command in (["rtea", "config", "show"], ["rtea_gen", "--print-config"]):
        shown = subprocess.run(
            [sys.executable, "-m", *command], env=load.environment(config), capture_output=True, text=True, check=True
        )
        assert "kafka" in shown.stdout
        assert not any(word in shown.stdout + shown.stderr for word in words)
    root = Layout.of(config.stack.state_dir).root
    assert (root / "kafka" / "server.properties").stat().st_mode & 0o077 == 0
    assert not list(root.rglob("job-config.json")), "the settings of a submission are gone with it"
    assert not any(word in (scratch / "m.jsonl").read_text() for word in words)


def test_a_wrong_password_or_an_untrusted_broker_is_one_line_without_secrets(secured: dict[str, Config]) -> None:
    kafka = secured["SASL_SSL"].kafka.model_copy(update={"timeout_ms": 3_000})
    for wrong in ({"sasl_password": "wr0ng"}, {"ssl_ca": None}, {"security_protocol": "PLAINTEXT"}):
        values = kafka.model_dump() | {"sasl_password": PASSWORD} | wrong
        with pytest.raises(BrokerError, match="no Kafka broker answers") as raised:
            topics.list_partitions(type(kafka)(**values))
        assert "wr0ng" not in str(raised.value)
        assert "s3cr3t" not in str(raised.value)
