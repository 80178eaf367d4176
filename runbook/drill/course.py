"""The course of a drill: primary, failover, failback, each judged; and home again whatever happens."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.client import Client
from gateway.clock import Clock
from gateway.control import FeedStatus, StatusReply
from gateway.control.events import Switch
from gateway.errors import BusError, ControlError, FeedgateError
from gateway.model import LineStatus
from runbook.drill.backlog import BacklogSource
from runbook.drill.faults import DrillFault, Injector
from runbook.drill.healthcheck import HealthCheck
from runbook.drill.looks import Looks, names_of
from runbook.drill.notes import Notes, Plan, StageFailedError, Tell
from runbook.drill.report import MARKER, DrillReport, switch_json
from runbook.drill.witness import Witness
from runbook.model import Exit

log = logging.getLogger(__name__)

_AGAIN_S: Final = 0.25
_RESTORE_S: Final = 45.0
_RESTORE_AGAIN_S: Final = 1.0
_BEFORE_COMMAND_S: Final = 3.0
"""A fault that need not make the gateway leave the line is given so long to do it."""


class Course:
    """One drill over a client that somebody else holds. :meth:`run` once."""

    def __init__(
        self,
        client: Client,
        plan: Plan,
        *,
        health: HealthCheck,
        backlog: BacklogSource,
        witness: Witness,
        injector: Injector,
        clock: Clock,
        tell: Tell,
    ) -> None:
        self._client, self._plan, self._clock = client, plan, clock
        self._witness, self._injector = witness, injector
        self._notes = Notes(plan, clock, tell)
        self._looks = Looks(client, plan, self._notes, health=health, backlog=backlog, witness=witness, clock=clock)
        self._touched = False
        self.report = self._notes.report

    async def run(self) -> DrillReport:
        """The report; its ``exit_code`` is the drill's. Raises nothing but a cancellation, after going home."""
        report = self.report
        try:
            await self._primary()
            if not self._plan.dry_run:
                await self._failover()
                await self._failback()
            report.exit_code, report.message = Exit.OK, "dry run: the first stage passed; nothing was switched"
        except StageFailedError as failed:
            report.exit_code, report.message = failed.code, f"stage {self._notes.stage.name}: {failed}"
        except FeedgateError as error:
            text = f"stage {self._notes.stage.name}: the gateway did not do what was asked: {error}"
            report.exit_code, report.message = self._unanswered(error), text
            self._notes.note("gateway", False, text, measured=False)
        finally:
            await self._end()
        if report.exit_code == Exit.OK and not report.dry_run:
            report.message = f"{MARKER}: {report.home} → {self._away(report)} → {report.stands_on}"
            log.info(MARKER)
            self._notes.tell("drill", MARKER, {"feed": report.feed, "mode": report.mode})
        return report

    # -- the stages ------------------------------------------------------------------------------------------

    async def _primary(self) -> None:
        self._notes.begin("primary", Exit.DRILL_PRIMARY_HEALTH)
        since = self._clock.wall_ns()
        status = await self._client.status()
        feed = self._chosen(status)
        self.report.feed = feed.feed
        lines = _lines(status, feed.feed)
        self.report.home = home = lines[0].line if lines else ""
        self._line(lines, feed, home)
        await self._looks.healthy(Exit.DRILL_PRIMARY_HEALTH, home)
        self._notes.code = Exit.DRILL_PRIMARY_METRICS
        if feed.session == "closed":
            text = (
                f"no market of feed {feed.feed} is open, so neither latency nor loss could be measured; "
                "run the drill in a session, or with --mock"
            )
            self._notes.check("session", False, text, Exit.DRILL_PRIMARY_METRICS, measured=False)
        await self._looks.baseline()
        await self._looks.metrics(Exit.DRILL_PRIMARY_METRICS, home, since)
        self._notes.finish(home)

    async def _failover(self) -> None:
        self._notes.begin("failover", Exit.DRILL_FAILOVER_HEALTH)
        feed, home = self.report.feed, self.report.home
        since = self._clock.wall_ns()
        switch = await self._by_fault(self._plan.fault, home) if self._plan.fault else None
        if switch is None:
            self._touched = True
            self._notes.tell("failover", f"{home} is left on command", {"to": self._plan.to})
            switch = await self._client.failover(
                self._plan.reason, feed=feed, to=self._plan.to, operator=self._plan.operator
            )
        target = self._judge(switch, Exit.DRILL_FAILOVER_METRICS, Exit.DRILL_FAILOVER_HEALTH)
        await self._after(target, since, Exit.DRILL_FAILOVER_METRICS, Exit.DRILL_FAILOVER_HEALTH)

    async def _failback(self) -> None:
        self._notes.begin("failback", Exit.DRILL_FAILBACK_HEALTH)
        home = self.report.home
        await self._injector.heal()
        await self._looks.up_again(home, Exit.DRILL_FAILBACK_HEALTH)
        since = self._clock.wall_ns()
        self._notes.tell("failback", f"back to {home}", {})
        switch = await self._client.failback(self._plan.reason, feed=self.report.feed, operator=self._plan.operator)
        self._judge(switch, Exit.DRILL_FAILBACK_METRICS, Exit.DRILL_FAILBACK_HEALTH)
        await self._after(home, since, Exit.DRILL_FAILBACK_METRICS, Exit.DRILL_FAILBACK_HEALTH)

    async def _after(self, line: str, since_ns: int, metrics: Exit, health: Exit) -> None:
        """What has to hold after a switch, metrics first."""
        self._notes.code = metrics
        await self._looks.metrics(metrics, line, since_ns)
        self._notes.code = health
        await self._looks.healthy(health, line)
        self._notes.finish(line)

    # -- what is looked at -----------------------------------------------------------------------------------

    def _chosen(self, status: StatusReply) -> FeedStatus:
        wanted = self._plan.feed or self._plan.expect_feed
        feeds = [one for one in status.feeds if wanted in (None, one.feed)]
        if len(feeds) == 1:
            return feeds[0]
        there = ", ".join(one.feed for one in status.feeds) or "none"
        what = f"the gateway does not run the feed {wanted}" if wanted else "say which feed (--feed)"
        self._notes.check("feed", False, f"{what}; it runs: {there}", Exit.DRILL_PRIMARY_HEALTH)
        raise AssertionError  # the check above has raised

    def _line(self, lines: list[LineStatus], feed: FeedStatus, home: str) -> None:
        code = Exit.DRILL_PRIMARY_HEALTH
        self._notes.check(
            "lines", len(lines) > 1, f"the lines are {', '.join(one.line for one in lines) or 'none'}", code
        )
        at = f"{feed.active} is the active line of feed {feed.feed}"
        fix = "" if feed.active == home else f", and not {home}; go back first (runbook failback), then drill"
        self._notes.check("line", feed.active == home, at + fix, code)
        if feed.switching:
            self._notes.check("switching", False, f"{feed.switching} is going on; try again when it is over", code)
        if (wanted := self._plan.expect_account) is not None:
            names = names_of(next(one for one in lines if one.line == home))
            text = f"the active account is {names[0]}" + ("" if wanted in names else f", and not {wanted} as expected")
            self._notes.check("account", wanted in names, text, code)

    async def _by_fault(self, fault: DrillFault, home: str) -> Switch | None:
        """Bring it about; the gateway's own switch, or None when it is left to a command."""
        since = self._clock.wall_ns()
        self._touched = True
        self._notes.tell("fault", f"{fault.name}: {fault.what}", {"line": home})
        try:
            await self._injector.inject(fault, home)
        except FeedgateError as error:
            self._notes.check(
                "fault", False, f"{fault.name} could not be brought about: {error}", Exit.DRILL_FAILOVER_HEALTH
            )
        wait = self._plan.fault_wait_s if fault.must_leave else _BEFORE_COMMAND_S
        ends = self._clock.monotonic() + wait
        while self._clock.monotonic() < ends:
            for switch in await self._client.switches(self.report.feed, limit=5):
                if switch.started_ns >= since and switch.source == home and switch.ok:
                    text = f"{fault.name}: the gateway left {home} by itself ({switch.trigger})"
                    self._notes.check("fault", True, text, Exit.DRILL_FAILOVER_HEALTH)
                    return switch
            await asyncio.sleep(_AGAIN_S)
        text = f"{fault.name}: the gateway did not leave {home} within {wait:g} s"
        self._notes.check("fault", not fault.must_leave, text, Exit.DRILL_FAILOVER_HEALTH)
        return None

    def _judge(self, switch: Switch, metrics: Exit, health: Exit) -> str:
        """Whether it was done and fast enough; the line that it went to."""
        row = switch_json(switch)
        self.report.switches.append(row)
        if not switch.ok or switch.target is None:
            text = f"the {switch.kind} to {switch.target} failed: {switch.error}; {switch.source} was kept"
            self._notes.check("switch", False, text, health, figures=row)
        self._notes.check("switch", True, f"{switch.kind}: {switch.source} → {switch.target}", health, figures=row)
        limit = self._plan.latency_limit_ms
        latency = switch.latency_ms
        if latency is None:
            text = f"the latency of the {switch.kind} could not be measured: no tick around it; drill while it trades"
            self._notes.check("latency", False, text, metrics, measured=False)
        fine = latency is not None and latency < limit
        text = f"{latency} ms ({'below' if fine else 'not below'} {limit:g} ms), {switch.measured} contracts measured"
        self._notes.check(
            "latency", fine, text, metrics, figures={"latency_ms": latency, "contracts": row["contracts"]}
        )
        return switch.target or ""

    # -- the end ---------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Home again, and say where it stands. Raises nothing but a cancellation."""
        report = self.report
        self._notes.begin("end", Exit.DRILL_FAILBACK_HEALTH)
        try:
            async with asyncio.timeout(_RESTORE_S):
                await self._restore()
        except (FeedgateError, TimeoutError) as error:
            report.restored = "failed" if self._touched else "unknown"
            said = str(error) or f"no answer within {_RESTORE_S:g} s"
            self._notes.note(
                "restore", False, f"where the feed stands could not be established: {said}", measured=False
            )
        report.consumer = self._witness.figures()
        report.finished = self._notes.now()
        if self._touched and report.restored == "failed":
            on = report.stands_on or "an unknown line"
            loud = f"FEED {report.feed} STANDS ON {on}, NOT ON {report.home}: run `runbook failback`"
            log.error("%s", loud)
            self._notes.tell("restore", loud, {"stands_on": report.stands_on})
            report.message = f"{report.message}; {loud}"
            report.exit_code = report.exit_code or Exit.DRILL_FAILBACK_HEALTH

    async def _restore(self) -> None:
        report, client = self.report, self._client
        if self._touched:
            await self._injector.heal()
        report.stands_on = self._looks.feed(await client.status()).active
        if report.stands_on == report.home or not self._touched:
            report.restored = "not needed"
            return
        self._notes.tell("restore", f"{report.stands_on} is active; going back to {report.home}", {})
        report.restored = "failed"
        ends = self._clock.monotonic() + self._plan.patience_s
        while True:
            try:
                switch = await client.failback(f"{self._plan.reason} (the drill failed)", feed=report.feed)
            except ControlError as error:
                said = str(error)
                if error.fields.get("reply_code") != "busy":  # another switch ends by itself
                    raise
            else:
                said = switch.error or "done"
                report.switches.append(switch_json(switch))
                if switch.ok:
                    break
            if self._clock.monotonic() >= ends:
                break
            await asyncio.sleep(_RESTORE_AGAIN_S)
        report.stands_on = self._looks.feed(await client.status()).active
        if report.stands_on == report.home:
            report.restored = "done"
        text = f"failback: {said}; {report.stands_on} is active"
        self._notes.note("restore", report.restored == "done", text)

    # -- small parts -----------------------------------------------------------------------------------------

    @staticmethod
    def _away(report: DrillReport) -> str:
        return next((str(one["target"]) for one in report.switches if one["ok"]), "?")

    @staticmethod
    def _unanswered_first(error: FeedgateError) -> int:
        gone = isinstance(error, BusError) or error.fields.get("reply_code") == "disconnected"
        return Exit.NATS if gone else Exit.GATEWAY

    def _unanswered(self, error: FeedgateError) -> int:
        """Before anything is done it is the gateway that is missing; later it is the stage that fails."""
        return self._notes.code if self._notes.stage.findings or self._touched else self._unanswered_first(error)


def _lines(status: StatusReply, feed: str) -> list[LineStatus]:
    """In the order of the settings, which is that of the reply."""
    return [line for line in status.lines if line.line.partition(":")[0] == feed]
