"""``runbook drill --self-test``: real drills on mock gateways, one that must pass and some that must fail.

A drill that cannot fail proves nothing, so each broken one is broken on purpose and must end with its own exit code.
Needs nothing but the installed package.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.client import Client
from gateway.errors import FeedgateError
from runbook.context import ActionContext
from runbook.drill.course import Course
from runbook.drill.faults import FAULTS
from runbook.drill.grounds import FEED, Ground, mock_ground
from runbook.drill.healthcheck import Health, HealthCheck, built_in
from runbook.drill.nats_backlog import NatsBacklog, asking
from runbook.drill.notes import Plan
from runbook.drill.report import DrillReport, write
from runbook.drill.witness import watching
from runbook.model import ActionResult, Exit

_CONTRACTS: Final = 40
_RATE: Final = 400.0
_PATIENCE_S: Final = 10.0
_RECEIVE_BUFFER: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One drill, and how it has to end."""

    name: str
    expected: int
    fault: str | None = None
    dead: tuple[str, ...] = ()
    """Accounts whose front is dead from the start."""
    lazy: bool = False
    """A consumer connects that does not read."""
    threshold: int = 2000
    health: Callable[[HealthCheck], HealthCheck] = lambda check: check
    home: bool = True
    """The feed must stand on the primary line in the end."""
    rate: float = _RATE
    patience_s: float = _PATIENCE_S


def sick_after(looks_on: str) -> Callable[[HealthCheck], HealthCheck]:
    """A check that finds everything sick as soon as this line is active."""

    def wrap(check: HealthCheck) -> HealthCheck:
        async def sick(client: Client) -> Health:
            active = (await client.status()).feeds[0].active
            if active == looks_on:
                return Exit.ERROR, "made sick by the self-test", {}
            return await check(client)

        return sick

    return wrap


CASES: Final = (
    Case(name="a sound pair of lines passes", expected=Exit.OK),
    Case(name="a killed line passes, covered by the other", expected=Exit.OK, fault="kill-line"),
    Case(
        name="a dead backup fails the failover",
        expected=Exit.DRILL_FAILOVER_HEALTH,
        dead=("backup",),
        patience_s=3.0,
    ),
    Case(
        name="a consumer that does not read fails the primary's metrics",
        expected=Exit.DRILL_PRIMARY_METRICS,
        lazy=True,
        threshold=50,
        rate=2000.0,
        patience_s=3.0,
    ),
    Case(
        name="a sick backup fails the health after the failover, and the drill goes back",
        expected=Exit.DRILL_FAILOVER_HEALTH,
        health=sick_after(f"{FEED}:backup"),
        patience_s=2.0,
    ),
)


async def self_test(context: ActionContext) -> ActionResult:
    """0 when every drill ended as it had to; 2 otherwise, and the details say which did not."""
    rows: list[Mapping[str, Any]] = []
    for case in CASES:
        row = await _run(context, case)
        rows.append(row)
        context.tell("self-test", f"{'ok' if row['ok'] else 'FAILED'}: {case.name}", row)
    bad = [row["name"] for row in rows if not row["ok"]]
    text = f"{len(rows) - len(bad)} of {len(rows)} self-test drills ended as they had to"
    if bad:
        text += f"; not so: {'; '.join(map(str, bad))}; do not trust drills of this installation"
    return ActionResult(exit_code=Exit.ERROR if bad else Exit.OK, message=text, details={"cases": rows})


async def _run(context: ActionContext, case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {"name": case.name, "expected": int(case.expected)}
    try:
        async with mock_ground(contracts=_CONTRACTS, rate=case.rate, dead=case.dead) as ground:
            report = await _drill(context, case, ground)
    except (FeedgateError, OSError) as error:
        return row | {"ok": False, "exit_code": None, "message": f"could not be run: {error}"}
    kept = await asyncio.to_thread(_kept, report, context.clock.wall_ns())
    home = report.stands_on == report.home
    ok = report.exit_code == case.expected and kept and home is case.home
    return row | {
        "ok": ok,
        "exit_code": int(report.exit_code),
        "message": report.message,
        "stands_on": report.stands_on,
        "restored": report.restored,
    }


async def _drill(context: ActionContext, case: Case, ground: Ground) -> DrillReport:
    plan = Plan(
        mode="mock",
        feed=FEED,
        reason=f"self-test: {case.name}",
        operator=context.request.operator,
        threshold=case.threshold,
        patience_s=case.patience_s,
        observe_s=1.0,
        fault=FAULTS[case.fault] if case.fault else None,
    )
    lazy = await _connect_lazily(ground.url or "") if case.lazy else None
    try:
        async with watching(ground.client, ground.check) as witness:
            course = Course(
                ground.client,
                plan,
                health=case.health(built_in(ground.settings, context.runbook.health)),
                backlog=NatsBacklog(asking(ground.client)),
                witness=witness,
                injector=ground.injector,
                clock=context.clock,
                tell=lambda _stage, _text, _fields: None,  # its marker is not one of a drill
            )
            return await course.run()
    finally:
        if lazy is not None:
            lazy.close()


def _kept(report: DrillReport, wall_ns: int) -> bool:
    """Whether its report can be written and read again."""
    with tempfile.TemporaryDirectory() as directory:
        written, readable = write(report, Path(directory), wall_ns)
        row = json.loads(written.read_text(encoding="utf-8"))
        return row["exit_code"] == report.exit_code and readable.stat().st_size > 0


async def _connect_lazily(url: str) -> socket.socket:
    """A consumer of all ticks that reads nothing of them, with as small a buffer as the kernel gives."""
    parts = urlsplit(url)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    opened.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(opened, (parts.hostname, parts.port))
    await loop.sock_sendall(opened, b'CONNECT {"verbose":false,"name":"lazy"}\r\nSUB md.tick.> 1\r\n')
    return opened
