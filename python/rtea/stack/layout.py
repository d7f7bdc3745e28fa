"""The paths of the stack's files in its state directory."""

import configparser
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rtea.errors import ConfigError

INSIDE = "/proc/self/cwd"
"""The path by which processes that run in the state directory can name it."""


@dataclass(frozen=True)
class Layout:
    """Paths of one stack, all below `root`."""

    root: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Layout":
        """The layout of a state directory. The directory may not exist yet."""
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
    def flink_plugins(self) -> Path:
        """FLINK_PLUGINS_DIR: links to Flink's plugins, and our reporter of metrics."""
        return self.root / "flink" / "plugins"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints and savepoints."""
        return self.root / "flink" / "checkpoints"

    @property
    def high_availability(self) -> Path:
        """Submitted jobs, from which a JobManager recovers."""
        return self.root / "flink" / "ha"

    @property
    def zookeeper(self) -> Path:
        """ZooKeeper's data: it names the jobs and their newest checkpoints."""
        return self.root / "flink" / "zookeeper"

    @property
    def kafka_tmp(self) -> Path:
        """The broker's temporary files."""
        return self.kafka / "tmp"

    @property
    def flink_tmp(self) -> Path:
        """Flink's working files."""
        return self.root / "flink" / "tmp"

    @property
    def supervisor_conf(self) -> Path:
        """The supervisor's settings."""
        return self.root / "supervisord.conf"

    @property
    def submission_lock(self) -> Path:
        """The lock file that a submission holds."""
        return self.root / "submission.lock"

    @property
    def pids(self) -> Path:
        """The ids of the stack's processes: they are needed to stop them when the supervisor does not answer."""
        return self.root / "pids.json"

    def as_seen_inside(self, path: Path) -> str:
        """The path of a file below the root, for processes that run in the root. It contains no character that is
        special in a URI, a pattern or a list, even if the user's path does.
        """
        return f"{INSIDE}/{path.relative_to(self.root)}"

    @property
    def scripts(self) -> Path:
        """The scripts that the supervisor runs."""
        return self.root / "run"

    @property
    def ports(self) -> Path:
        """The ports of the stack that is running, or ran last."""
        return self.root / "ports.json"

    @property
    def supervisor_socket(self) -> Path:
        """The supervisor's control socket."""
        return self.root / "supervisor.sock"

    @property
    def marker(self) -> Path:
        """The file that marks a directory made by RTEA."""
        return self.root / ".rtea-state"

    def claim(self) -> None:
        """Make the root, or check that RTEA made it.

        Raises:
            ConfigError: it holds files that RTEA did not make.
        """
        if self.root.exists() and not self._is_ours() and any(map(_holds_others_files, self.root.iterdir())):
            raise ConfigError(
                f"{self.root} was not made by RTEA and is not empty: set stack.state_dir to a new directory"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        self.marker.write_text("RTEA keeps its state here, and may delete all of it.\n")

    def _is_ours(self) -> bool:
        return self.marker.exists() or self._is_of_an_earlier_release()

    def _is_of_an_earlier_release(self) -> bool:
        """Whether a release that had no marker made it: the supervisor's settings then name this directory."""
        conf = configparser.RawConfigParser()
        with suppress(configparser.Error, UnicodeDecodeError):
            conf.read(self.supervisor_conf)
        named = conf.get("supervisord", "directory", fallback="")
        return named == str(self.root) and conf.has_section("program:taskmanager")

    def clear(self) -> None:
        """Delete everything in the root, if RTEA made it.

        Raises:
            ConfigError: it holds files that RTEA did not make.
        """
        self.claim()
        # Keep the marker: after an interruption, the directory must still be known as ours.
        for path in self.root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != self.marker:
                path.unlink()

    def make(self) -> None:
        """Make the directories.

        Raises:
            ConfigError: the root holds files that RTEA did not make.
        """
        self.claim()
        flink = (self.flink_conf, self.checkpoints, self.high_availability, self.zookeeper, self.flink_tmp)
        for path in (self.flink_tmp, self.kafka_tmp):
            shutil.rmtree(path, ignore_errors=True)  # Files of killed processes.
        for path in (self.logs, self.kafka_tmp, *flink):
            path.mkdir(parents=True, exist_ok=True)


def _holds_others_files(path: Path) -> bool:
    """Whether a path is a file, or a directory with files, that RTEA did not make. It may be the directory of a demo
    that ran before this stack, or an empty directory such as lost+found on a new disk.
    """
    if not path.is_dir() or path.is_symlink():
        return True
    if Layout(path)._is_ours():
        return False
    return any(files for _, _, files in os.walk(path))
