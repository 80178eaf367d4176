"""What is looked at in each stage of a drill: health, the consumers' backlog, loss, gaps, lines."""

from __future__ import annotations

import asyncio

from gateway.client import Client
from gateway.clock import Clock
from gateway.control import FeedStatus, StatusReply
from gateway.errors import FeedgateError
from gateway.model import LineStatus
from runbook.drill.backlog import BacklogSource, UnmeasuredError
from runbook.drill.consumer_metrics import verify_consumer_metrics
from runbook.drill.healthcheck import HealthCheck
from runbook.drill.ledger import new_gaps
from runbook.drill.notes import Notes, Plan
from runbook.drill.report import Finding
from runbook.drill.witness import Witness
from runbook.model import Exit


class Looks:
    """Each method adds what it found to the notes, and raises StageFailedError when it does not pass."""

    def __init__(
        self,
        client: Client,
        plan: Plan,
        notes: Notes,
        *,
        health: HealthCheck,
        backlog: BacklogSource,
        witness: Witness,
        clock: Clock,
    ) -> None:
        self._client, self._plan, self._notes = client, plan, notes
        self._health, self._backlog, self._witness, self._clock = health, backlog, witness, clock
        self.report = notes.report
        self._cut_off: int | None = None

    async def healthy(self, code: Exit, line: str) -> None:
        """Health 0 or 1, and the right line active, within the patience."""

        async def look() -> Finding:
            answer, text, figures = await self._health(self._client)
            feed = self.feed(await self._client.status())
            if feed.active != line:
                return self._notes.found("health", False, f"{feed.active} is active, and not {line}; {text}", figures)
            return self._notes.found(
                "health", answer in (Exit.OK, Exit.WARNING), f"exit code {answer}: {text}", figures
            )

        finding = await self._notes.patiently(look)
        self._notes.add(finding, code)
        if finding.text.startswith(f"exit code {int(Exit.WARNING)}"):
            self.report.warnings.append(f"stage {self._notes.stage.name}: health: {finding.text}")

    async def baseline(self) -> None:
        """How many consumers NATS had cut off before; a source that does not tell has none."""
        accounts = await self._accounts(self.report.home)
        try:
            found = await self._backlog.measure(self.report.feed, accounts, 0)
        except UnmeasuredError:
            return  # the stage's own look says so, and fails
        self._cut_off = found.cut_off
        if self._plan.mode == "live" and len(found.consumers) < 2 and found.cut_off is not None:  # noqa: PLR2004 - the drill's own is one
            self.report.warnings.append("no consumer but the drill's own is connected to NATS")

    async def metrics(self, code: Exit, line: str, since_ns: int) -> None:
        """Backlog, loss and gaps; figures taken before ``since_ns`` do not count."""
        before = self._witness.ticks(self.report.feed)
        await asyncio.sleep(self._plan.observe_s)
        verdict = await verify_consumer_metrics(
            self._backlog,
            feed=self.report.feed,
            accounts=await self._accounts(line),
            threshold=self._plan.threshold,
            clock=self._clock,
            since_ns=since_ns,
            patience_s=self._plan.patience_s,
            cut_off_before=self._cut_off,
        )
        self._notes.check("backlog", verdict.ok, verdict.text, code, measured=verdict.measured, figures=verdict.figures)
        self._notes.add(await self._notes.patiently(lambda: self._consumer(before)), code)
        self._notes.add(await self._notes.patiently(self._ledger), code)

    async def _consumer(self, before: int) -> Finding:
        feed = self.report.feed
        figures = self._witness.figures()
        came = self._witness.ticks(feed) - before
        if came <= 0:
            text = f"the drill's consumer got no tick of feed {feed} in this stage, so loss could not be measured"
            return self._notes.found("consumer", False, text, figures, measured=False)
        if (wanted := self._plan.expect_feed) is not None and wanted not in self._witness.feeds():
            text = f"consumers see {', '.join(self._witness.feeds())}, and not {wanted} as expected"
            return self._notes.found("consumer", False, text, figures)
        wrong = self._witness.faults()
        return self._notes.found("consumer", not wrong, "; ".join(wrong) or f"{came} ticks, each of them once", figures)

    async def _ledger(self) -> Finding:
        try:
            gaps = await new_gaps(self._client, self.report.feed, self._notes.began_ns)
        except UnmeasuredError as error:
            return self._notes.found("ledger", False, str(error), measured=False)
        self.report.gaps = gaps
        status = self.feed(await self._client.status())
        number = gaps["gaps"]
        allowed = self._plan.fault is not None and status.router.endswith("_cold")
        text = f"{number} gaps during the drill" if number else "no gap during the drill"
        if number and allowed:
            self.report.warnings.append(f"stage {self._notes.stage.name}: {text}; no second line was logged in")
        return self._notes.found("ledger", not number or allowed, text, gaps)

    async def up_again(self, line: str, code: Exit) -> None:
        """Whether a line can be gone back to: up, or parked on purpose."""

        async def look() -> Finding:
            (found,) = (one for one in (await self._client.status()).lines if one.line == line)
            up = found.state.is_up or found.role == "cold"
            why = f"{line} is {found.state.value}" + (f": {found.reason}" if found.reason and not up else "")
            return self._notes.found("line", up, why)

        limit = max(self._plan.patience_s, self._plan.fault_wait_s if self._plan.fault else 0)
        self._notes.add(await self._notes.patiently(look, limit), code)

    async def _accounts(self, line: str) -> tuple[str, ...]:
        status = await self._client.status()
        return next((names_of(one) for one in status.lines if one.line == line), (line.partition(":")[2],))

    def feed(self, status: StatusReply) -> FeedStatus:
        """The drilled one. Raises FeedgateError when it is gone."""
        feed = self.report.feed
        for one in status.feeds:
            if one.feed == feed or not feed:
                return one
        raise FeedgateError(f"the gateway does not run the feed {feed} any more; look at its log")


def names_of(line: LineStatus) -> tuple[str, ...]:
    """What the account of a line is called: in the settings, and masked."""
    return tuple(dict.fromkeys(name for name in (line.line.partition(":")[2], line.account) if name))
