"""Promises: a dead letter is read as the job wrote it, its value is text if possible, and a line that is not a dead
letter is one clear error that names its place."""

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtea import aggregate, dead_letters
from rtea.dead_letters import DeadLetter
from rtea.errors import InputError
from rtea.sections import JobSection

FOLDER = aggregate.Folder(window_ms=60_000, max_event_bytes=100, topic="events")


def letter_of(value: bytes | None) -> DeadLetter:
    """The dead letter that the job writes for a value that it refuses."""
    (framed,) = FOLDER.fold(aggregate.pack_records([(9, 7, value)], partition=3)).dead_letters
    key_end = 4 + int.from_bytes(framed[:4], "little")
    letter = dead_letters.decode(framed[key_end:], "a test")
    assert framed[4:key_end].decode() == letter.place
    return letter


@given(value=st.none() | st.binary(max_size=200).filter(lambda value: not value.startswith(b"{")))
def test_a_dead_letter_has_the_record_and_its_place(value: bytes | None) -> None:
    letter = letter_of(value)
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == ("events", 3, 9, 7)
    assert letter.raw == value


@given(value=st.binary(min_size=1, max_size=99).filter(lambda value: not value.startswith(b"{")))
def test_the_value_as_text_is_the_same_value(value: bytes) -> None:
    shown = letter_of(value).with_text()
    assert shown.raw == value
    assert dead_letters.decode(msgspec.json.encode(shown), "a file") == shown
    assert (shown.value is None) == (shown.raw_base64 is not None)


def test_a_corrected_value_takes_precedence_over_the_refused_one() -> None:
    letter = msgspec.structs.replace(letter_of(b"wrong"), value="right")
    assert letter.raw_base64 == base64.b64encode(b"wrong").decode()
    assert letter.raw == b"right"


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"version":1}', b'{"version":"1","reason":"x","topic":"t"}'])
def test_a_line_that_is_not_a_dead_letter_is_refused_with_its_place(text: bytes) -> None:
    with pytest.raises(InputError, match=r"letters\.ndjson line 7 is not a dead letter: .*`rtea dlq show --json`"):
        dead_letters.decode(text, "letters.ndjson line 7")


def test_a_dead_letter_of_a_newer_release_is_refused() -> None:
    with pytest.raises(InputError, match="has version 2, this release reads 1: upgrade it"):
        dead_letters.decode(b'{"version":2,"reason":"x","topic":"t"}', "record")


def mark_of(letter: DeadLetter) -> DeadLetter:
    return DeadLetter(1, dead_letters.REPLAYED, letter.topic, partition=letter.partition, offset=letter.offset)


@given(data=st.data())
def test_a_dead_letter_waits_once_and_not_after_its_replay_was_marked(data: st.DataObject) -> None:
    letters = [msgspec.structs.replace(letter_of(b"wrong"), offset=offset) for offset in range(6)]
    marked = data.draw(st.sets(st.sampled_from(letters)))
    repeated = data.draw(st.lists(st.sampled_from(letters)))
    records = data.draw(st.permutations([*letters, *repeated, *map(mark_of, marked)]))
    found = list(dead_letters.waiting((letter.place, letter) for letter in records))
    assert sorted(letter.offset for letter in found) == sorted(
        {letter.offset for letter in letters if letter not in marked}
    )


def test_a_value_that_does_not_fit_is_cut_and_has_its_digest() -> None:
    folder = aggregate.Folder(window_ms=60_000, max_event_bytes=100, topic="events", max_letter_bytes=8_192)
    value = bytes(range(256)) * 100
    (framed,) = folder.fold(aggregate.pack_records([(9, 7, value)], partition=3)).dead_letters
    letter = dead_letters.decode(framed[4 + int.from_bytes(framed[:4], "little") :], "a test")
    assert len(framed) <= 8_192
    assert letter.is_truncated
    assert value.startswith(letter.raw or b"")
    assert len(letter.raw or b"") == 3_072
    assert (letter.size_bytes, letter.sha256) == (len(value), hashlib.sha256(value).hexdigest())
    problem = dead_letters.find_problem(letter, JobSection(), now_ms=2_000_000)
    assert problem.startswith("it holds the first part of 25600 bytes: take the whole value from events-3-9")
    whole = msgspec.structs.replace(letter, value=GOOD.decode(), timestamp_ms=1_000, is_truncated=False)
    assert dead_letters.find_problem(whole, JobSection(), now_ms=2_000_000) == ""


GOOD = b'{"event_id":"e","event_type":"search","source":"mobile","event_time":1000,"visitor_id":"v"}'


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (GOOD, ""),
        (GOOD.replace(b"mobile", b"kiosk"), "invalid_value: source"),
        (GOOD.replace(b"1000", b"2300001"), "lies in the future"),
        (GOOD + b" " * 300_000, "job.max_event_bytes is 262144"),
        (b"", "it has no value"),
    ],
)
@pytest.mark.parametrize("timestamp_ms", [1_000, -1, 2**62])
def test_a_value_that_would_be_refused_again_is_reported(value: bytes, timestamp_ms: int, problem: str) -> None:
    letter = msgspec.structs.replace(letter_of(b"wrong"), value=value.decode(), timestamp_ms=timestamp_ms)
    found = dead_letters.find_problem(letter, JobSection(), now_ms=2_000_000)
    assert (problem in found) if problem else not found
