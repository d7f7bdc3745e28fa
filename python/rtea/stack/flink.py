"""The local Flink: a standalone cluster from the pip distribution, on the loopback only.

A ZooKeeper, part of the distribution, remembers jobs and their newest checkpoints: a JobManager that
was killed goes on with them, and so does a stack that is started again.
"""

import os
import shutil
import sys
import sysconfig
from importlib import util
from pathlib import Path
from typing import Any

import rtea
from rtea.config import Config
from rtea.errors import StackError
from rtea.flink import jar
from rtea.stack import jars, java
from rtea.stack.kafka import LOOPBACK
from rtea.stack.layout import Layout

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For processes that do little: what C2 and G1 spend on a start is more than they save later."""


def find_home() -> Path:
    """FLINK_HOME: the distribution inside the apache-flink wheel.

    Raises:
        StackError: apache-flink is not installed.
    """
    spec = util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StackError('apache-flink is not installed: run `pip install "rtea[flink]"`')
    return Path(spec.origin).parent


def environment(layout: Layout) -> dict[str, str]:
    """What Flink's processes and its client need to find their files and our Python packages. They run in the state
    directory, and name it so that no character of its path matters: Flink's scripts make addresses and patterns of it.
    """
    return {
        "JAVA_HOME": str(java.find_home()),
        "FLINK_HOME": str(find_home()),
        "FLINK_CONF_DIR": layout.as_seen_inside(layout.flink_conf),
        "FLINK_LIB_DIR": layout.as_seen_inside(layout.flink_lib),
        # The client makes an address of where it finds the jar of flink-python.
        "FLINK_OPT_DIR": layout.as_seen_inside(layout.flink_lib),
        "FLINK_LOG_DIR": layout.as_seen_inside(layout.logs),
        "FLINK_PID_DIR": str(layout.flink_tmp),
        "PYTHONPATH": python_path(),
        **java.ENVIRONMENT,
        # Embedded interpreters of one JVM share the allocator: fewer arenas keep memory flat.
        "MALLOC_ARENA_MAX": "4",
    }


def python_path() -> str:
    """Where the embedded interpreter finds packages: it reads no .pth files, so all are named."""
    package = Path(rtea.__file__).parent
    embedded = package / "flink" / "embedded"  # Its sitecustomize.py has to be found first.
    paths = [str(embedded), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(package.parent)]
    return os.pathsep.join(dict.fromkeys(paths))


def prepare(config: Config, layout: Layout) -> None:
    """Write FLINK_CONF_DIR and fill FLINK_LIB_DIR.

    Raises:
        JarError: a jar is missing.
    """
    from ruamel.yaml import YAML

    _link_libraries(config, layout)

    yaml = YAML(typ="safe")
    distribution = find_home() / "conf"
    shipped: dict[str, Any] = yaml.load(distribution / "config.yaml")
    # The machine's temporary directory may be full or be swept, and its `pyflink` belongs to the first user of Flink.
    temporary = f"-Djava.io.tmpdir={layout.as_seen_inside(layout.flink_tmp)}"
    options = " ".join([shipped["env"]["java"]["opts"]["all"], *java.LOCALE, temporary])
    settings = _settings(config, layout) | {"env.java.opts.all": options}
    with open(layout.flink_conf / "config.yaml", "w", encoding="utf-8") as file:
        yaml.dump(settings, file)
    zookeeper = {
        "dataDir": str(layout.zookeeper),
        "clientPort": str(config.stack.zookeeper_port),
        "clientPortAddress": LOOPBACK,
        # Sessions last between 2 and 20 ticks.
        "tickTime": "500",
        "admin.enableServer": "false",
        "autopurge.purgeInterval": "24",
    }
    (layout.flink_conf / "zoo.cfg").write_text(java.properties(zookeeper))
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        shutil.copy(distribution / name, layout.flink_conf / name)


def _link_libraries(config: Config, layout: Layout) -> None:
    """Put PyFlink's, the connector's and our jar beside Flink's own.

    Embedded Python loads native code once per JVM: with flink-python in a job's own class loader, the
    second job of a TaskManager fails (`NoSuchFieldException: loadedLibraryNames`, pemja 0.5.7 on
    Java 17 and later). In the cluster's class path all jobs share it, and stay warm as well.
    """
    shutil.rmtree(layout.flink_lib, ignore_errors=True)
    layout.flink_lib.mkdir(parents=True)
    home = find_home()
    shipped = [*(home / "lib").glob("*.jar"), *(home / "opt").glob("flink-python-*.jar")]
    for path in (*shipped, *jars.locate(config.jars, "flink"), jar.locate()):
        (layout.flink_lib / path.name).symlink_to(path)


def _settings(config: Config, layout: Layout) -> dict[str, Any]:
    stack = config.stack
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": stack.rpc_port,
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.memory.process.size": "1g",
        "blob.server.port": str(stack.blob_port),
        "rest.address": LOOPBACK,
        "rest.port": stack.rest_port,
        "rest.bind-port": str(stack.rest_port),
        "rest.bind-address": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": stack.slots,
        "taskmanager.memory.process.size": stack.taskmanager_memory,
        # Partials are small heap state, and no Beam or RocksDB memory is needed in thread mode;
        # process mode takes its share from what is left to managed memory.
        "taskmanager.memory.managed.fraction": 0.2,
        # G1's concurrent threads take their share of two cores (figures: ARCHITECTURE.md).
        "env.java.opts.taskmanager": "-XX:+UseParallelGC",
        "env.java.opts.jobmanager": QUICK_START,
        "env.java.opts.client": QUICK_START,
        "zookeeper.sasl.disable": True,
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{LOOPBACK}:{stack.zookeeper_port}",
        "high-availability.storageDir": f"file://{layout.as_seen_inside(layout.high_availability)}",
        "high-availability.jobmanager.port": str(stack.rpc_port),
        # A killed JobManager's leadership ends with its session: the default of a minute would be most of the
        # outage. A JobManager that pauses for longer than this loses the leadership, and takes it up again.
        "high-availability.zookeeper.client.session-timeout": "6 s",
        "high-availability.zookeeper.client.connection-timeout": "3 s",
        "high-availability.zookeeper.client.retry-wait": "500 ms",
        # A killed TaskManager is noticed after 8 s at the latest, usually by its closed connection.
        "heartbeat.interval": "2 s",
        "heartbeat.timeout": "8 s",
        "slot.request.timeout": "30 s",
        "execution.checkpointing.dir": f"file://{layout.as_seen_inside(layout.checkpoints)}",
        "execution.checkpointing.savepoint-dir": f"file://{layout.as_seen_inside(layout.checkpoints)}",
        "io.tmp.dirs": str(layout.flink_tmp),
        "metrics.fetcher.update-interval": f"{stack.metrics_interval_ms} ms",
        # A job brings its jars along; those of FLINK_LIB_DIR come first.
        "classloader.resolve-order": "parent-first",
        "web.submit.enable": False,
        "web.cancel.enable": True,
    }


def command(role: str, layout: Layout) -> list[str]:
    """The command of `zookeeper`, `jobmanager` or `taskmanager`, staying in the foreground: each becomes the
    Java process itself, so that the supervisor sees it die.
    """
    scripts = find_home() / "bin"
    if role == "zookeeper":
        # zookeeper.sh would stay as its parent.
        peer = ["--zkConfigFile", f"{layout.flink_conf.relative_to(layout.root)}/zoo.cfg", "--peerId", "1"]
        return [
            "env",
            f"JVM_ARGS=-Xms64m -Xmx64m {QUICK_START}",
            "bash",
            str(scripts / "flink-console.sh"),
            role,
            *peer,
        ]
    return ["bash", str(scripts / f"{role}.sh"), "start-foreground"]


def client_command(*arguments: str) -> list[str]:
    """A command of Flink's client, `flink run` and so on."""
    return ["bash", str(find_home() / "bin" / "flink"), *arguments]


def interpreter() -> str:
    """The Python interpreter for clients and workers: this one."""
    return sys.executable
