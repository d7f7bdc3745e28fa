"""Promises: table and picture of bench-drain show medians, spreads and ratios of the record; README shows the newest
one.
"""

from xml.etree import ElementTree

from bench import figures, record
from bench.record import Measured, Record

KEPT = Record(
    "a machine",
    "python -m bench.drain",
    "json",
    12_000_000,
    [
        Measured(
            "sql", "exact", 12_000_000, [30.0, 20.0, 24.0], [{"taskmanager": used} for used in (50.0, 60.0, 55.0)]
        ),
        Measured("rtea", "", 12_000_000, [10.0], [{"taskmanager": 22.0}]),
        Measured("rust", "none", 12_000_000, [8.0], [{"taskmanager": 0.5, "program": 11.0}]),
    ],
)


def test_the_table_gives_medians_spreads_and_ratios() -> None:
    rows = [line for line in figures.table(KEPT).splitlines() if line.startswith("|")][2:]
    assert rows == [
        "| one Rust process (the limit) | 11.0 (11.0 to 11.0) | 0.50 | 1,500,000 (1,500,000 to 1,500,000) | none |",
        "| RTEA | 22.0 (22.0 to 22.0) | 1.00 | 1,200,000 (1,200,000 to 1,200,000) |  |",
        "| Flink SQL | 55.0 (50.0 to 60.0) | 2.50 | 500,000 (400,000 to 600,000) | exact |",
    ]


def test_the_picture_has_a_bar_for_each_contender_in_proportion() -> None:
    svg = ElementTree.fromstring(figures.picture(KEPT))
    bars = svg.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [round(width / widths[-1], 2) for width in widths] == [0.2, 0.4, 1.0]
    assert [bar.get("class") for bar in bars] == [None, "ours", None]


def test_readme_and_picture_show_the_newest_record() -> None:
    newest = record.newest("json")
    assert figures.current(figures.README.read_text()) == figures.table(newest)
    assert figures.PICTURE.read_text() == figures.picture(newest)
