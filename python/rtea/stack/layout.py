"""Where the stack's files lie below its state directory."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of one stack; all but the supervisor's socket lie below `root`."""

    root: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Layout":
        """The layout of a state directory, which need not exist yet."""
        return cls(state_dir.expanduser().resolve())

    @property
    def logs(self) -> Path:
        """Logs of every process."""
        return self.root / "logs"

    @property
    def kafka(self) -> Path:
        """Kafka's settings and its log segments."""
        return self.root / "kafka"

    @property
    def flink_conf(self) -> Path:
        """FLINK_CONF_DIR."""
        return self.root / "flink" / "conf"

    @property
    def flink_lib(self) -> Path:
        """FLINK_LIB_DIR: links to the jars on the cluster's class path."""
        return self.root / "flink" / "lib"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints and savepoints."""
        return self.root / "flink" / "checkpoints"

    @property
    def high_availability(self) -> Path:
        """Submitted jobs, for a JobManager that takes over."""
        return self.root / "flink" / "ha"

    @property
    def zookeeper(self) -> Path:
        """ZooKeeper's data: where the jobs and their newest checkpoints are."""
        return self.root / "flink" / "zookeeper"

    @property
    def flink_tmp(self) -> Path:
        """Flink's working files."""
        return self.root / "flink" / "tmp"

    @property
    def supervisor_conf(self) -> Path:
        """The supervisor's settings."""
        return self.root / "supervisord.conf"

    @property
    def job_config(self) -> Path:
        """The resolved configuration that a submitted job reads."""
        return self.root / "job-config.json"

    @property
    def pids(self) -> Path:
        """Ids of the stack's processes, for stopping them when the supervisor is gone."""
        return self.root / "pids.json"

    @property
    def supervisor_socket(self) -> Path:
        """The control socket: outside `root`, because socket paths may have 107 bytes only."""
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"rtea-{os.getuid()}-{digest}.sock"

    def make(self) -> None:
        """Make the directories."""
        flink = (self.flink_conf, self.checkpoints, self.high_availability, self.zookeeper, self.flink_tmp)
        for path in (self.logs, self.kafka, *flink):
            path.mkdir(parents=True, exist_ok=True)
