"""Each line's state over time: the picture in which a failover can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from runbook.web.charts.markup import element, picture, text
from runbook.web.charts.scale import times
from runbook.web.history import Band

_WIDTH: Final = 720
_LEFT, _RIGHT = 120, 8
_ROW, _BAR = 30, 20
_BOTTOM: Final = 22
_VERDICTS: Final = {
    "streaming": "good",
    "logged_in": "good",
    "lost": "critical",
    "refused": "critical",
    "stopped": "neutral",
    "idle": "neutral",
}
_NARROWEST: Final = 1.5
"""A break of a second in an hour must still be seen."""


def bands(lines: Mapping[str, Sequence[Band]], words: str, *, from_ns: int, to_ns: int) -> Markup:
    """A row for each line; ``words`` say what it shows. States between down and up are drawn as a warning."""
    height = _ROW * max(len(lines), 1) + _BOTTOM
    across = _WIDTH - _LEFT - _RIGHT

    def x(at_ns: int) -> float:
        return _LEFT + across * (min(max(at_ns, from_ns), to_ns) - from_ns) / max(to_ns - from_ns, 1)

    parts = [
        element("line", x1=x(at), y1=0, x2=x(at), y2=height - _BOTTOM, class_="axis") for at, _ in times(from_ns, to_ns)
    ]
    parts += [text(words_, x(at), height - 6, anchor="middle") for at, words_ in times(from_ns, to_ns)]
    for row, (line, states) in enumerate(lines.items()):
        top = row * _ROW + (_ROW - _BAR) / 2
        parts.append(text(line, _LEFT - 8, top + _BAR - 6, anchor="end", class_="ink"))
        shown = [band for band in states if band.to_ns > from_ns]
        # what is well first, so that a short break lies on top of it
        for band in sorted(shown, key=lambda band: _verdict(band) != "good"):
            width = max(x(band.to_ns) - x(band.from_ns), 0.0 if _verdict(band) == "good" else _NARROWEST)
            hint = element("title", f"{line}: {band.state}")
            parts.append(
                element("rect", [hint], x=x(band.from_ns), y=top, width=width, height=_BAR, class_=_verdict(band))
            )
    return picture(_WIDTH, height, words, parts)


def _verdict(band: Band) -> str:
    return _VERDICTS.get(band.state, "warning")
