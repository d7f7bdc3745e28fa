"""Promise: generator, Kafka, Flink, sink and BigQuery together give the manifest's rows, late correction included."""

from pathlib import Path

import pytest

from rtea.config import BigQuerySection, Config
from tests.flink import pipeline
from tests.flink.test_pipeline import SIMULATED, with_job

pytestmark = [pytest.mark.bigquery, pytest.mark.timeout(400)]


def test_every_row_in_bigquery_equals_the_manifest_also_after_a_late_event(
    pipeline_config: Config, bigquery_section: BigQuerySection, tmp_path: Path
) -> None:
    config = with_job(pipeline_config, allowed_lateness_ms=600_000)
    config = config.model_copy(update={"bigquery": bigquery_section})
    with pipeline.submitted(config), pipeline.sinking(config, "bigquery"):
        sent = pipeline.generated(config, tmp_path / "m.jsonl", *SIMULATED, "--duration", "290")
        pipeline.assert_rows_match(config, sent, least_windows=4, sink="bigquery")
        corrected = pipeline.send_late(config, sent)
        pipeline.assert_rows_match(config, corrected, least_windows=4, sink="bigquery")
