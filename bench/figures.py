"""Writes README's table and picture of `bench.drain` from the newest record.

    python -m bench.figures

README gets them between two markers, which you add once.
"""

import sys
from xml.etree import ElementTree

from bench import record
from bench.checkout import ROOT
from bench.record import Measured, Record

README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "drain.svg"
BEGIN, END = "<!-- bench.figures -->\n", "<!-- end of bench.figures -->\n"

TITLES = {
    "rtea": "RTEA",
    "sql": "Flink SQL",
    "sql-no-visitors": "Flink SQL without visitors",
    "java-expert": "Java on Flink, expert",
    "java-idiomatic": "Java on Flink, idiomatic",
    "kafka-streams": "Kafka Streams",
    "python": "two Python processes",
    "rust": "one Rust process (the limit)",
}

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 22, 10, 210, 90
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f }
rect { fill: #8c959f }
rect.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  rect { fill: #6e7681 }
  rect.ours { fill: #4493f8 }
}
"""


def table(kept: Record) -> str:
    """What README says of a run: the machine, and a row for each contender, the fastest first."""
    ours = next(each for each in kept.measured if each.name == "rtea")
    lines = [
        f"{kept.events:,} events. {kept.machine}, `{kept.command}`:",
        "",
        "| contender | CPU seconds | times RTEA's | events per second | how its work differs |",
        "| --- | --- | --- | --- | --- |",
        *(_line(each, ours) for each in _ordered(kept)),
    ]
    return "\n".join(lines) + "\n"


def _ordered(kept: Record) -> list[Measured]:
    return sorted(kept.measured, key=lambda each: each.worker_cpu_seconds)


def _line(each: Measured, ours: Measured) -> str:
    used, rates_hz = each.worker_seconds, each.rates_hz
    ratio = each.worker_cpu_seconds / ours.worker_cpu_seconds
    cells = (
        TITLES[each.name],
        f"{each.worker_cpu_seconds:.1f} ({min(used):.1f} to {max(used):.1f})",
        f"{ratio:.2f}",
        f"{_thousands(each.rate_hz)} ({_thousands(min(rates_hz))} to {_thousands(max(rates_hz))})",
        each.note,
    )
    return f"| {' | '.join(cells)} |"


def _thousands(rate_hz: float) -> str:
    return f"{round(rate_hz, -3):,.0f}"


def picture(kept: Record) -> str:
    """The same as bars, the fewest CPU seconds first, as SVG in light and dark colours."""
    ordered = _ordered(kept)
    most = max(each.worker_cpu_seconds for each in ordered)
    height = len(ordered) * (BAR + GAP) + GAP
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"} | size)
    ElementTree.SubElement(svg, "title").text = f"CPU seconds for {kept.events:,} events; fewer is better"
    ElementTree.SubElement(svg, "style").text = STYLE
    for number, each in enumerate(ordered):
        top = GAP + number * (BAR + GAP)
        length = each.worker_cpu_seconds / most * (WIDTH - LEFT - RIGHT)
        baseline = str(top + BAR - 6)
        name = {"x": str(LEFT - 8), "y": baseline, "text-anchor": "end"}
        ElementTree.SubElement(svg, "text", name).text = TITLES[each.name]
        bar = {"x": str(LEFT), "y": str(top), "width": f"{length:.1f}", "height": str(BAR), "rx": "3"}
        ElementTree.SubElement(svg, "rect", bar | ({"class": "ours"} if each.name == "rtea" else {}))
        value = {"x": f"{LEFT + length + 6:.1f}", "y": baseline}
        ElementTree.SubElement(svg, "text", value).text = f"{each.worker_cpu_seconds:.1f} s"
    ElementTree.indent(svg)
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def current(readme: str) -> str:
    """README's text between the markers."""
    return readme.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write both."""
    kept = record.newest("json")
    readme = README.read_text()
    if BEGIN not in readme or END not in readme:
        sys.exit(f"README has no lines {BEGIN.strip()!r} and {END.strip()!r}: add them where the table belongs")
    README.write_text(readme.replace(BEGIN + current(readme) + END, BEGIN + table(kept) + END))
    PICTURE.write_text(picture(kept))


if __name__ == "__main__":
    main()
