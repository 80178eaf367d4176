"""How figures and times are written: units always, Shanghai time, the date when it is not today."""

from __future__ import annotations

from typing import Final

from gateway.flow.phases import shanghai

NOTHING: Final = "-"
_UNITS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_BARS: Final = "▁▂▃▄▅▆▇█"


def number(value: float | None) -> str:
    """``12,345``; a dash for nothing."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(ratio: float | None) -> str:
    """``99.8 %``; 100 % only when it is all: what is missing is never rounded away."""
    if ratio is None:
        return NOTHING
    return "100 %" if ratio >= 1 else f"{min(ratio * 100, 99.99):.2f} %"


def share(ratio: float | None) -> str:
    """``52 %``: nothing depends on the last digit."""
    return NOTHING if ratio is None else f"{ratio * 100:.0f} %"


def milliseconds(value: float | None) -> str:
    """``0.41 ms``, ``272 ms``, ``1.4 s``."""
    if value is None:
        return NOTHING
    if value >= 1000:  # noqa: PLR2004 - a second
        return f"{value / 1000:,.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2f} ms"  # noqa: PLR2004 - three figures


def span(seconds: float) -> str:
    """``8 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for size, name, smaller, small in _UNITS:
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small}"
    return f"{whole} s"


def moment(at_ns: int | None, now_ns: int) -> str:
    """``20:45:03`` of today, ``11-20 20:45:03`` of another day; Shanghai."""
    if not at_ns:
        return NOTHING
    at, now = shanghai(at_ns), shanghai(now_ns)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%m-%d %H:%M:%S}"


def short_moment(at_ns: int | None, now_ns: int) -> str:
    """``20:45`` of today, ``11-20`` of another day; Shanghai."""
    return moment(at_ns, now_ns)[:5]


def count(value: int, noun: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def plain(text: str) -> str:
    """One line without anything that a terminal would obey: vendors and brokers write some of these words."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def sparkline(values: tuple[float, ...], width: int) -> str:
    """The last ``width`` values from 0 to their largest; empty when there are fewer than two."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if len(shown) < 2:  # noqa: PLR2004 - one value has no course
        return ""
    steps = len(_BARS) - 1
    return "".join(_BARS[round(value / top * steps) if top > 0 else 0] for value in shown)
