"""Promises of `rtea-gen` without Kafka: files and pipes get the same events as topics, all of them complete. If the
reader goes away, the run ends quietly."""

import gzip
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from rtea import config, events, manifest
from rtea_gen import plan as plans

START = ("--start", "1760000000000", "--rate", "1000", "--speed", "0", "--no-progress")
EVENTS = 5_000


def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "rtea_gen", *START, *arguments]
    return subprocess.run(command, capture_output=True, timeout=120)


def expected(format: str, *faults: str) -> list[bytes]:
    flags = config.parse_flags(("generator.rate=1000", *faults))
    stream = plans.stream(config.load(flags=flags), 1_760_000_000_000)
    return [value or b"" for _, value, *_ in stream.records(0, 1, EVENTS, format)]


@pytest.mark.parametrize("format", ["json", "ga4-json"])
def test_standard_output_has_one_line_per_event_in_order(format: str) -> None:
    ran = run("--sink", "stdout", "--format", format, "--events", str(EVENTS))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split(b"\n") == [*expected(format), b""]
    assert b"5000 events" in ran.stderr
    assert b"manifest: none" in ran.stderr
    assert not list(Path.cwd().iterdir()), "nobody asked for a manifest"


def test_standard_output_has_a_manifest_when_asked() -> None:
    ran = run("--sink", "stdout", "--events", str(EVENTS), "--manifest", "manifest.jsonl")
    assert ran.returncode == 0, ran.stderr
    sent = manifest.read(Path("manifest.jsonl"))
    assert (sent.end.events, sent.end.complete) == (EVENTS, True)


@pytest.mark.parametrize("existing", ["manifest.jsonl", "e.ndjson"])
def test_a_file_that_exists_is_replaced_on_request_only(existing: str) -> None:
    Path(existing).write_text("precious\n")
    arguments = ("--sink", "file", "--path", "e.ndjson", "--procs", "1", "--events", "100")
    ran = run(*arguments)
    assert ran.returncode == 2
    assert ran.stderr.count(b"\n") == 1
    assert f"{existing} exists".encode() in ran.stderr
    assert b"--overwrite" in ran.stderr
    assert Path(existing).read_text() == "precious\n"
    assert [path.name for path in Path.cwd().iterdir()] == [existing]
    ran = run(*arguments, "--overwrite")
    assert ran.returncode == 0, ran.stderr
    assert len(Path("e.ndjson").read_bytes().splitlines()) == 100
    assert manifest.read(Path("manifest.jsonl")).end.complete


def test_messagepack_values_have_no_separators() -> None:
    ran = run("--sink", "stdout", "--format", "msgpack", "--events", str(EVENTS))
    assert ran.stdout == b"".join(expected("msgpack"))


def test_tombstones_and_empty_values_are_empty_lines() -> None:
    ran = run(
        "--sink",
        "stdout",
        "--events",
        str(EVENTS),
        "--set",
        "faults.malformed_share=0.01",
        "--manifest",
        "manifest.jsonl",
    )
    lines = ran.stdout.split(b"\n")
    assert lines == [*expected("json", "faults.malformed_share=0.01"), b""]
    faults = manifest.read(Path("manifest.jsonl")).end.faults
    assert faults["empty"] + faults["null"] == lines[:-1].count(b"")


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_files_hold_every_event_once_whatever_their_number(compression: str) -> None:
    arguments = ("--sink", "file", "--path", "e.ndjson", "--compression", compression, "--events", str(EVENTS))
    for procs in (1, 3):
        ran = run(*arguments, "--procs", str(procs), "--overwrite")
        assert ran.returncode == 0, ran.stderr
        paths = [Path("e.ndjson")] if procs == 1 else [Path(f"e-{n}.ndjson") for n in range(procs)]
        read = {
            "none": Path.read_bytes,
            "gzip": lambda path: gzip.decompress(path.read_bytes()),
            "zstd": lambda path: zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()),
        }[compression]
        parts = [read(path).splitlines() for path in paths]
        merged: list[bytes] = []
        for n in range(EVENTS):
            merged.append(parts[n % procs][n // procs])
        assert merged == expected("json")
        assert sum(map(len, parts)) == EVENTS


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_closed_pipe_ends_the_run_quietly(compression: str) -> None:
    command = [sys.executable, "-m", "rtea_gen", *START, "--sink", "stdout", "--compression", compression]
    command += ["--manifest", "manifest.jsonl"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        assert ran.stdout.read(100_000)
        ran.stdout.close()
        errors = ran.stderr.read().decode()
        assert ran.wait(60) == 0, errors
    assert errors.count("\n") == 1, errors
    assert "the reader closed the pipe" in errors
    assert not manifest.read(Path("manifest.jsonl")).end.complete


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_file_that_may_not_grow_ends_the_run_with_an_error(compression: str) -> None:
    command = [sys.executable, "-m", "rtea_gen", *START, "--sink", "file", "--path", "e.ndjson", "--procs", "1"]
    command += ["--compression", compression, "--events", "20000"]
    limited = f"ulimit -f 128 && exec {shlex.join(command)}"
    ran = subprocess.run(["bash", "-c", limited], capture_output=True, timeout=120)
    assert ran.returncode == 11, ran.stderr
    assert ran.stderr.count(b"\n") == 1, ran.stderr
    assert b"File too large" in ran.stderr
    assert not manifest.read(Path("manifest.jsonl")).end.complete


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_pipe_that_does_not_block_gets_every_byte(compression: str) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-m", "rtea_gen", *START, "--sink", "stdout", "--compression", compression]
    with subprocess.Popen([*command, "--events", "30000"], stdout=writing, stderr=subprocess.PIPE) as ran:
        os.close(writing)
        with open(reading, "rb") as pipe:
            found = pipe.read()
        assert ran.wait(60) == 0, ran.stderr and ran.stderr.read()
    whole = {
        "none": bytes,
        "gzip": gzip.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }[compression](found)
    assert whole.count(b"\n") == 30_000
    assert whole.endswith(b"}\n")


def test_a_disk_that_fills_with_held_back_events_is_an_error() -> None:
    late = ("--set", "faults.disorder_share=1", "--set", "faults.disorder_ms=60000")
    ran = run("--sink", "file", "--path", "/dev/full", "--procs", "1", "--events", "100", *late)
    assert ran.returncode == 11
    assert b"No space left on device" in ran.stderr


def test_a_reader_that_does_not_read_delays_ctrl_c_by_at_most_ten_seconds() -> None:
    command = [sys.executable, "-m", "rtea_gen", *START, "--sink", "stdout", "--manifest", "manifest.jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        assert ran.stdout.read(100_000)
        ran.send_signal(signal.SIGINT)
        assert ran.wait(15) == 130
    assert not manifest.read(Path("manifest.jsonl")).end.complete


def test_a_terminal_shows_progress_and_closing_it_leaves_a_complete_manifest() -> None:
    outer, inner = pty.openpty()
    endless = [
        sys.executable,
        "-m",
        "rtea_gen",
        "--rate",
        "1000",
        "--sink",
        "file",
        "--path",
        "e.ndjson",
        "--procs",
        "1",
    ]
    # These tests may themselves run below nohup.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    with subprocess.Popen([*endless, "--progress"], stdin=inner, stdout=inner, stderr=inner, **heard) as ran:  # type: ignore[call-overload]
        os.close(inner)
        shown = b""
        while b"/s" not in shown:
            shown += os.read(outer, 65_536)
            assert ran.poll() is None, shown
        ran.send_signal(signal.SIGHUP)
        ran.send_signal(signal.SIGHUP)
        os.close(outer)
        assert ran.wait(30) == 0
    sent = manifest.read(Path("manifest.jsonl"))
    assert sent.end.complete
    assert len(Path("e.ndjson").read_bytes().splitlines()) == sent.end.events


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_full_disk_is_one_line(compression: str) -> None:
    ran = run("--sink", "file", "--path", "/dev/full", "--procs", "1", "--events", "100", "--compression", compression)
    assert ran.returncode == 11
    assert b"No space left on device" in ran.stderr
    assert ran.stderr.count(b"\n") == 1


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing() -> None:
    weights = 'generator.transitions={"mobile":{"search":{"leave":7}}}'
    ran = run("--dry-run", "--duration", "60", "--set", weights)
    assert ran.returncode == 0, ran.stderr
    shown = dict(line.split(": ", 1) for line in ran.stdout.decode().splitlines())
    assert shown["events"].startswith("60,000, numbers from 0")
    assert shown["event time"].startswith("from 2025-10-09 08:53:20.000+00:00 to 2025-10-09 08:54:19.999")
    assert json.loads(shown["transitions"])["mobile"]["search"] == {"leave": 7}
    assert json.loads(shown["transitions"])["website"]["add_to_cart"]["begin_checkout"] == 32
    assert ["US", "en-US", "USD", 46] in json.loads(shown["countries"])
    assert ["electronics", 1999, 249900] in json.loads(shown["categories"])
    assert ["", 3] in json.loads(shown["referrers"])
    assert not list(Path.cwd().iterdir())


def test_mixes_from_the_settings_are_in_use_and_in_the_manifest() -> None:
    given: dict[str, Any] = {
        "countries": [["NZ", "mi-NZ", "NZD", 1]],
        "referrers": [["https://a.example/", 2]],
        "campaigns": {"mobile": [["app", 1]], "website": [["web", 1]]},
        "search_terms": ["kiwi"],
        "categories": [["wool", 100, 200]],
    }
    flags = [text for name, value in given.items() for text in ("--set", f"generator.{name}={json.dumps(value)}")]
    shown = dict(line.split(": ", 1) for line in run("--dry-run", *flags).stdout.decode().splitlines())
    assert {name: json.loads(shown[name]) for name in given} == given
    ran = run("--sink", "stdout", "--events", "20000", "--manifest", "m.jsonl", *flags)
    sent = [events.decode(line) for line in ran.stdout.splitlines()]
    assert {event.search_term for event in sent} == {None, "kiwi"}
    assert {event.campaign for event in sent} == {None, "app", "web"}
    assert {event.referrer for event in sent} == {None, "https://a.example/"}
    assert {event.device.country for event in sent if event.device and event.device.country} == {"NZ"}
    assert {item.category for event in sent for item in event.items or ()} == {"wool"}
    revenue = {
        (row.category, row.currency) for window in manifest.read(Path("m.jsonl")).windows for row in window.revenue
    }
    assert revenue == {("wool", "NZD")}


def test_the_printed_configuration_is_the_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rtea.toml").write_text("[generator]\nrate = 5\nbot_share = 0.5\nseed = 3\n")
    monkeypatch.setenv("RTEA_GENERATOR__BOT_SHARE", "0.25")
    monkeypatch.setenv("RTEA_GENERATOR__DEVICES", '{"mobile": [["Sailfish", "1.0", "720x1440", 1]]}')
    command = [sys.executable, "-m", "rtea_gen", "--print-config", "--seed", "9"]
    printed = msgspec.json.decode(subprocess.run(command, capture_output=True, check=True).stdout)["generator"]
    assert (printed["rate"], printed["bot_share"], printed["seed"]) == (5, 0.25, 9)
    assert printed["devices"] == {"mobile": [["Sailfish", "1.0", "720x1440", 1]]}


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ('generator.transitions={"tablet":{}}', 'walker "tablet" is unknown: expected one of mobile, website, bot'),
        ('generator.transitions={"bot":{"landing":{"fly":1}}}', 'next state "fly" is unknown'),
        ('generator.devices={"mobile":[["a","b","c",0]]}', "devices.mobile: expected a positive weight"),
        ('generator.campaigns={"tv":[["a",1]]}', 'source "tv" is unknown: expected one of mobile, website'),
        ('generator.referrers=[["",-1]]', "generator.referrers.0.1"),
        ('generator.referrers=[["",0]]', "referrers: expected a positive weight"),
        ('generator.countries=[["NZ","en-NZ","nzd",1]]', 'currency "nzd" of "NZ": expected three capital letters'),
        ('generator.categories=[["a",5,1]]', 'categories: "a" from 5 to 1: expected a name of 1 to 64 characters'),
        ('generator.categories=[["a",1,2],["a",1,2]]', "categories: expected at most 1000, each name once"),
    ],
)
def test_an_invalid_model_is_one_line(setting: str, line: str) -> None:
    ran = run("--sink", "stdout", "--events", "10", "--set", setting)
    assert ran.returncode == 2, ran.stderr
    assert line in ran.stderr.decode()
    assert ran.stderr.count(b"\n") == 1
