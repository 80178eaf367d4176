"""Plays steps: moves the clock, types the command, judges what it left, keeps a row for the table."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from tests.day.desk import Desk, Done
from tests.day.patience import until
from tests.day.records import judge, samples
from tests.day.scraped import latest
from tests.day.site import PLANTED, Site

LIVE: Final = ("--profile", "live")
LOGS: Final = ("--log-dir", "logs/runbooks")

ACTIONS: Final = {
    "start_live_env.sh": "start",
    "validate_env.py": "validate-env",
    "check_feed_health.py": "check-feed-health",
    "full_feed_subscription.py": "subscribe",
    "alert_smoke.py": "alert-smoke",
    "refresh_contracts.py": "refresh-contracts",
    "run_drill_tests.sh": "drill",
    "notify_slack.sh": "notify",
}
PUSHED: Final = "push_time_seconds"
"""The Pushgateway's own word on each group."""
_FLAGS: Final = ("--stop", "--restart", "--failover", "--failback", "--drill")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    at: str
    what: str
    code: str
    seen: str


@dataclass(slots=True)
class Course:
    """A day that is being played."""

    site: Site
    tell: Callable[[Row], None] = lambda _row: None
    rows: list[Row] = field(default_factory=list)
    session: str = "closed"
    """What the records of the runbook must call the session."""
    pushing: bool = True
    """Whether the Pushgateway can be reached."""

    def clock(self, text: str, session: str | None = None) -> None:
        """Jump forward to this time of the day; not between two pushes of one command, as Prometheus sees them."""
        pushed = {at for _, at in samples(self.site.pushgateway.url, PUSHED)}
        until(lambda: pushed <= latest(self.site.recording, PUSHED), "Prometheus does not see all that was pushed")
        self.site.wall.jump(self.site.wall.at(text))
        self.session = session or self.session

    def step(
        self,
        *words: str,
        codes: Collection[int] = (0,),
        markers: Collection[str] = (),
        says: Collection[str] = (),
        flags: tuple[str, ...] = (*LIVE, *LOGS),
        seen: str | Callable[[Done], str] = "",
        config: str = "primary",
        **environment: str,
    ) -> Done:
        """Type a command with these flags behind it, and judge it. ``seen`` checks more and says what was seen."""
        desk, before = self.site.desk, len(self.site.desk.audit())
        done = desk.type(*words, *flags, **environment)
        assert done.code in codes, f"{done.line}: {done.code}\n{done.out}"
        self.unleaked(done.out)
        for marker in markers:
            assert re.search(rf"\s{re.escape(marker)}$", done.out, re.MULTILINE), (done.line, marker, done.out)
        for text in says:
            assert text in done.out, (done.line, text, done.out)
        window = next((words[place + 1] for place, word in enumerate(words) if word == "--window"), "")
        pushed = self.site.pushgateway.url if self.pushing else None
        judge(desk, done, action_of(words), before, session=self.session, window=window, config=config, pushed=pushed)
        told = seen(done) if callable(seen) else seen
        self.note(
            done.at, done.line, str(done.code), ", ".join(filter(None, (*(f"`{each}`" for each in markers), told)))
        )
        return done

    def read(self, *words: str, codes: Collection[int] = (0,), seen: str | Callable[[Done], str] = "") -> Done:
        """Type a command that only reads, and so leaves no record."""
        done = self.site.desk.type(*words)
        assert done.code in codes, f"{done.line}: {done.code}\n{done.out}"
        self.unleaked(done.out)
        self.note(done.at, done.line, str(done.code), seen(done) if callable(seen) else seen)
        return done

    def happens(self, what: str, seen: str = "") -> None:
        """A row for something that nobody typed."""
        self.note(f"{self.site.wall.now():%m-%d %H:%M}", what, "", seen)

    def note(self, at: str, what: str, code: str, seen: str) -> None:
        self.rows.append(Row(at, what, code, seen))
        self.tell(self.rows[-1])

    @staticmethod
    def unleaked(text: str) -> None:
        """No planted secret is in it."""
        for secret in PLANTED:
            assert secret not in text, secret


def action_of(words: tuple[str, ...]) -> str:
    """The name that the audit and the metrics have for a command."""
    program, *rest = words
    if program == "start_live_env.sh":
        return next((flag.lstrip("-") for flag in _FLAGS if flag in rest), "start")
    if program == "runbook":
        return "-".join(rest[:2]) if rest[0] == "secrets" else rest[0]
    return ACTIONS[program]


def ended(desk: Desk) -> None:
    """A day that broke leaves nothing running: the supervisor's death takes its children with it."""
    for pid, line in desk.processes():
        if "runbook.supervisor" in line:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    until(lambda: not desk.processes(), "processes stay")


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| Time | Command or event | Exit | Seen |", "|---|---|---|---|"]
    for row in rows:
        what = f"`{row.what}`" if row.code else row.what
        lines.append(f"| {row.at} | {what} | {row.code} | {row.seen} |")
    return "\n".join(lines)
