"""A figure over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from runbook.web.charts.markup import element, picture, text
from runbook.web.charts.scale import nice, times
from runbook.web.history import Point

_WIDTH: Final = 720
_HEIGHT: Final = 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 12, 22
_HOLE: Final = 3
"""So many steps without a point are a hole in the line: nothing was measured, and nothing is drawn."""


def trend(points: Sequence[Point], words: str, unit: str, *, from_ns: int, to_ns: int, step_s: float) -> Markup:
    """A line from 0 up. ``words`` say what it shows; an axis without points stays empty."""
    known = [point for point in points if point.value is not None and from_ns <= point.at_ns <= to_ns]
    most = nice(max((point.value or 0.0 for point in known), default=0.0))
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    bottom = _HEIGHT - _BOTTOM

    def x(at_ns: int) -> float:
        return _LEFT + across * (at_ns - from_ns) / max(to_ns - from_ns, 1)

    def y(value: float) -> float:
        return bottom - up * value / most

    parts = [
        element("line", x1=_LEFT, y1=y(value), x2=_WIDTH - _RIGHT, y2=y(value), class_="axis")
        for value in (0.0, most / 2, most)
    ]
    parts += [text(_figure(value), _LEFT - 6, y(value) + 4, anchor="end") for value in (0.0, most / 2, most)]
    parts.append(text(unit, _WIDTH - _RIGHT, _TOP + 12, anchor="end"))
    parts += [text(words_, x(at_ns), _HEIGHT - 6, anchor="middle") for at_ns, words_ in times(from_ns, to_ns)]
    for piece in _pieces(known, step_s):
        line = " ".join(f"{x(point.at_ns):.1f},{y(point.value or 0.0):.1f}" for point in piece)
        ends = f"{x(piece[0].at_ns):.1f},{bottom} {line} {x(piece[-1].at_ns):.1f},{bottom}"
        parts.append(element("polygon", points=ends, class_="under"))
        parts.append(element("polyline", points=line, class_="trend"))
    return picture(_WIDTH, _HEIGHT, words, parts)


def _pieces(points: Sequence[Point], step_s: float) -> Iterator[list[Point]]:
    piece: list[Point] = []
    for point in points:
        if piece and point.at_ns - piece[-1].at_ns > _HOLE * step_s * 1e9:
            yield piece
            piece = []
        piece.append(point)
    if piece:
        yield piece


def _figure(value: float) -> str:
    for limit, name in ((1_000_000, "M"), (1_000, "k")):
        if value >= limit:
            return f"{value / limit:g}{name}"
    return f"{value:g}"
