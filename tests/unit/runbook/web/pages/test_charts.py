"""Pictures: what they show, that nothing can break out of them, and that holes stay holes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from gateway.control import ProductCoverage
from runbook.web.charts.bands import bands
from runbook.web.charts.heat import heat, verdict
from runbook.web.charts.scale import nice, times
from runbook.web.charts.shares import shares
from runbook.web.charts.trend import trend
from runbook.web.history import Band, Point

NS = 1_000_000_000
NOW = 1_795_233_600 * NS
HOSTILE = '"><script>alert(1)</script>&'


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def product(wanted: int, missing: int = 0, stalled: int = 0, name: str = "rb") -> ProductCoverage:
    rest = wanted - missing - stalled
    return ProductCoverage(
        exchange="SHFE", product=name, wanted=wanted, ticking=rest, quiet=0, stalled=stalled, missing=missing
    )


def test_a_hostile_name_stays_text() -> None:
    drawings = [
        bands({HOSTILE: [Band(HOSTILE, NOW - NS, NOW)]}, HOSTILE, from_ns=NOW - 60 * NS, to_ns=NOW),
        heat([product(1, name=HOSTILE)], HOSTILE),
        shares({HOSTILE: 3}, HOSTILE),
        trend([Point(NOW, 1.0)], HOSTILE, HOSTILE, from_ns=NOW - NS, to_ns=NOW, step_s=1),
    ]
    for drawing in drawings:
        assert "<script" not in drawing
        assert HOSTILE in "".join(parsed(drawing).itertext())


def test_every_drawing_says_what_it_shows() -> None:
    drawing = parsed(trend([], "Ticks a second", "/s", from_ns=0, to_ns=NS, step_s=1))
    assert (drawing.get("role"), drawing.get("aria-label"), drawing[0].text) == (
        "img",
        "Ticks a second",
        "Ticks a second",
    )


def test_a_trend_breaks_where_nothing_was_measured() -> None:
    points = [Point(NOW - second * NS, 5.0) for second in (100, 99, 98, 40, 39)]
    drawing = trend(points, "w", "u", from_ns=NOW - 120 * NS, to_ns=NOW, step_s=1)
    assert drawing.count("<polyline") == 2


def test_a_short_break_of_a_line_is_still_seen() -> None:
    states = [
        Band("streaming", NOW - 3600 * NS, NOW - 1800 * NS),
        Band("lost", NOW - 1800 * NS, NOW - 1799 * NS),
        Band("connecting", NOW - 1799 * NS, NOW - 1798 * NS),
        Band("streaming", NOW - 1798 * NS, NOW),
    ]
    drawing = parsed(bands({"ctp:primary": states}, "w", from_ns=NOW - 3600 * NS, to_ns=NOW))
    bars = [(bar.get("class"), float(bar.get("width", "0"))) for bar in drawing.iter("rect")]
    assert [kind for kind, _ in bars] == ["good", "good", "critical", "warning"]
    assert all(width >= 1.5 for kind, width in bars if kind != "good")


def test_a_state_from_before_the_picture_begins_at_its_edge() -> None:
    drawing = parsed(bands({"a:b": [Band("streaming", 0, NOW)]}, "w", from_ns=NOW - 60 * NS, to_ns=NOW))
    (bar,) = drawing.iter("rect")
    assert (bar.get("x"), bar.get("width")) == ("120", "592")


def test_missing_is_critical_below_the_threshold_and_a_warning_above() -> None:
    assert verdict(product(10)) == "good"
    assert verdict(product(10, missing=1)) == "critical"
    assert verdict(product(1000, missing=5)) == "warning"
    assert verdict(product(10, stalled=1)) == "warning"
    assert verdict(product(0)) == "neutral"


def test_products_of_an_exchange_go_on_in_the_next_row() -> None:
    drawing = parsed(heat([product(1, name=f"p{number:02}") for number in range(30)], "w"))
    assert len({text.get("y") for text in drawing.iter("text") if (text.text or "").startswith("p")}) == 3


def test_shares_are_parts_of_what_several_lines_brought() -> None:
    drawing = shares({"ctp:primary": 3, "ctp:backup": 1}, "w")
    assert "75.0 %" in drawing
    assert "25.0 %" in drawing
    assert "–" in shares({"ctp:primary": 0}, "w")


def test_axes_end_at_round_figures_and_whole_times() -> None:
    assert [nice(most) for most in (0, 0.3, 1, 7, 5210, 12_000)] == [1, 0.5, 1, 10, 10_000, 20_000]
    found = list(times(NOW - 3600 * NS, NOW))
    assert [text for _, text in found] == ["11:00", "11:15", "11:30", "11:45", "12:00"]
    assert len(list(times(NOW - 86_400 * NS, NOW))) <= 8
