"""How figures and times are written on pages: units always, Shanghai time, the date when it is not today."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.model import SHANGHAI

NOTHING: Final = "–"
_NS: Final = 1_000_000_000
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def number(value: float | None, digits: int = 0) -> str:
    """``12,345`` or ``0.4``; a dash for nothing."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def percent(ratio: float | None) -> str:
    """``99.8 %``; 100 % only when it is all: what is missing is never rounded away."""
    if ratio is None:
        return NOTHING
    if ratio >= 1:
        return "100 %"
    return f"{min(ratio * 100, 99.99):.2f} %".replace(".00", "")


def milliseconds(value: float | None) -> str:
    """``0.41 ms``, ``272 ms``, ``1.4 s``."""
    if value is None:
        return NOTHING
    if value >= 1000:  # noqa: PLR2004 - a second
        return f"{value / 1000:,.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2f} ms"  # noqa: PLR2004 - three figures


def moment(at_ns: int | None, now_ns: int) -> str:
    """``20:45:03`` of today, ``2026-11-20 20:45:03`` of another day; Shanghai."""
    if not at_ns:
        return NOTHING
    at, now = _shanghai(at_ns), _shanghai(now_ns)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def written(text: str, now_ns: int) -> str:
    """As :func:`moment`, of an RFC 3339 time; what is none is shown as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text or NOTHING
    return moment(round(at.timestamp() * _NS), now_ns)


def day(trading_day: int | None) -> str:
    """``2026-11-23``; a dash for nothing."""
    text = str(trading_day or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == len("20261123") else NOTHING


def span(seconds: float | None) -> str:
    """``8 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{seconds:.1f} s" if 0 < seconds < 10 and seconds != whole else f"{whole} s"  # noqa: PLR2004 - s
    for unit, name, below, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def _shanghai(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // _NS, SHANGHAI)
