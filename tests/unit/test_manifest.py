"""Promise: a manifest is read exactly as it was written, or refused."""

from pathlib import Path

import pytest

from rtea import manifest
from rtea.errors import ConfigError, RteaError
from rtea.manifest import End, Header, Manifest, Revenue, Window, Writer

HEADER = Header(manifest.VERSION, seed=1, start_ms=0, window_ms=1000, rate_hz=1000, format="json", topic="events")
WINDOWS = [
    Window(start, start + 1000, 2, {"page_view_mobile": 2}, [Revenue("books", "USD", 5)], {"all": 1, "mobile": 1})
    for start in (0, 1000, 2000)
]
END = End(events=6, failed=0, last_event_ms=2999, complete=True)


def write(path: Path, *, keep_bytes: int = 0) -> None:
    with Writer(path, keep_bytes) as writer:
        for line in (HEADER, *WINDOWS, END):
            writer.add(line)


def test_reading_inverts_writing(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl")
    assert manifest.read(tmp_path / "m.jsonl") == Manifest(HEADER, WINDOWS, END)
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_a_manifest_without_its_end_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "m.jsonl"
    write(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
    with pytest.raises(RteaError, match="cut off"):
        manifest.read(path)


def test_a_manifest_that_grows_can_be_read_so_far(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Writer(path) as writer:
        for count, line in enumerate((HEADER, *WINDOWS)):
            writer.add(line)
            found = manifest.read_cut(path)
            assert (found.windows, found.end, found.sizes[-1]) == (WINDOWS[:count], None, path.stat().st_size)
        whole = path.stat().st_size
        writer.add(END)
        found = manifest.read_cut(path)
        assert (found.header, found.windows, found.end, found.sizes[-1]) == (HEADER, WINDOWS, END, whole)


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines[2])):
        path.write_bytes(lines[0] + lines[1] + lines[2][:kept])
        assert manifest.read_cut(path) == manifest.Cut(
            HEADER, WINDOWS[:1], None, [len(lines[0]), len(lines[0] + lines[1])]
        )
    path.write_bytes(lines[0][:-1])
    with pytest.raises(RteaError, match="has no header"):
        manifest.read_cut(path)


def test_a_writer_continues_at_the_place_that_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write(path)
    with Writer(path, manifest.read_cut(path).sizes[2]) as writer:
        writer.add(WINDOWS[2])
        writer.add(END)
    assert manifest.read(path) == Manifest(HEADER, WINDOWS, END)


def test_two_runs_do_not_write_one_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Writer(path) as writer:
        writer.add(HEADER)
        before = path.read_bytes()
        with pytest.raises(ConfigError, match="being written by another run"):
            Writer(path)
        with open(path, "rb") as shard:
            manifest.hold(shard, path, together=True)
        assert path.read_bytes() == before
    write(path)


def test_damaged_and_absent_manifests_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"kind":"window"}\n')
    with pytest.raises(RteaError, match="damaged"):
        manifest.read(path)
    with pytest.raises(RteaError, match="cannot be read"):
        manifest.read(tmp_path / "absent.jsonl")


def test_a_window_is_finished_once_the_watermark_must_have_passed_it() -> None:
    whole = Manifest(HEADER, WINDOWS, END)
    # 4 partitions at 1000 events/s leave a margin of 160 ms.
    assert [window.window_end_ms for window in whole.finished(watermark_delay_ms=0, partitions=4)] == [1000, 2000]
    assert [window.window_end_ms for window in whole.finished(watermark_delay_ms=839, partitions=4)] == [1000, 2000]
    assert [window.window_end_ms for window in whole.finished(watermark_delay_ms=840, partitions=4)] == [1000]
