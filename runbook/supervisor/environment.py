"""The three things that are done to a site: start, stop, restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.errors import BusError, ControlError
from runbook.model import ActionResult, Exit
from runbook.runner.waiting import to_the_end
from runbook.supervisor.bringup import Bringup, Order
from runbook.supervisor.keeper import Ending, ProcessState, told
from runbook.supervisor.records import STAGE_ACTIONS
from runbook.supervisor.site import Parts, Site
from runbook.supervisor.stages import Stage, StageFailed, StageRunner, Tell

UNSUBSCRIBED: Final = "UNSUBSCRIBED"
GRACEFUL: Final = "GRACEFUL_SHUTDOWN=OK"
RESTARTED: Final = "RESTART=OK"
"""Log markers. Source: operators' contract, §5."""

_STAYS: Final = frozenset({"subscriptions", "health", "t5"})
"""Stages whose failure leaves the processes running: what mends them needs a running gateway."""


class Environment:
    """One operation at a time; whoever calls sees to that."""

    def __init__(self, parts: Parts) -> None:
        self.site = Site(parts)
        self._site = self.site
        self._timers = parts.timers
        self._bringup = Bringup(self.site)

    @property
    def running(self) -> list[str]:
        """Names of the processes that are not off."""
        return self.site.running

    def status(self) -> dict[str, Any]:
        """JSON values; holds no secret."""
        return self.site.status()

    async def aclose(self) -> None:
        """End everything that still runs, without ceremony. Idempotent."""
        await self.site.aclose()

    async def start(self, order: Order, tell: Tell) -> ActionResult:
        """Everything, in order. What runs already is checked, not started again."""
        began = self._timers.clock.monotonic()
        before = frozenset(self._site.running)
        make = self._bringup
        stages = [make.environment, make.nats, lambda: make.gateway(order)]
        stages += [make.subscriptions, lambda: make.health(tell, before), lambda: make.t5(order)]
        return await self._bring_up(stages, tell, before, began, "the environment is up", order)

    async def restart(self, order: Order, tell: Tell) -> ActionResult:
        """The gateway alone; NATS is not touched, so consumers stay connected."""
        began = self._timers.clock.monotonic()
        if not self._site.running:
            text = "nothing runs that could be restarted; run `runbook start`"
            return ActionResult(exit_code=Exit.GATEWAY, message=text)
        before = frozenset(self._site.running)
        make = self._bringup
        stages = [make.environment, make.nats, lambda: make.gateway(order, anew=True)]
        stages += [make.subscriptions, lambda: make.health(tell)]
        result = await self._bring_up(stages, tell, before, began, "the gateway was restarted", order)
        if result.exit_code in (Exit.OK, Exit.WARNING):
            tell("restart", RESTARTED, {"marker": RESTARTED})
        return result

    async def stop(self, tell: Tell) -> ActionResult:
        """Backwards: subscriptions, gateway, NATS (an external one is not touched). Everything is off afterwards."""
        if not self._site.running:
            self._site.failed_stage = ""
            return ActionResult(exit_code=Exit.OK, message="nothing ran", details=self._details([]))
        findings: list[tuple[int, str]] = []
        if self._site.gateway.state is ProcessState.RUNNING:
            findings += await self._unsubscribe(tell)
        else:
            tell("unsubscribe", "the gateway does not serve: there is nothing to unsubscribe", {})
        for keeper, code in ((self._site.gateway, Exit.GATEWAY), (self._site.nats, Exit.NATS)):
            if keeper is not None:
                ran = keeper.state is ProcessState.RUNNING
                ending = await keeper.stop()
                tell("stop", f"{keeper.name} is off", {"exit_code": ending.exit_code})
                if ran and not ending.graceful:
                    findings.append((int(code), _ungraceful(keeper.name, ending)))
        self._site.failed_stage = ""
        if findings:
            text = f"everything is off, but not in order: {'; '.join(text for _, text in findings)}"
            return ActionResult(exit_code=findings[0][0], message=text, details=self._details([]))
        tell("stop", GRACEFUL, {"marker": GRACEFUL})
        return ActionResult(exit_code=Exit.OK, message="everything is off, in order", details=self._details([]))

    async def _bring_up(
        self,
        stages: list[Callable[[], Stage]],
        tell: Tell,
        before: frozenset[str],
        began: float,
        done: str,
        order: Order,
    ) -> ActionResult:
        self._site.failed_stage = ""
        runner = StageRunner(self._timers, self._site.runbook, self._site.parts.escalation, tell)
        try:
            for make in stages:  # each when it is due: the first one reads the settings
                await runner.run(make())
        except StageFailed as failed:
            return await self._failed(failed, runner, before, tell, order)
        except BaseException:
            await to_the_end(self._undo(before, tell))
            raise
        seconds = round(self._timers.clock.monotonic() - began, 3)
        warned = [row["text"] for row in runner.passed if row["text"].startswith("warning: ")]
        return ActionResult(
            exit_code=Exit.WARNING if warned else Exit.OK,
            message=f"{done} after {seconds:g} s" + (f", with a {warned[0]}" if warned else ""),
            details=self._details(runner.passed)
            | {"startup_s": seconds, "started": [name for name in self._site.running if name not in before]},
        )

    async def _failed(
        self, failed: StageFailed, runner: StageRunner, before: frozenset[str], tell: Tell, order: Order
    ) -> ActionResult:
        stage = failed.stage.name
        await self._site.stage_failed(STAGE_ACTIONS[stage], failed.exit_code, str(failed), order.window)
        if stage not in _STAYS:
            await to_the_end(self._undo(before, tell))
        left = self._site.running
        self._site.failed_stage = stage if left else ""
        if not left:
            text = f"{failed}\nnothing is left running"
        else:
            why = "what mends it needs them" if stage in _STAYS else "they ran before"
            text = f"{failed}\nleft running: {', '.join(left)}, because {why}; `runbook stop` ends them"
        return ActionResult(
            exit_code=failed.exit_code,
            message=text,
            details=self._details(runner.passed) | {"failed_stage": stage},
        )

    async def _undo(self, before: frozenset[str], tell: Tell) -> None:
        """Stop what this start began, backwards."""
        for keeper in reversed(self._site.keepers):
            if keeper.name not in before and keeper.state is not ProcessState.OFF:
                await keeper.stop()
                tell("undo", f"{keeper.name} is off again", {})

    async def _unsubscribe(self, tell: Tell) -> list[tuple[int, str]]:
        limit = self._site.runbook.start.stage_timeout_s
        try:
            async with self._site.connect() as client:
                await self._timers.within(limit, self._bringup.probe.none_left(client))
        except (BusError, ControlError, TimeoutError) as error:
            why = str(error) or f"not done within {limit:g} s: {self._bringup.probe.last}"
            tell("unsubscribe", f"the gateway did not unsubscribe: {why}", {})
            return [(int(Exit.SUBSCRIPTIONS), f"the gateway did not unsubscribe ({why})")]
        tell("unsubscribe", UNSUBSCRIBED, {"marker": UNSUBSCRIBED})
        return []

    def _details(self, passed: list[dict[str, Any]]) -> dict[str, Any]:
        return {"stages": passed, "left_running": self._site.running, "nats_url": self._site.nats_url}


def _ungraceful(name: str, ending: Ending) -> str:
    how = "had to be killed" if ending.forced else f"ended with {told(ending.exit_code or 0)}"
    return f"{name} {how}; see {name}.log"
