"""One command through the runner, cancelled in order by SIGTERM and SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from runbook.app import Runbook
from runbook.cli.asking import REASON, operator_of, request_of
from runbook.cli.telling import Teller
from runbook.model import Role, Trigger
from runbook.runner import Run

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

ROLE: Final = Role.ADMIN
"""Whoever may write the state directory may do anything that the runbook does."""


async def act(runbook: Runbook, args: argparse.Namespace, teller: Teller, uid: int) -> int:
    """An action. Gives its exit code."""
    request = request_of(args, runbook, uid)
    return await _carried_out(runbook, teller, lambda: runbook.submit(request, role=ROLE))


async def run_job(runbook: Runbook, args: argparse.Namespace, teller: Teller, uid: int) -> int:
    """``runbook jobs run``, ``pause`` and ``resume``."""
    desk = runbook.desk()
    who: dict[str, Any] = {"operator": operator_of(args, uid), "trigger": Trigger.CLI, "role": ROLE}
    reason = args.reason or ""

    async def ask() -> Run:
        if args.jobs_command == "run":
            return await desk.run_now(args.job, reason=reason, idempotency_key=args.idempotency_key or "", **who)
        said = reason or (REASON if runbook.settings.profile == "live" else "")
        do = desk.pause if args.jobs_command == "pause" else desk.resume
        return await do(args.job, reason=said, **who)

    return await _carried_out(runbook, teller, ask)


async def _carried_out(runbook: Runbook, teller: Teller, ask: Callable[[], Awaitable[Run]]) -> int:
    """Ask, show the stages, show the result. A signal cancels the action; what it did is on record before we leave."""
    async with runbook:
        with _signals() as told_to_stop:
            run = await ask()
            watching = asyncio.create_task(_watch(runbook, run.id, teller), name="stages")
            stopping = asyncio.create_task(told_to_stop.wait(), name="signals")
            try:
                await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not watching.done():
                    teller.say("cancelling: the action is being stopped, and its end recorded")
                    if run.replayed:  # somebody else's run, which is not ours to cancel
                        watching.cancel()
                    else:
                        await runbook.runner.aclose()
                    await asyncio.wait({watching})
            finally:
                for task in (watching, stopping):
                    task.cancel()
                await asyncio.wait({watching, stopping})
            if not watching.cancelled():
                watching.result()
            found = await runbook.runner.get(run.id)
        # a replay is known as one by the answer alone
        final = run if found is None else replace(found, replayed=run.replayed)
        return teller.result(final, runbook.runner.log_of(run.id))


async def _watch(runbook: Runbook, run: str, teller: Teller) -> None:
    async for stage in runbook.runner.watch(run):
        teller.stage(stage)


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Set by the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def on_signal() -> None:
        event.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield event
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
