"""Promises: files of events are read alike however they are compressed; CSV rows become JSON objects; what cannot be
read
is one clear line.
"""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from rtea import exports
from rtea.errors import InputError

LINES = b'{"a": 1}\n\n  {"a": "\xc3\xa4"}\r\n{"a": 3}'
VALUES = [b'{"a": 1}', b'{"a": "\xc3\xa4"}', b'{"a": 3}']


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.ndjson", LINES),
        ("x.jsonl", LINES),
        ("x.csv.ndjson", b"\xef\xbb\xbf" + LINES),
        ("x.ndjson.gz", gzip.compress(LINES[:12]) + gzip.compress(LINES[12:])),
        ("x.ndjson.zst", zstandard.compress(LINES[:12]) + zstandard.compress(LINES[12:])),
    ],
)
def test_lines_are_the_same_in_every_compression(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(exports.read(tmp_path / name)) == VALUES


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_rows_of_csv_become_objects(suffix: str, tmp_path: Path) -> None:
    content = '\ufeffid,name\r\n1,"a, ""b""\nc"\r\n\r\n2,ä\r\n'.encode()
    packed = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix](content)
    (tmp_path / f"x.csv{suffix}").write_bytes(packed)
    rows = [json.loads(value) for value in exports.read(tmp_path / f"x.csv{suffix}")]
    assert rows == [{"id": "1", "name": 'a, "b"\nc'}, {"id": "2", "name": "ä"}]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.csv", b"a,b\n1\n", "line 2 has 1 fields, its header 2"),
        ("x.csv", b"a,a\n1,2\n", "no header with different names"),
        ("x.csv", b"", "no header"),
        ("x.csv", b"a\n\xff\n", "utf-8"),
        ("x.ndjson.gz", gzip.compress(LINES)[:-9], "cannot be read"),
        ("x.ndjson.gz", b"plain", "cannot be read"),
        ("x.ndjson.zst", b"plain", "cannot be read"),
        ("x.ndjson.zst", zstandard.compress(LINES)[:-1], "cut off"),
        ("x.ndjson.zst", zstandard.compress(LINES) + zstandard.compress(LINES)[:9], "cut off"),
        ("x.csv", b'a,b\n1,"never ends\n2,3\n', "cannot be read"),
        ("missing.ndjson", None, "No such file"),
    ],
)
def test_what_cannot_be_read_is_one_line(name: str, content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem) as refused:
        list(exports.read(tmp_path / name))
    assert str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)
