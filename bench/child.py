"""The child's half of the hand-shake: read the load, say READY, wait for the end, print the outcome."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from bench.control import PHASE, STOP, Control
from bench.load import Load

READY = "READY"
_HARNESS = os.getppid()


def load_from_arguments() -> Load:
    """The load is the last argument, as JSON."""
    return msgspec.json.decode(sys.argv[-1], type=Load)


def say(text: str) -> None:
    """One line to the harness."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def stopped(control: Control) -> bool:
    """Whether the harness ended the measurement, or is gone itself."""
    return control.words[PHASE] == STOP or os.getppid() != _HARNESS


async def until_stopped(control: Control, every: float = 0.02) -> None:
    """Return when the measurement is over."""
    while not stopped(control):  # noqa: ASYNC110 - another process writes the word
        await asyncio.sleep(every)
