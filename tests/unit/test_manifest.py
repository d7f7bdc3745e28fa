"""Promise: a manifest is read as it was written, or refused."""

from pathlib import Path

import pytest

from rtea import manifest
from rtea.errors import RteaError
from rtea.manifest import End, Header, Manifest, Revenue, Window

HEADER = Header(manifest.VERSION, seed=1, start_ms=0, window_ms=1000, rate_hz=1000, format="json", topic="events")
WINDOWS = [
    Window(start, start + 1000, 2, {"page_view_mobile": 2}, [Revenue("books", "USD", 5)], {"all": 1, "mobile": 1})
    for start in (0, 1000, 2000)
]
END = End(events=6, failed=0, last_event_ms=2999, complete=True)


def test_reading_inverts_writing(tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.jsonl", HEADER, WINDOWS, END)
    assert manifest.read(tmp_path / "m.jsonl") == Manifest(HEADER, WINDOWS, END)
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_a_manifest_without_its_end_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "m.jsonl"
    manifest.write(path, HEADER, WINDOWS, END)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
    with pytest.raises(RteaError, match="cut off"):
        manifest.read(path)


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
