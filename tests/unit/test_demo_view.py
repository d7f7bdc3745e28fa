"""Promise: the demo's view names what is wrong with the job, with the remedy, as `rtea doctor` does."""

from rich.console import Console

from rtea import config as configuration
from rtea.demo import view
from rtea.demo.monitor import Monitor
from rtea.doctor.finding import Finding


def drawn(monitor: Monitor) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(view.draw(monitor, "sending"))
    return captured.get()


def test_the_view_names_problems_and_remedies() -> None:
    monitor = Monitor(configuration.load(), "abc")
    assert "failed" not in drawn(monitor)
    monitor.problems = [Finding("job", "failed", "job abc is restarting: [red]disk full", "remove the cause")]
    assert "failed: job: job abc is restarting: [red]disk full: remove the cause" in drawn(monitor)


def test_the_view_finds_problems_of_a_cluster_that_is_down() -> None:
    monitor = Monitor(configuration.load(flags={"stack.rest_port": 1}), "abc")
    monitor.look()
    assert monitor.problems[0].check == "job"
    assert "rtea stack up" in drawn(monitor)
