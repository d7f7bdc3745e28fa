"""Promises of the BigQuery sink on a real server: it writes every row exactly once, whatever fails in between; it waits
out outages; an error that a retry cannot fix is one line with the remedy."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from rtea import aggregate
from rtea.errors import SinkError
from rtea.sections import BigQuerySection
from rtea.sinks import metrics, result, table
from rtea.sinks.bigquery import schema
from rtea.sinks.bigquery.sink import BigQuerySink
from rtea.sinks.contract import AbandonedError, Batch
from rtea.sinks.result import Row, WindowResult
from tests.bigquery.emulator import Emulator
from tests.bigquery.proxy import Fault, Proxy

pytestmark = [pytest.mark.bigquery, pytest.mark.timeout(120)]

NEVER = threading.Event()
LOAD, MERGE = "rtea-load-", "rtea-merge-"


def batch(revision: int = 5, name: str = "b", windows: int = 1) -> Batch:
    sketch = aggregate.build_sketch([b"a", b"b"])
    rows = [
        Row("event_count", "page_view_mobile", "", revision, None, None, None),
        Row("revenue", "books", "USD", None, "1250", None, None),
        Row("unique_visitors", "all", "", None, None, 2, sketch),
    ]
    results = [
        WindowResult(result.VERSION, n * 60_000, (n + 1) * 60_000, 1, revision, "", rows) for n in range(windows)
    ]
    return Batch(results, (name * 32)[:32])


@pytest.fixture
def sink(bigquery_section: BigQuerySection) -> Iterator[BigQuerySink]:
    sink = BigQuerySink(bigquery_section)
    sink.open()
    yield sink
    sink.close()


def counts(sink: BigQuerySink) -> dict[int, tuple[int | None, int]]:
    rows = sink.read(0, 10**12)
    assert len({(row.window_start_ms, row.metric, row.dimension, row.currency) for row in rows}) == len(rows)
    return {row.window_start_ms: (row.event_count, row.revision) for row in rows if row.metric == "event_count"}


def job_ids(sink: BigQuerySink, prefix: str, name: str) -> list[str]:
    """Ids of the jobs of a batch; the emulator's history is shared by all tests, so names differ."""
    return sorted(job.job_id for job in sink.client.list_jobs() if job.job_id.startswith(prefix + (name * 32)[:32]))


def staging_tables(sink: BigQuerySink) -> list[str]:
    dataset = sink.table_id.rpartition(".")[0]
    return [entry.table_id for entry in sink.client.list_tables(dataset) if "staging" in entry.table_id]


@pytest.mark.parametrize(
    ("method", "text", "status", "reason"),
    [
        ("POST", LOAD, 503, "backendError"),
        ("POST", LOAD, 403, "rateLimitExceeded"),
        ("POST", MERGE, 403, "quotaExceeded"),
        ("POST", MERGE, 429, "rateLimitExceeded"),
        ("PATCH", "__staging_", 500, "internalError"),
        ("GET", "jobs/rtea-", 502, "badGateway"),
        ("GET", "jobs/rtea-", 404, "notFound"),
        ("DELETE", "__staging_", 503, "backendError"),
    ],
)
def test_transient_refusals_are_tried_again(
    sink: BigQuerySink, bigquery_proxy: Proxy, method: str, text: str, status: int, reason: str
) -> None:
    fault = Fault(method, text, "refuse", times=2, status=status, reason=reason)
    if method == "GET":
        bigquery_proxy.faults.append(Fault("POST", MERGE, "lose"))  # Only then is a job that exists asked for.
    bigquery_proxy.faults.append(fault)
    before = metrics.RETRIES.labels("bigquery")._value.get()
    # A batch of its own: job ids are the project's, and the emulator is shared.
    sink.write(batch(name=f"{method}{text.strip('_-/').replace('/', '')}{status}".lower().replace("-", "")), NEVER)
    assert fault.reached.is_set()
    assert counts(sink) == {0: (5, 5)}
    if method != "DELETE" and status != 404:  # A staging table that stays is removed by its expiration.
        assert metrics.RETRIES.labels("bigquery")._value.get() >= before + 2
        assert staging_tables(sink) == []


@pytest.mark.parametrize(("number", "text"), list(enumerate([LOAD, MERGE])))
def test_a_lost_answer_runs_no_job_twice(sink: BigQuerySink, bigquery_proxy: Proxy, number: int, text: str) -> None:
    name = f"lost{number}"
    bigquery_proxy.faults.append(Fault("POST", text, "lose"))
    sink.write(batch(name=name), NEVER)
    assert counts(sink) == {0: (5, 5)}
    assert len(job_ids(sink, LOAD, name)) == len(job_ids(sink, MERGE, name)) == 1


def write_at_once(section: BigQuerySection, names: list[str]) -> BigQuerySink:
    """Four sinks write the same windows at the same time, in batches of these names; returns one of them."""
    sinks = [BigQuerySink(section) for _ in range(4)]
    for sink in sinks:
        sink.open()
    errors: list[BaseException] = []
    start = threading.Barrier(4)

    def write(sink: BigQuerySink, name: str) -> None:
        try:
            start.wait()
            sink.write(batch(name=name, windows=3), NEVER)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(sinks, names, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    return sinks[0]


def test_four_sinks_at_once_on_one_batch_write_it_once(bigquery_section: BigQuerySection) -> None:
    sink = write_at_once(bigquery_section, ["four"] * 4)
    assert counts(sink) == {0: (5, 5), 60_000: (5, 5), 120_000: (5, 5)}


def test_four_sinks_with_different_batches_insert_each_row_once(bigquery_section: BigQuerySection) -> None:
    sink = write_at_once(bigquery_section, ["cut1", "cut2", "cut3", "cut4"])
    assert counts(sink) == {0: (5, 5), 60_000: (5, 5), 120_000: (5, 5)}
    (row,) = sink.client.query(f"SELECT turn FROM `{sink.table_id}__writer`").result()
    assert row.turn == 5, "every MERGE must have updated the one row that keeps them apart"


def test_a_merge_without_the_row_that_serializes_merges_is_refused(sink: BigQuerySink) -> None:
    sink.client.query(f"DELETE FROM `{sink.table_id}__writer` WHERE TRUE").result()
    with pytest.raises(SinkError, match=r"__writer holds no row: drop it"):
        sink.write(batch(name="norow"), NEVER)
    assert counts(sink) == {}
    sink.client.delete_table(f"{sink.table_id}__writer")
    sink.open()
    sink.write(batch(name="row"), NEVER)
    assert counts(sink) == {0: (5, 5)}


def test_an_expired_writer_table_is_recreated(sink: BigQuerySink) -> None:
    sink.write(batch(name="before"), NEVER)
    sink.client.delete_table(f"{sink.table_id}__writer")
    sink.write(batch(name="after", revision=6), NEVER)
    assert counts(sink) == {0: (6, 6)}
    (row,) = sink.client.query(f"SELECT turn FROM `{sink.table_id}__writer`").result()
    assert row.turn == 2


def test_a_batch_written_by_an_earlier_run_is_written_again(
    bigquery_section: BigQuerySection, sink: BigQuerySink
) -> None:
    sink.write(batch(name="again"), NEVER)
    sink.client.query(f"DELETE FROM `{sink.table_id}` WHERE TRUE").result()
    later = BigQuerySink(bigquery_section)
    assert later.open() is True
    later.write(batch(name="again"), NEVER)
    assert counts(later) == {0: (5, 5)}


def test_a_killed_and_restarted_server_loses_nothing(
    sink: BigQuerySink, bigquery_proxy: Proxy, bigquery_server: Emulator
) -> None:
    held = Fault("POST", MERGE, "hold_before")
    bigquery_proxy.faults.append(held)
    thread = threading.Thread(target=sink.write, args=(batch(name="kill", windows=4), NEVER))
    thread.start()
    assert held.reached.wait(60)
    bigquery_server.kill()
    held.release.set()
    bigquery_server.start()
    thread.join()
    assert counts(sink) == {n * 60_000: (5, 5) for n in range(4)}


def test_an_expired_staging_table_is_loaded_again(sink: BigQuerySink, bigquery_proxy: Proxy) -> None:
    held = Fault("POST", MERGE, "hold_before")
    bigquery_proxy.faults.append(held)
    thread = threading.Thread(target=sink.write, args=(batch(name="gone"), NEVER))
    thread.start()
    assert held.reached.wait(60)
    (staging,) = staging_tables(sink)
    sink.client.delete_table(f"{sink.table_id.rpartition('.')[0]}.{staging}")
    before = metrics.RETRIES.labels("bigquery")._value.get()
    held.release.set()
    thread.join()
    assert counts(sink) == {0: (5, 5)}
    assert metrics.RETRIES.labels("bigquery")._value.get() >= before + 2, "the lost request, and the lost table"


def test_old_staging_tables_are_dropped(
    sink: BigQuerySink, bigquery_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    held = Fault("PATCH", "__staging_", "hold_before")
    bigquery_proxy.faults.append(held)

    def write() -> None:
        with suppress(AbandonedError):
            sink.write(batch(name="swept"), stop)

    thread = threading.Thread(target=write)
    thread.start()
    assert held.reached.wait(60)
    stop.set()
    held.release.set()
    thread.join()
    (staging,) = staging_tables(sink)
    assert sink.client.get_table(f"{sink.table_id.rpartition('.')[0]}.{staging}").expires is None
    sink.open()
    assert staging_tables(sink) == [staging], "another sink may be at work with it"
    monkeypatch.setattr("rtea.sinks.bigquery.destination.STAGING_LIFE", timedelta(0))
    sink.open()
    assert staging_tables(sink) == []
    assert sink.client.get_table(sink.table_id)
    assert sink.client.get_table(f"{sink.table_id}__writer")


def test_a_staging_table_expires_if_a_crash_leaves_it(sink: BigQuerySink, bigquery_proxy: Proxy) -> None:
    bigquery_proxy.faults.append(Fault("DELETE", "__staging_", "refuse"))
    sink.write(batch(name="left"), NEVER)
    (staging,) = staging_tables(sink)
    left = sink.client.get_table(f"{sink.table_id.rpartition('.')[0]}.{staging}")
    assert left.expires is not None
    assert timedelta(hours=23) < left.expires - datetime.now(timezone.utc) < timedelta(hours=25)


def test_four_sinks_at_once_write_a_batch_of_an_earlier_run_again(bigquery_section: BigQuerySection) -> None:
    for _ in range(4):
        sink = write_at_once(bigquery_section, ["rerun"] * 4)
        assert counts(sink) == {0: (5, 5), 60_000: (5, 5), 120_000: (5, 5)}
        sink.client.query(f"DELETE FROM `{sink.table_id}` WHERE TRUE").result()


def test_the_sink_waits_out_an_outage_until_it_must_stop(sink: BigQuerySink, bigquery_proxy: Proxy) -> None:
    stop, raised = threading.Event(), []

    def write() -> None:
        try:
            sink.write(batch(name="stop"), stop)
        except AbandonedError as error:
            raised.append(error)

    outage = Fault("POST", "", "refuse", times=10**9)
    bigquery_proxy.faults.append(outage)
    thread = threading.Thread(target=write)
    thread.start()
    assert outage.reached.wait(60)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(raised) == 1
    outage.times = 0
    assert counts(sink) == {}
    sink.write(batch(name="stop"), NEVER)
    assert counts(sink) == {0: (5, 5)}


def test_a_denied_permission_names_the_roles(sink: BigQuerySink, bigquery_proxy: Proxy) -> None:
    bigquery_proxy.faults.append(Fault("POST", MERGE, "refuse", status=403, reason="accessDenied"))
    with pytest.raises(SinkError, match=r"denies access .*bigquery\.jobUser .*bigquery\.dataEditor"):
        sink.write(batch(name="denied"), NEVER)


def test_a_missing_table_names_the_option(bigquery_section: BigQuerySection) -> None:
    with pytest.raises(SinkError, match=r"does not find table demo\.d_\w+\.ecommerce_metrics.*--create"):
        BigQuerySink(bigquery_section.model_copy(update={"create": False})).open()


def test_a_server_that_never_answers_is_one_line(
    bigquery_section: BigQuerySection, bigquery_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtea.sinks.bigquery.retries.PATIENCE_SECONDS", 0.5)
    bigquery_proxy.faults.append(Fault("POST", "", "refuse", times=10**9))
    with pytest.raises(SinkError, match=r"does not answer for table .*check the network"):
        BigQuerySink(bigquery_section).open()


def test_opening_with_a_stop_event_waits_for_the_server(
    bigquery_section: BigQuerySection, bigquery_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtea.sinks.bigquery.retries.PATIENCE_SECONDS", 0.0)
    bigquery_proxy.faults.append(Fault("GET", "datasets", "refuse", times=3))
    sink = BigQuerySink(bigquery_section)
    assert sink.open(NEVER) is True
    outage = Fault("GET", "datasets", "refuse", times=10**9)
    bigquery_proxy.faults.append(outage)
    stop = threading.Event()
    threading.Thread(target=lambda: outage.reached.wait(60) and stop.set()).start()
    with pytest.raises(AbandonedError):
        sink.open(stop)


def test_bytes_billed_are_counted(sink: BigQuerySink, bigquery_proxy: Proxy) -> None:
    for method in ("POST", "GET"):
        bigquery_proxy.faults.append(
            Fault(
                method,
                "rtea-",
                "amend",
                times=99,
                replace=(b'"totalBytesBilled":"0"', b'"totalBytesBilled":"31457280"'),
            )
        )
    before = metrics.BYTES_BILLED.labels("bigquery")._value.get()
    sink.write(batch(name="billed"), NEVER)
    assert metrics.BYTES_BILLED.labels("bigquery")._value.get() == before + 31_457_280


def test_the_table_is_made_as_documented(sink: BigQuerySink) -> None:
    made = sink.client.get_table(sink.table_id)
    assert [field.name for field in made.schema] == [column.name for column in table.COLUMNS]
    assert all(field.description for field in made.schema)
    assert made.time_partitioning.field == "window_start"
    assert made.time_partitioning.type_ == "DAY"
    assert made.clustering_fields == ["metric", "dimension"]


def test_partitions_expire_if_the_settings_say_so(bigquery_section: BigQuerySection) -> None:
    sink = BigQuerySink(bigquery_section.model_copy(update={"partition_expiration_days": 30}))
    sink.open()
    assert sink.client.get_table(sink.table_id).time_partitioning.expiration_ms == 30 * 86_400_000


def make_table(sink: BigQuerySink, fields: list[SchemaField]) -> None:
    sink.client.create_dataset(sink.table_id.rpartition(".")[0], exists_ok=True)
    sink.client.create_table(bigquery.Table(sink.table_id, schema=fields))


def test_a_table_that_differs_is_refused_with_the_difference(bigquery_section: BigQuerySection) -> None:
    sink = BigQuerySink(bigquery_section)
    wrong = [field for field in schema.fields() if field.name not in ("revenue", "revision")]
    make_table(sink, [*wrong, SchemaField("revenue", "STRING"), SchemaField("revision", "INT64")])
    with pytest.raises(SinkError) as refused:
        sink.open()
    assert "revenue is STRING NULLABLE, expected NUMERIC NULLABLE" in str(refused.value)
    assert "revision is INT64 NULLABLE, expected INT64 REQUIRED" in str(refused.value)


def test_nullable_columns_are_added_only_when_asked_to(bigquery_section: BigQuerySection) -> None:
    sink = BigQuerySink(bigquery_section)
    make_table(sink, [field for field in schema.fields() if field.name != "visitors_sketch"])
    with pytest.raises(
        SinkError, match="lacks the nullable columns visitors_sketch BYTES: add them with --add-columns"
    ):
        sink.open()
    assert "visitors_sketch" not in {field.name for field in sink.client.get_table(sink.table_id).schema}
    sink = BigQuerySink(bigquery_section.model_copy(update={"add_columns": True}))
    sink.open()
    sink.write(batch(name="added"), NEVER)
    assert [row.visitors_sketch for row in sink.read(0, 1) if row.metric == "unique_visitors"] == [
        aggregate.build_sketch([b"a", b"b"])
    ]


def test_additional_columns_do_no_harm(bigquery_section: BigQuerySection) -> None:
    sink = BigQuerySink(bigquery_section)
    make_table(sink, [SchemaField("note", "STRING"), *schema.fields()])
    sink.open()
    sink.write(batch(name="own"), NEVER)
    assert counts(sink) == {0: (5, 5)}


def test_rows_carry_the_time_of_writing(sink: BigQuerySink) -> None:
    before_ms = datetime.now(timezone.utc).timestamp() * 1000 - 1
    sink.write(batch(name="time"), NEVER)
    assert all(before_ms <= row.updated_at_ms <= time.time() * 1000 for row in sink.read(0, 1))
