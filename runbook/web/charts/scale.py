"""Axes: which figures stand beside them, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from gateway.model import SHANGHAI

_NS: Final = 1_000_000_000
_STEPS_S: Final = (60, 300, 900, 1800, 3600, 7200, 14_400)
_MOST_MARKS: Final = 8


def nice(most: float) -> float:
    """The end of an axis from 0: 1, 2 or 5 times a power of ten, at least ``most``."""
    if most <= 0 or not math.isfinite(most):
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= most)


def times(from_ns: int, to_ns: int) -> Iterator[tuple[int, str]]:
    """Whole moments between the two, Unix nanoseconds, and how they are written in Shanghai: at most eight."""
    seconds = (to_ns - from_ns) / _NS
    step = next((step for step in _STEPS_S if seconds / step <= _MOST_MARKS), _STEPS_S[-1])
    begin = math.ceil(from_ns / _NS / step) * step
    for at in range(begin, to_ns // _NS + 1, step):
        yield at * _NS, f"{datetime.fromtimestamp(at, SHANGHAI):%H:%M}"
