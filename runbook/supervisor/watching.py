"""Asks what runs whether it still answers: a process that lives and answers nothing is worse than a dead one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.errors import BusError, FeedgateError
from runbook.model import Exit
from runbook.supervisor.keeper import Keeper, ProcessState
from runbook.supervisor.nodes import all_shown
from runbook.supervisor.programs import greets
from runbook.supervisor.site import Site
from runbook.supervisor.timers import pass_on_cancellation

log = logging.getLogger(__name__)

_LOOK_S: Final = 5.0
_ASK_S: Final = 5.0
_LOOKS: Final = 3
"""So many unanswered questions at least: one may be the fault of a supervisor that was suspended itself."""


@dataclass(slots=True)
class _Silence:
    pid: int | None
    since: float
    """Monotonic seconds of the first question that was not answered."""
    looks: int = 0
    told: bool = False


class Watch:
    """Looks at NATS and the gateway every few seconds, while they run.

    A gateway whose control service, or a bundled NATS that does not answer for ``start.frozen_s`` although its process
    lives is killed; its keeper then restarts it by its class, the gateway with ``--debug``. A gateway that cannot be
    asked because NATS is away is not blamed. An external NATS that is away is told, never touched.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._timers = site.timers
        self._silences: dict[str, _Silence] = {}

    async def run(self) -> None:
        """For ever. One caller."""
        while True:
            await self._timers.sleep(min(_LOOK_S, self._limit_s / (_LOOKS + 1)))
            try:
                await self.look()
            except Exception:
                log.exception("a look at the processes failed; the next one follows")

    async def look(self) -> None:
        """Ask each once."""
        if self._site.nats is None:
            await self._look_at_gateway(await self._external_answers())
            return
        keeper = self._site.nats
        if keeper.state is not ProcessState.RUNNING:
            self._forget("nats")
            return
        program = self._site.nats_program
        host = "127.0.0.1" if program.host == "0.0.0.0" else program.host  # noqa: S104 - asks, binds nothing

        async def answers() -> bool:
            return await self._within(lambda: greets(host, program.port))

        await self._look_at(keeper, answers, f"it greets nobody on {program.url}")
        await self._look_at_gateway("nats" not in self._silences)

    @property
    def _limit_s(self) -> float:
        return self._site.runbook.start.frozen_s

    async def _look_at_gateway(self, nats_answers: bool) -> None:
        keeper = self._site.gateway
        if keeper.state is not ProcessState.RUNNING or not nats_answers:
            self._forget("gateway")
            return
        await self._look_at(keeper, self._gateway_answers, "its control service does not answer")

    async def _look_at(self, keeper: Keeper, answers: Callable[[], Awaitable[bool]], how: str) -> None:
        pid, began = keeper.status()["pid"], self._timers.clock.monotonic()
        if await answers():
            self._forget(keeper.name)
            await self._site.well_again(keeper.name)
            return
        if keeper.state is not ProcessState.RUNNING or keeper.status()["pid"] != pid:
            self._forget(keeper.name)  # it ended meanwhile; its keeper knows
            return
        silence, seconds = self._silent(keeper.name, pid, began)
        self._site.silent[keeper.name] = f"process {pid} lives, but {how} (for {seconds:.0f} s)"
        if silence.looks < _LOOKS or seconds < self._limit_s:
            return
        again = " with --debug" if keeper is self._site.gateway else ""
        text = (
            f"FROZEN: {keeper.name} (process {pid}) lives, but {how} for {seconds:.0f} s; "
            f"it is killed and started again{again} (class {keeper.program.restart.name})"
        )
        self._site.froze(keeper, text)
        self._forget(keeper.name)
        keeper.kill()

    async def _external_answers(self) -> bool:
        """Whether the external NATS can be used; told once when it is away for too long."""
        if self._site.gateway.state is not ProcessState.RUNNING:
            self._forget("nats")
            return True
        began = self._timers.clock.monotonic()
        if await self._within(self._connects):
            self._forget("nats")
            await self._site.well_again("nats")
            return True
        silence, seconds = self._silent("nats", None, began)
        where = all_shown(self._site.settings.bus.urls)
        text = f"the external NATS ({where}) does not answer for {seconds:.0f} s; no other node of NATS_URL does either"
        self._site.silent["nats"] = text
        if silence.looks >= _LOOKS and seconds >= self._limit_s and not silence.told:
            silence.told = True
            self._site.parts.say("nats_away", text, {"exit_code": int(Exit.NATS)}, "critical")
            self._site.trouble("nats", int(Exit.NATS), text, failures=self._site.runbook.escalation.after)
        return False

    async def _connects(self) -> bool:
        try:
            async with self._site.connect():
                return True
        except BusError:
            pass_on_cancellation()
            return False

    async def _gateway_answers(self) -> bool:
        """True also when NATS went away meanwhile: then the gateway is not to blame."""
        limit = min(_ASK_S, max(self._limit_s / _LOOKS, 1.0))
        try:
            async with self._site.connect() as client:
                try:
                    await self._timers.within(limit, _discarded(client.status()))
                except (FeedgateError, TimeoutError):
                    pass_on_cancellation()
                    return False
                return True
        except BusError:
            pass_on_cancellation()
            return True

    async def _within(self, answers: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await self._timers.within(_ASK_S, _called(answers))
        except TimeoutError:
            return False

    def _silent(self, name: str, pid: int | None, began: float) -> tuple[_Silence, float]:
        silence = self._silences.get(name)
        if silence is None or silence.pid != pid:
            silence = self._silences[name] = _Silence(pid, began)
        silence.looks += 1
        return silence, self._timers.clock.monotonic() - silence.since

    def _forget(self, name: str) -> None:
        self._silences.pop(name, None)
        self._site.silent.pop(name, None)


async def _discarded(asking: Awaitable[object]) -> None:
    await asking


async def _called(answers: Callable[[], Awaitable[bool]]) -> bool:
    return await answers()
