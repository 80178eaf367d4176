"""Which line was first, as parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from markupsafe import Markup

from runbook.web.charts.markup import element, picture, text

_WIDTH: Final = 720
_LEFT, _RIGHT = 120, 64
_ROW, _BAR = 30, 18


def shares(first: Mapping[str, int], words: str) -> Markup:
    """A bar for each line: its part of the ticks that at least two lines brought."""
    total = sum(first.values())
    across = _WIDTH - _LEFT - _RIGHT
    parts: list[Markup] = []
    for row, (line, count) in enumerate(first.items()):
        y = row * _ROW + (_ROW - _BAR) / 2
        share = count / total if total else 0.0
        parts += [
            text(line, _LEFT - 8, y + _BAR - 5, anchor="end", class_="ink"),
            element("rect", x=_LEFT, y=y, width=across, height=_BAR, rx=4, class_="cell"),
            element("rect", x=_LEFT, y=y, width=across * share, height=_BAR, rx=4, class_="share"),
            text(f"{share * 100:.1f} %" if total else "–", _WIDTH - _RIGHT + 8, y + _BAR - 5, class_="ink"),
        ]
    return picture(_WIDTH, _ROW * max(len(first), 1), words, parts)
