"""The local Flink: a standalone cluster from the pip distribution, on the loopback only.

A ZooKeeper, part of the distribution, stores the jobs and their newest checkpoints. So jobs continue after a
JobManager was killed, and after the stack was stopped and started again.
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

REPORTER_OF = "metrics-prometheus"
"""The plugin of Flink that our reporter extends."""

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""JVM options for processes that do little: for them, C2 and G1 cost more at the start than they save later."""


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
    """The environment in which Flink's processes and its client find their files and our Python packages. They run in
    the state directory, and use a path to it without special characters: Flink's scripts put it into URIs and patterns.
    """
    return {
        "JAVA_HOME": str(java.find_home()),
        "FLINK_HOME": str(find_home()),
        "FLINK_CONF_DIR": layout.as_seen_inside(layout.flink_conf),
        "FLINK_LIB_DIR": layout.as_seen_inside(layout.flink_lib),
        "FLINK_PLUGINS_DIR": layout.as_seen_inside(layout.flink_plugins),
        # The client makes a URI of the path of the flink-python jar.
        "FLINK_OPT_DIR": layout.as_seen_inside(layout.flink_lib),
        "FLINK_LOG_DIR": layout.as_seen_inside(layout.logs),
        "FLINK_PID_DIR": str(layout.flink_tmp),
        "PYTHONPATH": python_path(),
        **java.ENVIRONMENT,
        # The embedded interpreters of a JVM share one allocator; with fewer arenas, memory does not grow.
        "MALLOC_ARENA_MAX": "4",
    }


def python_path() -> str:
    """All directories with Python packages: an embedded interpreter reads no .pth files."""
    package = Path(rtea.__file__).parent
    embedded = package / "flink" / "embedded"  # First, because of its sitecustomize.py.
    paths = [str(embedded), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(package.parent)]
    return os.pathsep.join(dict.fromkeys(paths))


def prepare(config: Config, layout: Layout) -> None:
    """Write FLINK_CONF_DIR and fill FLINK_LIB_DIR.

    Raises:
        JarError: a jar is missing.
    """
    from ruamel.yaml import YAML

    _link_libraries(config, layout)
    _link_plugins(layout)

    yaml = YAML(typ="safe")
    distribution = find_home() / "conf"
    shipped: dict[str, Any] = yaml.load(distribution / "config.yaml")
    # Others may fill or clean the machine's temporary directory, and its `pyflink` belongs to the first user of Flink.
    temporary = f"-Djava.io.tmpdir={layout.as_seen_inside(layout.flink_tmp)}"
    options = " ".join([shipped["env"]["java"]["opts"]["all"], *java.LOCALE, temporary])
    settings = _settings(config, layout)
    settings["env.java.opts.all"] = f"{options} {settings.get('env.java.opts.all', '')}".rstrip()
    written = layout.flink_conf / "config.yaml"
    written.unlink(missing_ok=True)  # An earlier release let others read it.
    # Settings of the user may hold passwords.
    with open(os.open(written, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        yaml.dump(settings, file)
    zookeeper = {
        "dataDir": str(layout.zookeeper),
        "clientPort": str(config.stack.zookeeper_port),
        "clientPortAddress": LOOPBACK,
        # ZooKeeper allows sessions of 2 to 20 ticks.
        "tickTime": "500",
        "admin.enableServer": "false",
        "autopurge.purgeInterval": "24",
    }
    (layout.flink_conf / "zoo.cfg").write_text(java.properties(zookeeper))
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        shutil.copy(distribution / name, layout.flink_conf / name)


def _link_libraries(config: Config, layout: Layout) -> None:
    """Put PyFlink's, the connector's and our jar beside Flink's own.

    Embedded Python loads native code once per JVM. With flink-python in a job's own class loader, the second job of a
    TaskManager fails (`NoSuchFieldException: loadedLibraryNames`, pemja 0.5.7 on Java 17 and later). In the cluster's
    class path, all jobs share it, and later jobs also run on code that the JVM has already compiled.
    """
    shutil.rmtree(layout.flink_lib, ignore_errors=True)
    layout.flink_lib.mkdir(parents=True)
    home = find_home()
    shipped = [*(home / "lib").glob("*.jar"), *(home / "opt").glob("flink-python-*.jar")]
    for path in (*shipped, *jars.locate(config.jars, "flink"), jar.locate()):
        (layout.flink_lib / path.name).symlink_to(path)


def _link_plugins(layout: Layout) -> None:
    """Put our reporter beside Flink's own: a plugin sees the classes of its folder only."""
    shutil.rmtree(layout.flink_plugins, ignore_errors=True)
    for folder in (find_home() / "plugins").iterdir():
        if folder.is_dir():
            own = layout.flink_plugins / folder.name
            own.mkdir(parents=True)
            more = [jar.locate(jar.REPORTER)] if folder.name == REPORTER_OF else []
            for path in (*folder.iterdir(), *more):
                (own / path.name).symlink_to(path)


def _reporter(config: Config) -> dict[str, Any]:
    """Serve the metrics for Prometheus, if the settings name ports."""
    if not config.stack.metrics_ports:
        return {}
    reporter = "metrics.reporter.prometheus"
    return {
        f"{reporter}.factory.class": "org.apache.flink.metrics.prometheus.RteaReporterFactory",
        f"{reporter}.port": config.stack.metrics_ports,
        # Each start would begin new series. `job_id` stays: Flink removes series by their labels when a job ends.
        f"{reporter}.scope.variables.excludes": "host;tm_id;task_id;task_attempt_id;operator_id",
    }


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
        # Partials are small state on the heap, and thread mode needs no managed memory for Beam or RocksDB. Process
        # mode uses this remaining managed memory.
        "taskmanager.memory.managed.fraction": 0.2,
        # On two cores, G1's concurrent threads take too much CPU (figures: ARCHITECTURE.md).
        "env.java.opts.taskmanager": "-XX:+UseParallelGC",
        "env.java.opts.jobmanager": QUICK_START,
        "env.java.opts.client": QUICK_START,
        "zookeeper.sasl.disable": True,
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{LOOPBACK}:{stack.zookeeper_port}",
        "high-availability.storageDir": f"file://{layout.as_seen_inside(layout.high_availability)}",
        "high-availability.jobmanager.port": str(stack.rpc_port),
        # A killed JobManager keeps the leadership until its session ends, by default for a minute, which would be most
        # of the outage. A JobManager that pauses for longer than this loses the leadership, and regains it later.
        "high-availability.zookeeper.client.session-timeout": "6 s",
        "high-availability.zookeeper.client.connection-timeout": "3 s",
        "high-availability.zookeeper.client.retry-wait": "500 ms",
        # Flink notices a dead TaskManager after 8 s at most, and usually earlier, because its connection closes.
        "heartbeat.interval": "2 s",
        "heartbeat.timeout": "8 s",
        "slot.request.timeout": "30 s",
        "execution.checkpointing.dir": f"file://{layout.as_seen_inside(layout.checkpoints)}",
        "execution.checkpointing.savepoint-dir": f"file://{layout.as_seen_inside(layout.checkpoints)}",
        "io.tmp.dirs": str(layout.flink_tmp),
        "metrics.fetcher.update-interval": f"{stack.metrics_interval_ms} ms",
        # A job also ships these jars itself; those in FLINK_LIB_DIR take precedence.
        "classloader.resolve-order": "parent-first",
        "web.submit.enable": False,
        "web.cancel.enable": True,
        **_reporter(config),
        **{name: value.get_secret_value() for name, value in stack.flink_settings.items()},
    }


def command(role: str, layout: Layout) -> list[str]:
    """The command that runs `zookeeper`, `jobmanager` or `taskmanager` in the foreground. Its process becomes the Java
    process itself, so the supervisor notices when it dies.
    """
    scripts = find_home() / "bin"
    if role == "zookeeper":
        # zookeeper.sh would stay as the parent of the Java process.
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
