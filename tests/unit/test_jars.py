"""Promises: jars are downloaded once, checked, retried, and never left half written; set-up gets them and compiles ours
while the Rust extension compiles.
"""

import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtea.errors import JarError
from rtea.sections import JarsSection
from rtea.stack import jars
from rtea.stack.jars import Jar

CONTENT = b"a jar" * 1000


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> Jar:
    """The manifest holds this one jar."""
    jar = Jar("kafka", "org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(jars, "read_manifest", lambda: [jar])
    return jar


def mirror(root: Path, content: bytes) -> str:
    folder = root / "mirror" / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(content)
    return (root / "mirror").as_uri()


def test_the_manifest_pins_every_group() -> None:
    manifest = jars.read_manifest()
    assert {jar.group for jar in manifest} == {"kafka", "flink", "build", "test", "bench"}
    assert len({(jar.group, jar.coordinates) for jar in manifest}) == len(manifest)
    assert all(len(jar.sha256) == 64 for jar in manifest)


def test_fetch_downloads_once_and_repairs_a_damaged_file(tmp_path: Path, pinned: Jar) -> None:
    settings = JarsSection(mirror=mirror(tmp_path, CONTENT), cache_dir=tmp_path / "cache", retries=0)
    assert jars.fetch(settings, progress=False) == 1
    assert jars.fetch(settings, progress=False) == 0
    (path,) = jars.locate(settings, "kafka")
    path.write_bytes(CONTENT[:-1])
    assert jars.fetch(settings, progress=False) == 1
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_leaves_no_file(tmp_path: Path, pinned: Jar) -> None:
    settings = JarsSection(mirror=mirror(tmp_path, b"something else"), cache_dir=tmp_path / "cache", retries=0)
    with pytest.raises(JarError, match=r"org\.example:thing:1\.0 .* wrong SHA-256"):
        jars.fetch(settings, progress=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_jar_names_the_remedy(tmp_path: Path, pinned: Jar) -> None:
    with pytest.raises(JarError, match="run `rtea jars fetch`"):
        jars.locate(JarsSection(cache_dir=tmp_path), "kafka")


@pytest.fixture
def flaky_mirror() -> Iterator[tuple[str, list[str]]]:
    """A server that drops the first two requests; the list collects what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) <= 2:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_failed_download_is_tried_again(tmp_path: Path, pinned: Jar, flaky_mirror: tuple[str, list[str]]) -> None:
    address, asked = flaky_mirror
    assert jars.fetch(JarsSection(mirror=address, cache_dir=tmp_path, retries=2), progress=False) == 1
    assert asked == ["/org/example/thing/1.0/thing-1.0.jar"] * 3


def test_an_unreachable_mirror_is_one_clear_line(tmp_path: Path, pinned: Jar) -> None:
    with pytest.raises(JarError, match=r"could not be downloaded .* set jars\.mirror"):
        jars.fetch(JarsSection(mirror="http://127.0.0.1:1", cache_dir=tmp_path, retries=0), progress=False)


SET_UP_WITHOUT_THE_EXTENSION = """
import runpy, sys
sys.modules["rtea._core"] = None
runpy.run_path(sys.argv[1], run_name="imported")
from rtea.cli import main
sys.argv = ["rtea", "jars", "fetch", "--mirror", sys.argv[2]]
main()
"""


def test_set_up_needs_no_extension_to_fetch_and_build_jars(tmp_path: Path) -> None:
    build = Path(__file__).parents[2] / "jars" / "build.py"
    done = subprocess.run(
        [sys.executable, "-c", SET_UP_WITHOUT_THE_EXTENSION, str(build), (tmp_path / "no mirror").as_uri()],
        env={"RTEA_JARS__CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == JarError.exit_code
    assert done.stderr.strip().startswith("error: jar ")
    assert "no%20mirror" in done.stderr
