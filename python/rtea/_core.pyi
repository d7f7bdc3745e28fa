"""The Rust extension. Its documented faces are `rtea.events`, `rtea.aggregate` and `rtea_gen`."""

from collections.abc import Mapping, Sequence
from typing import Any

DEBUG_BUILD: bool

def minor_digits(currency: str) -> int:
    """Decimals of a currency by ISO 4217; 2 for an unknown one."""

REASONS: list[str]
SKETCH_STANDARD_ERROR: float
METRICS: list[tuple[str, list[tuple[str, str, str, str]]]]

def transcode(value: bytes, format: str) -> bytes: ...

class EventMap:
    def __new__(cls, text: str) -> EventMap: ...
    def transcode(self, value: bytes) -> bytes | None: ...
    def explain(self, value: bytes) -> tuple[bool, tuple[str, str, str] | None, list[tuple[str, str]]]: ...

class Folder:
    def __new__(
        cls,
        *,
        window_ms: int,
        max_skew_ms: int,
        span_ms: tuple[int, int] | None,
        max_event_bytes: int,
        max_letter_bytes: int,
        topic: str,
        max_dimensions: int,
        event_types: Sequence[str],
        categories: Sequence[str],
        currencies: Sequence[str],
        deduplicate_orders: bool,
        metrics: Sequence[str],
        top_products: int,
        event_map: str | None,
        format: str | None,
    ) -> Folder: ...
    def fold(
        self, batch: bytes, now_ms: int
    ) -> tuple[list[tuple[int, bytes]], list[bytes], list[bytes], tuple[int, int, int | None]]: ...

def pack_records(partition: int, next_offset: int, records: Sequence[tuple[int, int, bytes | None]]) -> bytes: ...
def merge_partials(partials: Sequence[bytes]) -> bytes: ...
def accumulate(window: bytes, partial: bytes) -> bytes: ...
def split_orders(partial: bytes) -> tuple[bytes, bytes | None]: ...
def describe_partial(partial: bytes) -> tuple[int, int]: ...
def encode_result(
    partial: bytes, *, window_ms: int, generation: int, settings: str, writer: str, is_final: bool
) -> bytes: ...
def encode_late(partial: bytes, topic: str, max_letter_bytes: int) -> list[bytes]: ...
def count_late(partial: bytes) -> bytes: ...
def merge_refused(first: bytes, second: bytes) -> bytes: ...
def describe_refused(refused: bytes) -> tuple[int, dict[str, int]]: ...
def encode_refused(
    refused: bytes, *, window_ms: int, generation: int, settings: str, writer: str, is_final: bool
) -> bytes: ...
def build_sketch(values: Sequence[bytes]) -> bytes: ...
def merge_sketches(sketches: Sequence[bytes]) -> bytes: ...
def estimate_sketch(sketch: bytes) -> int: ...

class Rhythm:
    def __new__(
        cls,
        *,
        daily: float,
        peak_hour: float,
        weekly: float,
        sale_every_ms: int,
        sale_length_ms: int,
        sale_factor: float,
        ramp_ms: int,
    ) -> Rhythm: ...

class EventClock:
    def __new__(cls, *, start_ms: int, rate_hz: int, rhythm: Rhythm) -> EventClock: ...
    def time_ms(self, number: int) -> int: ...
    def number_at(self, time_ms: int) -> int: ...

class PopulationSettings:
    def __new__(
        cls,
        *,
        mobile_share: float,
        both_share: float,
        account_share: float,
        second_device_share: float,
        login_share: float,
        bot_share: float,
        campaign_share: float,
        hot_share: float,
        hot_products: int,
        transitions: Mapping[str, Mapping[str, Mapping[str, int]]],
        devices: Mapping[str, Sequence[tuple[str, str, str, int]]],
        countries: Sequence[tuple[str, str, str, int]],
        referrers: Sequence[tuple[str, int]],
        campaigns: Mapping[str, Sequence[tuple[str, int]]],
        search_terms: Sequence[str],
        categories: Sequence[tuple[str, int, int]],
    ) -> PopulationSettings: ...
    def model(self) -> dict[str, Any]: ...

class Faults:
    def __new__(
        cls,
        *,
        duplicate: float = 0.0,
        disorder: float = 0.0,
        late: float = 0.0,
        future: float = 0.0,
        malformed: float = 0.0,
        hot_key: float = 0.0,
        disorder_ms: int = 1,
        late_ms: int = 0,
        future_ms: int = 0,
        huge_bytes: int = 0,
        orders_once: bool = False,
    ) -> Faults: ...
    @property
    def hold_ms(self) -> int: ...

def partition_of(key: bytes, partitions: int) -> int: ...

class SentNumbers:
    def __new__(cls, *, seed: int) -> SentNumbers: ...
    def add_value(self, value: bytes) -> bool: ...
    def add(self, number: int, is_copy: bool) -> None: ...
    def contains(self, number: int, is_copy: bool) -> bool: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(bytes: bytes, seed: int) -> SentNumbers: ...

class EventStream:
    def __new__(
        cls,
        *,
        seed: int,
        start_ms: int,
        rate_hz: int,
        window_ms: int,
        lanes: int,
        visitors: int,
        products: int,
        pause_sigma: float = 1.0,
        activity: float = 0.5,
        popularity: float = 0.9,
        rhythm: Rhythm | None = None,
        population_settings: PopulationSettings | None = None,
        faults: Faults | None = None,
        has_shop: bool = False,
    ) -> EventStream: ...
    def batch(self, first: int, stride: int, count: int, format: str) -> tuple[list[bytes], list[bytes], list[int]]: ...
    def records(
        self, first: int, stride: int, count: int, format: str
    ) -> list[tuple[bytes, bytes | None, int, int, str | None]]: ...
    def values(self, first: int, stride: int, count: int, format: str) -> bytes: ...
    def finish(self, end_ms: int, format: str) -> list[tuple[bytes, bytes | None, int, int, str | None]]: ...
    def finish_values(self, end_ms: int, format: str) -> bytes: ...
    def take_truth(self, until_ms: int) -> list[tuple[int, bytes]]: ...

def merge_truth(
    shards: Sequence[bytes], categories: Sequence[str], top_products: int
) -> tuple[
    int,
    list[tuple[str, int]],
    list[tuple[str, str, int]],
    list[tuple[str, int]],
    list[tuple[str, int]],
    list[tuple[str, str, str, int]],
]: ...
