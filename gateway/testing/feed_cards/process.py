"""The card of a line's own process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.model import LineState
from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.running import Harness, harness

_AGAIN_S: Final = 1.0


@card(
    "FEED-21",
    "In a child process it ticks, shows no secret, and is replaced and subscribed again when it is killed",
    needs=("login", "ticks", "remote"),
    fix="make the factory a function or class at the top of an importable module, and pass all it needs in the options",
)
async def _lives_in_a_child(make: Callable[[], Counter]) -> None:
    counter = make()
    line = str(counter.line)
    async with harness([counter], host="child", deadline_s=3 * counter.patience_s) as h:
        await h.state(line, LineState.LOGGED_IN)
        await ticks_come(h, counter)
        pid = h.gateway.line_pid(line)
        for what in ("cmdline", "environ"):
            text = _of_process(pid, what)
            secrets = counter.account().secrets.values()
            expect(not any(secret and secret in text for secret in secrets), f"a secret is in /proc/{pid}/{what}")
        h.kill(line)
        await h.told(line, LineState.LOST)
        await h.until(lambda: h.gateway.line_pid(line) not in (pid, None), "another process")
        await h.state(line, LineState.LOGGED_IN)
        await ticks_come(h, counter)


def _of_process(pid: int | None, what: str) -> str:
    """Linux; elsewhere nothing can be read."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")
    except OSError:
        return ""


async def ticks_come(h: Harness, counter: Counter) -> None:
    """Send until one of the first instrument comes.

    A line that was lost once more meanwhile has subscribed again by the next.
    """
    await h.settled()
    instrument = counter.instruments[0]
    before = len(h.ticks)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 3 * counter.patience_s

    def came() -> bool:
        return any(tick.instrument == instrument for tick in h.ticks[before:])

    while not came():
        expect(loop.time() < deadline, f"no tick of {instrument} came from the child; {h.standing()}")
        if not counter.streams:
            await counter.send(instrument)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                await h.until(came, f"a tick of {instrument}")


CARDS = (_lives_in_a_child,)
