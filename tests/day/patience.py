"""Waiting for what processes do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

WAIT_S: Final = 120.0


def until(condition: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Its first true value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found
