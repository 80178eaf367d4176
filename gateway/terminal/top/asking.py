"""Asks a running gateway: everything once, or each part again and again in its own time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from gateway.client import Client
from gateway.clock import Clock
from gateway.control.figures import Figures
from gateway.control.messages.reports import GapsRequest
from gateway.errors import FeedgateError
from gateway.tasks import TaskOwner
from gateway.terminal.top.look import Look

log = logging.getLogger(__name__)

_TRY_AGAIN_S: Final = 2.0
_ONCE_S: Final = 5.0
"""Whoever asks once can wait longer than a view that asks again."""
_KEPT: Final = 60
"""Answers of ``figures`` that are kept: a minute."""
_SWITCHES: Final = 20


@dataclass(frozen=True, slots=True)
class _Question:
    part: str
    every_s: float
    within_s: float
    ask: Callable[[Client], Awaitable[Any]]


async def _coverage(client: Client) -> object:
    return tuple(await client.coverage(products=True))


async def _switches(client: Client) -> object:
    return tuple(await client.switches(limit=_SWITCHES))


async def _gaps(client: Client) -> object:
    # the totals are whole on every page, and a bad day has tens of thousands of rows
    return await client.gaps_page(GapsRequest(limit=1))


_QUESTIONS: Final = (
    _Question("status", 1.0, 2.0, Client.status),
    _Question("figures", 1.0, 2.0, Client.figures),
    _Question("coverage", 5.0, 5.0, _coverage),
    _Question("switches", 5.0, 3.0, _switches),
    _Question("gaps", 5.0, 5.0, _gaps),
)


class Asking:
    """Keeps the last good answer of each part. For one event loop."""

    def __init__(
        self,
        connecting: Callable[[], AbstractAsyncContextManager[Client]],
        clock: Clock,
        name: str,
        *,
        pace: float = 1.0,
    ) -> None:
        """``connecting`` opens a client each time it is called; ``pace`` stretches all intervals, below 1 for tests."""
        self._connecting = connecting
        self._clock = clock
        self._name = name
        self._pace = pace
        self._had: dict[str, Any] = {}
        self._had_at_ns: dict[str, int] = {}
        self._problems: dict[str, str] = {}
        self._figures: deque[Figures] = deque(maxlen=_KEPT)

    def look(self) -> Look:
        """What is known now."""
        return Look(
            at_ns=self._clock.wall_ns(),
            name=self._name,
            had_at_ns=dict(self._had_at_ns),
            problems=dict(self._problems),
            rates=tuple(one.published_rate for one in self._figures),
            before=self._figures[0] if len(self._figures) > 1 else None,
            **self._had,
        )

    async def once(self) -> Look:
        """Ask for everything at the same time. Raises nothing for what does not answer: the look says it."""
        try:
            async with self._connecting() as client:
                await asyncio.gather(*(self._ask(client, question, _ONCE_S) for question in _QUESTIONS))
        except FeedgateError as error:
            self._problems["gateway"] = str(error)
        return self.look()

    async def run(self) -> None:
        """Ask until cancelled, through restarts of the gateway and of NATS. Raises nothing else."""
        while True:
            try:
                async with self._connecting() as client:
                    self._problems.pop("gateway", None)
                    await self._keep_asking(client)
            except FeedgateError as error:
                self._problems["gateway"] = str(error)
            except Exception:
                log.exception("the gateway could not be asked; trying again")
                self._problems["gateway"] = "asking failed; see the log"
            await asyncio.sleep(_TRY_AGAIN_S * self._pace)

    async def _keep_asking(self, client: Client) -> None:
        tasks = TaskOwner()  # the connection comes back by itself: one is enough
        try:
            for question in _QUESTIONS:
                tasks.start(self._again(client, question), f"ask for {question.part}")
            await tasks.failure()
        finally:
            await tasks.aclose()

    async def _again(self, client: Client, question: _Question) -> None:
        while True:
            await self._ask(client, question, question.within_s)
            await asyncio.sleep(question.every_s * self._pace)

    async def _ask(self, client: Client, question: _Question, within_s: float) -> None:
        part = question.part
        try:
            async with asyncio.timeout(within_s):
                answer = await question.ask(client)
        except TimeoutError:
            self._problems[part] = f"no answer within {within_s:g} s"
            return
        except FeedgateError as error:
            self._problems[part] = str(error)
            return
        self._problems.pop(part, None)
        self._had[part] = answer
        self._had_at_ns[part] = self._clock.wall_ns()
        if isinstance(answer, Figures):
            if self._figures and self._figures[-1].epoch != answer.epoch:
                self._figures.clear()  # another gateway: its totals begin anew
            self._figures.append(answer)
