"""Jars from Maven: downloads pinned versions once, and checks them.

Coordinates and checksums are in `maven.toml` (edit it in `jars/`). The files go to the user's cache directory, which is
on Kafka's and Flink's class paths.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import pooch
import requests
from rich.console import Console
from rich.progress import Progress

from rtea.errors import DiskSpaceError, JarError, SystemRefusalError
from rtea.sections import JarsSection, user_jar_cache

Group = Literal["kafka", "flink", "build", "test", "bench"]

MANIFEST = Path(__file__).with_name("maven.toml")


class Jar(msgspec.Struct, frozen=True):
    """One pinned jar; `coordinates` are Maven's `group:artifact:version`, or `group:artifact:version:classifier`."""

    group: Group
    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of the file, in the repository and in the cache."""
        _, *names = self.coordinates.split(":")
        return f"{'-'.join(names)}.jar"

    @property
    def address(self) -> str:
        """Path below the repository's base address."""
        group, artifact, version, *_ = self.coordinates.split(":")
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.file_name}"


class _Manifest(msgspec.Struct):
    jar: list[Jar]


def read_manifest(path: Path = MANIFEST) -> list[Jar]:
    """The pinned jars.

    >>> sorted({jar.group for jar in read_manifest()})
    ['bench', 'build', 'flink', 'kafka', 'test']
    """
    return msgspec.toml.decode(path.read_bytes(), type=_Manifest).jar


def cache_dir(settings: JarsSection) -> Path:
    """Where downloaded jars are kept."""
    # Absolute, because Kafka and Flink run in another directory.
    return (settings.cache_dir or user_jar_cache()).absolute()


def fetch(
    settings: JarsSection, groups: Iterable[Group] = ("kafka", "flink", "build"), *, progress: bool = True
) -> int:
    """Download the jars that are missing or damaged in the cache; return the number of downloads.

    Raises:
        JarError: a download failed after its retries, or its checksum is wrong; no partial file stays.
        DiskSpaceError, SystemRefusalError: the cache cannot be written.
    """
    wanted = [jar for jar in read_manifest() if jar.group in set(groups)]
    addresses = {jar.file_name: f"{settings.mirror.rstrip('/')}/{jar.address}" for jar in wanted}
    cache = pooch.create(
        path=cache_dir(settings),
        base_url="",
        registry={jar.file_name: f"sha256:{jar.sha256}" for jar in wanted},
        urls=addresses,
        retry_if_failed=settings.retries,
    )
    pooch.get_logger().setLevel("ERROR")  # Do not log retries; the last failure becomes a JarError.
    downloads = 0

    def count(path: str, action: str, _: pooch.Pooch) -> str:
        nonlocal downloads
        downloads += action != "fetch"  # pooch says "fetch" if the file was there already.
        return path

    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        for jar in bar.track(wanted, description="jars"):
            source = addresses[jar.file_name]
            with _error_with_remedy(jar, source, settings):
                cache.fetch(jar.file_name, processor=count, downloader=_downloader(source))
    return downloads


@contextmanager
def _error_with_remedy(jar: Jar, source: str, settings: JarsSection) -> Iterator[None]:
    """Turn errors of a download into errors of RTEA, with the remedy."""
    try:
        yield
    except requests.RequestException as error:
        raise JarError(
            f"jar {jar.coordinates} could not be downloaded from {source}: {error}: "
            "check the network or set jars.mirror"
        ) from error
    except ValueError as error:
        raise JarError(
            f"jar {jar.coordinates} from {source} has a wrong SHA-256, expected {jar.sha256}: "
            "the mirror serves another file; nothing was kept"
        ) from error
    except OSError as error:
        kind = DiskSpaceError if error.errno in (errno.ENOSPC, errno.EDQUOT) else SystemRefusalError
        raise kind(
            f"jar {jar.coordinates} could not be written to {cache_dir(settings)}: {error.strerror}: free some space, "
            "allow writing, or set jars.cache_dir"
        ) from error


class _FileDownloader:
    """Copies a file from a mirror that is a directory (`file://`)."""

    def __call__(self, url: str, output_file: str, _: object) -> None:
        try:
            Path(output_file).write_bytes(Path(url.removeprefix("file://")).read_bytes())
        except FileNotFoundError as error:
            raise requests.ConnectionError(f"{error.filename} not found") from error


def _downloader(source: str) -> pooch.HTTPDownloader | _FileDownloader:
    return _FileDownloader() if source.startswith("file://") else pooch.HTTPDownloader(timeout=30)


def locate(settings: JarsSection, group: Group) -> list[Path]:
    """The paths of a group's jars.

    Raises:
        JarError: a jar is missing.
    """
    paths = [cache_dir(settings) / jar.file_name for jar in read_manifest() if jar.group == group]
    for path in paths:
        if not path.is_file():
            raise JarError(f"jar {path.name} is missing in {path.parent}: run `rtea jars fetch`")
    return paths
