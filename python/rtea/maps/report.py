"""What a map makes of a sample of events, field by field."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rtea.maps import EventMap

EXAMPLES = 3
SHOWN_BYTES = 200

HOW = ("found", "coerced", "default", "lacked")


@dataclass
class Report:
    """Counts of events, and for each field how it was made in how many events; three examples of refused events."""

    counted: int = 0
    skipped: int = 0
    refused: int = 0
    fields: dict[str, Counter[str]] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    """Number of the event in the sample, from 1; its problem; its first bytes."""

    @property
    def events(self) -> int:
        """All of the sample."""
        return self.counted + self.skipped + self.refused


def examine(values: Iterable[bytes], event_map: EventMap) -> Report:
    """Apply a map to a sample."""
    report = Report()
    for number, value in enumerate(values, 1):
        found = event_map.explain(value)
        if found.is_skipped:
            report.skipped += 1
            continue
        for name, made in found.fields.items():
            # An item field counts once for each event, by the worst of its items.
            report.fields.setdefault(name, Counter())[max(made, key=HOW.index)] += 1
        if not found.problem:
            report.counted += 1
            continue
        report.refused += 1
        report.problems[found.problem] += 1
        if len(report.examples) < EXAMPLES and report.problems[found.problem] == 1:
            report.examples.append((number, found.problem, value[:SHOWN_BYTES].decode(errors="backslashreplace")))
    return report
