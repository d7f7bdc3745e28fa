"""All checks in the order of an event's path, and what they come to."""

from collections.abc import Iterator

from rtea.config import Config
from rtea.doctor import broker, jobs, machine, producers, results, services
from rtea.doctor.finding import Check, Finding

# Each line is a check. It may need those above it.
CHECKS = (
    Check("python", machine.python),
    Check("java", machine.java_runtime, ("python",)),
    Check("jars", machine.jar_files),
    Check("disk", machine.disk),
    Check("stack", machine.processes, ("java",)),
    Check("broker", broker.answers),
    Check("clock", broker.clock, ("broker",)),
    Check("topics", broker.settings_of_topics, ("broker",)),
    Check("producers", producers.seen, ("broker", "topics")),
    Check("transactions", broker.transactions, ("broker", "topics")),
    Check("flink", jobs.flink),
    Check("job", jobs.running, ("flink", "broker", "topics")),
    Check("checkpoints", jobs.checkpoints, ("flink", "job")),
    Check("partitions", jobs.partitions, ("flink", "job", "broker", "topics")),
    Check("results", results.written, ("broker", "topics")),
    Check("access", services.access),
    Check("sink", results.sinks, ("broker", "topics")),
    Check("table", results.stored, ("broker", "topics", "results", "sink")),
    Check("dashboard", services.page),
)


def examine(config: Config) -> Iterator[Finding]:
    """Run the checks, one after the other."""
    failed: set[str] = set()
    for check in CHECKS:
        for finding in check.findings(config, failed):
            # What a skipped check would have said is not known: those that need it are skipped, too.
            if finding.state == "failed" or (finding.state == "skipped" and finding.found.startswith("needs ")):
                failed.add(check.name)
            yield finding


def problems_of_jobs(config: Config) -> list[Finding]:
    """What is wrong with the jobs on these topics."""
    checks = [check for check in CHECKS if check.name in ("job", "checkpoints", "partitions")]
    found = [finding for check in checks for finding in check.findings(config, set())]
    return [finding for finding in found if finding.state in ("failed", "warning")]


def conclude(findings: list[Finding]) -> str:
    """One sentence: what is wrong first, or how far the table has come."""
    for state in ("failed", "warning"):
        for finding in findings:
            if finding.state == state:
                remedy = f": {finding.remedy}" if finding.remedy else ""
                return f"{finding.check}: {finding.found}{remedy}"
    return next((each.found for each in findings if each.check == "table"), "nothing is wrong, but no table was found")
