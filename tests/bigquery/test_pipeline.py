"""Promise: generator, Kafka, Flink, sink and BigQuery together give the manifest's rows, also after a late
correction."""

from pathlib import Path

import pytest

from rtea.config import Config
from rtea.sections import BigQuerySection
from tests.bigquery import emulator
from tests.conftest import stack_config
from tests.flink import pipeline
from tests.flink.test_pipeline import SIMULATED, with_job
from tests.stack.test_demo import demo
from tests.stack.test_stack import processes_below

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


def test_the_demo_proves_its_rows_in_bigquery(bigquery_section: BigQuerySection, tmp_path: Path) -> None:
    config = stack_config(tmp_path / "state", job__window_ms=5_000)
    config = config.model_copy(update={"bigquery": bigquery_section.model_copy(update={"project": None})})
    arguments = ("--sink", "bigquery", "--project", emulator.PROJECT)
    ran = demo(config, "--rate", "2000", "--minutes", "0.4", *arguments)
    output, errors = ran.communicate()
    assert ran.returncode == 0, output + errors
    assert "windows match" in output
    assert f"rows stay in table {bigquery_section.table_id}_demo_" in output
    assert processes_below(tmp_path) == []
