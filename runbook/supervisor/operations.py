"""One operation at a time on the environment, and when the supervisor is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import FeedgateError
from runbook.model import ActionResult, Exit
from runbook.supervisor.bringup import Order
from runbook.supervisor.environment import Environment
from runbook.supervisor.keeper import Say
from runbook.supervisor.stages import Tell
from runbook.supervisor.timers import Timers

NAMES: Final = ("start", "stop", "restart")


class Operations:
    """Start, stop and restart. ``over`` is done once nothing runs any more after one of them: its exit code."""

    def __init__(self, environment: Environment, timers: Timers, say: Say) -> None:
        self.environment = environment
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.current = ""
        """The operation that runs now."""
        self.last: dict[str, Any] = {}
        """The last one that ended."""
        self.idle_since = timers.clock.monotonic()
        self._timers = timers
        self._say = say
        self._task: asyncio.Task[ActionResult] | None = None

    def status(self) -> dict[str, Any]:
        """JSON values; holds no secret."""
        return self.environment.status() | {"operation": self.current, "last": self.last}

    async def run(self, name: str, order: Order, tell: Tell) -> ActionResult:
        """Do it. 75 while another one runs. Never raises, except that a cancelled call cancels the operation."""
        if self.current:
            text = f"{self.current} runs already; wait for its end, or cancel it"
            return ActionResult(exit_code=Exit.BUSY, message=text)
        self.current = name
        self._task = asyncio.create_task(self._do(name, order, tell), name=name)
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            await self.cancel()
            raise
        return self._task.result()

    async def cancel(self) -> None:
        """End the operation that runs, undoing what it began. Nothing when none does."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def _do(self, name: str, order: Order, tell: Tell) -> ActionResult:
        def say(stage: str, text: str, fields: Mapping[str, Any]) -> None:
            self._say(stage, text, {"operation": name} | dict(fields), "info")
            with contextlib.suppress(Exception):  # whoever listens must not break what he listens to
                tell(stage, text, fields)

        result = ActionResult(exit_code=Exit.ERROR, message=f"{name} did not end")
        try:
            if name == "start":
                result = await self.environment.start(order, say)
            elif name == "restart":
                result = await self.environment.restart(order, say)
            else:
                result = await self.environment.stop(say)
        except asyncio.CancelledError:
            left = ", ".join(self.environment.running) or "nothing"
            text = f"{name} was cancelled; left running: {left}"
            result = ActionResult(exit_code=Exit.ERROR, message=text)
        except FeedgateError as error:
            result = ActionResult(exit_code=error.exit_code or Exit.ERROR, message=str(error))
        except Exception as error:  # noqa: BLE001 - the supervisor outlives what it does
            text = f"{name} failed: {type(error).__name__}: {error}; left running: {self.environment.running}"
            result = ActionResult(exit_code=Exit.ERROR, message=text)
        finally:
            self.current = ""
            self.idle_since = self._timers.clock.monotonic()
            self.last = {"operation": name, "exit_code": int(result.exit_code), "message": result.message}
            level = "info" if result.ok else "error"
            self._say(f"{name}_ended", result.message, {"exit_code": int(result.exit_code)}, level)
            if not self.environment.running and not self.over.done():
                self.over.set_result(int(result.exit_code))
        return result
