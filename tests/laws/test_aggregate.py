"""Promises of `rtea.aggregate`: damaged state raises our own errors, a merge of sketches is their union, and packed
batches have the layout that Java writes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea import aggregate
from rtea.errors import InvalidBatchError, StateError

FOLDER = aggregate.Folder(window_ms=60_000, max_event_bytes=10_000, topic="events")


def event(number: int, visitor: str = "v") -> bytes:
    head = f'{{"event_id":"{number}","event_type":"page_view","source":"mobile","event_time":{number}'
    return f'{head},"visitor_id":"{visitor}"}}'.encode()


def partial(*numbers: int) -> bytes:
    ((_, partial),) = FOLDER.fold(aggregate.pack_records([(n, n, event(n)) for n in numbers])).partials
    return partial


@given(
    partition=st.integers(0, 9), records=st.lists(st.tuples(st.integers(0, 2**40), st.none() | st.binary(max_size=20)))
)
def test_the_packed_layout_is_the_documented_one(partition: int, records: list[tuple[int, bytes | None]]) -> None:
    packed = aggregate.pack_records([(offset, 7, value) for offset, value in records], partition=partition)
    expected = struct.pack("<iq", partition, records[-1][0] + 1 if records else 0)
    expected += b"".join(
        struct.pack("<qqi", offset, 7, -1 if value is None else len(value)) + (value or b"")
        for offset, value in records
    )
    assert packed == expected


@given(first=st.sets(st.binary(max_size=4)), second=st.sets(st.binary(max_size=4)))
def test_merging_sketches_is_the_union(first: set[bytes], second: set[bytes]) -> None:
    merged = aggregate.merge_sketches([aggregate.build_sketch(first), aggregate.build_sketch(second)])
    assert aggregate.estimate_sketch(merged) == aggregate.estimate_sketch(aggregate.build_sketch(first | second))


def test_partials_of_different_windows_do_not_merge() -> None:
    with pytest.raises(StateError, match="windows at 0 and 60000 ms"):
        aggregate.merge_partials(partial(1), partial(60_001))


@pytest.mark.parametrize("state", [b"", b"\x01", b"\x01junk", b"\x63" + b"x" * 40])
def test_damaged_and_foreign_state_is_refused(state: bytes) -> None:
    with pytest.raises(StateError):
        aggregate.describe_partial(state)


def test_the_number_of_events_is_the_revision() -> None:
    merged = aggregate.merge_partials(partial(1, 2), partial(3))
    assert aggregate.describe_partial(merged) == (0, 3)


def test_a_broken_batch_is_an_error() -> None:
    with pytest.raises(InvalidBatchError, match="byte 0: batch header cut off"):
        FOLDER.fold(b"short")
