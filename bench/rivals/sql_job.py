"""The same windows in pure Flink SQL, written as its guide recommends (`bench.rivals.flink.Sql`).

It uses the JSON format, window table-valued functions, two-phase aggregation, and one source for three inserts. `flink
run -py` starts it.
"""

import sys
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

from rtea import config as configuration
from rtea.stack import jars

COLUMNS = {
    "counts": "event_type STRING, source STRING, event_count BIGINT",
    "revenue": "category STRING, currency STRING, revenue DECIMAL(20, 2)",
    "visitors": "source STRING, unique_visitors BIGINT",
}

METRICS = {"counts": "event_count", "revenue": "revenue", "visitors": "unique_visitors"}

WINDOW = "TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '{seconds}' SECOND))"


SELECTS = {
    "counts": """SELECT window_start, event_type, source, COUNT(*)
        FROM {window} GROUP BY window_start, window_end, event_type, source""",
    "revenue": """SELECT window_start, category, COALESCE(currency, 'USD'),
            CAST(SUM(price * quantity) AS DECIMAL(20, 2))
        FROM {window} CROSS JOIN UNNEST(items) AS i (category, price, quantity)
        WHERE event_type = 'purchase' GROUP BY window_start, window_end, category, COALESCE(currency, 'USD')""",
    "visitors": """SELECT window_start, source, COUNT(DISTINCT visitor_id)
        FROM {window} GROUP BY window_start, window_end, source""",
}


def main(config_file: Path, names: list[str]) -> None:
    """Submit some of the statements and leave the job running."""
    config = configuration.restore(config_file)
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    settings = tables.get_config()
    settings.set("pipeline.name", "sql")
    settings.set("parallelism.default", str(config.job.parallelism))
    settings.set("pipeline.jars", ";".join(f"file://{path}" for path in jars.locate(config.jars, "flink")))
    settings.set("pipeline.object-reuse", "true")
    settings.set("execution.checkpointing.interval", f"{config.job.checkpoint_interval_ms} ms")
    settings.set("table.exec.source.idle-timeout", f"{config.job.idle_timeout_ms} ms")
    settings.set("table.exec.mini-batch.enabled", "true")
    settings.set("table.exec.mini-batch.allow-latency", "500 ms")
    settings.set("table.exec.mini-batch.size", "5000")
    settings.set("table.optimizer.agg-phase-strategy", "TWO_PHASE")
    kafka = f"'connector' = 'kafka', 'properties.bootstrap.servers' = '{config.kafka.bootstrap_servers}'"
    tables.execute_sql(
        f"""CREATE TABLE events (
            event_type STRING, source STRING, visitor_id STRING, currency STRING,
            items ARRAY<ROW<category STRING, price DECIMAL(12, 2), quantity INT>>,
            ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
            WATERMARK FOR ts AS ts - INTERVAL '{config.job.watermark_delay_ms // 1000}' SECOND
        ) WITH ({kafka}, 'topic' = '{config.kafka.events_topic}', 'scan.startup.mode' = 'earliest-offset',
                'properties.group.id' = 'sql', 'format' = 'json', 'json.ignore-parse-errors' = 'true')"""
    )
    for name in names:
        tables.execute_sql(
            f"CREATE TABLE sql_{name} (window_start TIMESTAMP(3), {COLUMNS[name]}) "
            f"WITH ({kafka}, 'topic' = 'sql_{name}', 'format' = 'json')"
        )
    window = WINDOW.format(seconds=config.job.window_ms // 1000)
    inserts = tables.create_statement_set()
    for name in names:
        inserts.add_insert_sql(f"INSERT INTO sql_{name} {SELECTS[name].format(window=window)}")
    inserts.execute()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","))
