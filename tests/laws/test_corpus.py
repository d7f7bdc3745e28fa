"""Promise: on every input of the fuzzers' corpus, our JSON decoder agrees with Python's own `json`."""

import json
from pathlib import Path

import pytest

from rtea import events
from rtea.errors import InvalidEventError

CORPUS = Path(__file__).parents[2] / "rust_core" / "fuzz" / "corpus"


def refuse(constant: str) -> float:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(constant)


@pytest.mark.parametrize("path", sorted((CORPUS / "json").iterdir()), ids=lambda path: path.name)
def test_we_agree_with_python_s_json(path: Path) -> None:
    value = path.read_bytes()
    try:
        oracle = json.loads(value.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        oracle = None
    try:
        event = events.decode(value)
    except InvalidEventError as error:
        if error.reason in ("invalid_json", "invalid_utf8"):
            # Python takes lone surrogates, and floats beyond the largest as infinite.
            assert oracle is None or b"\\ud" in value or b"1e400" in value
        return
    assert isinstance(oracle, dict)
    assert (event.event_id, event.event_type, event.source) == (
        oracle["event_id"],
        oracle["event_type"],
        oracle["source"],
    )
    assert event.visitor_id == oracle["visitor_id"]
    assert [item.category for item in event.items or []] == [item["category"] for item in oracle.get("items") or []]


def test_the_corpus_has_inputs_for_every_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {"json", "msgpack", "state", "fold"}
    assert all(any(folder.iterdir()) for folder in CORPUS.iterdir())
