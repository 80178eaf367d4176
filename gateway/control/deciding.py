"""Deciding for one feed whether its plan stays, changes, or asks for a switch. Nothing here acts or waits.

It looks at the facts, keeps what was said about the lines (failures, silences, an operator's choice) and asks the
router. The rules are those of the operators' contract, §8 (more than 3 failures; ``feed_failover_required``).
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace

from gateway.clock import Clock
from gateway.control.failing import FailureRules, Failures
from gateway.control.routing.standing import Standing, standing
from gateway.control.switching import FeedControl, Phases, SwitchError, beside
from gateway.model import LineState
from gateway.plan import AccountRouter, LineFacts, Plan, View

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Move:
    """The preferred line is to change."""

    source: str
    target: str
    reason: str
    trigger: str


class Deciding:
    """Of one feed. All methods on the loop."""

    def __init__(
        self,
        feed: str,
        control: FeedControl,
        router: AccountRouter,
        phases: Phases,
        clock: Clock,
        rules: FailureRules,
        counts: Counter[str],
    ) -> None:
        """``counts``: the feed's; ``cooled`` and ``router_raised`` are counted here."""
        self.required = ""
        """Why a failover is asked for that has not happened yet; empty when none is."""
        self.chosen: str | None = None
        """The line that an operator chose; it stands until it is lost, or an automatic switch ends it."""
        self.failures = Failures(rules, phases, clock)
        self._feed, self._control, self._router, self._rules, self._counts = feed, control, router, rules, counts
        self._silent: set[str] = set()

    # -- what it is told ---------------------------------------------------------------------------------------

    def line_changed(self, line: str, state: LineState, reason: str) -> None:
        """A line entered a state."""
        if self.failures.line_changed(line, state, reason):
            _log.info("feed %s: %s failed: %s", self._feed, line, reason)
        if not state.is_up:
            self._silent.discard(line)

    def line_silent(self, line: str) -> None:
        """The watchdog's verdict."""
        self._silent.add(line)
        self.failures.blame(line, "watchdog")

    def line_speaks(self, line: str) -> None:
        """The watchdog takes its verdict back."""
        self._silent.discard(line)

    # -- what it answers ---------------------------------------------------------------------------------------

    def facts(self) -> tuple[LineFacts, ...]:
        """The lines with what is known of them: failures in the window, verdicts."""
        return tuple(
            replace(
                line,
                failures=self.failures.of(line.name),
                restarts=max(line.restarts, self.failures.ever(line.name)),
                silent=line.name in self._silent,
            )
            for line in self._control.facts()
        )

    def wish(self, current: Plan) -> Plan:
        """What the router would have now; ``current`` is in force."""
        return self._ask(self._view(self.facts(), current))

    def decide(self, current: Plan, *, cooling: bool) -> Plan | Move | None:
        """A plan to be applied without a switch, a switch, or nothing. ``cooling``: no switch yet."""
        self.failures.pass_time()
        lines = self.facts()
        view = self._view(lines, current)
        wish = self._ask(view)
        source = current.prefer
        if source is None or view.line(source) is None:
            return wish
        target, trigger, reason = wish.prefer, "", ""
        if target == source and self.required:
            target, trigger, reason = self._next_usable(lines, current), "required", self.required
        elif _is_coming(view.line(source)):
            target, wish = source, replace(beside(current, wish), prefer=source)
        # on a planned close nothing is lost and the line comes back by itself
        excused = self.failures.excused(source)
        if target == source or target is None or excused:
            return wish if wish != current and not excused else None
        if cooling:
            self._counts["cooled"] += 1
            # only the preference waits: the line that will have it is woken now, so that nothing is lost meanwhile
            meanwhile = beside(current, wish)
            return meanwhile if meanwhile != current else None
        if trigger == "required":
            self.failures.blame(source, reason)  # or it would count as never failed and be returned to
        trigger = trigger or self._trigger(view.line(source))
        reason = reason or self.failures.words(source) or f"{target} is better"
        self.required = ""
        return Move(source, target, reason, trigger)

    def next_line(self, current: Plan) -> str | None:
        """Whom a failover without a name goes to: the next that is usable, or else any other."""
        return self._next_usable(self.facts(), current) or next(
            (line.name for line in self._control.facts() if line.name != current.prefer), None
        )

    def goal(self, target: str, current: Plan) -> Plan:
        """What the router plans once the target is up. Raises SwitchError when it would not prefer it."""
        # asked for by name, or the way out: the router judges the target as the good line that it has to prove to be
        lines = tuple(
            replace(line, state=LineState.STREAMING, failures=0, silent=False, suspect=False, role="hot")
            if line.name == target
            else line
            for line in self.facts()
        )
        goal = self._ask(replace(self._view(lines, current), chosen=target))
        if goal.prefer != target:
            raise SwitchError(
                f"the router prefers {goal.prefer} to {target}; see its policy (feeds.{self._feed}.router)"
            )
        return goal

    # -- inside ------------------------------------------------------------------------------------------------

    def _trigger(self, line: LineFacts | None) -> str:
        if line is None or (line.usable and line.failures <= self._rules.most):
            return "router"
        if line.silent:
            return "watchdog"
        return "failures" if line.usable else self.failures.why(line.name)

    def _view(self, lines: tuple[LineFacts, ...], current: Plan) -> View:
        return View(lines=lines, wanted=self._control.wanted(), current=current, chosen=self.chosen)

    def _ask(self, view: View) -> Plan:
        """The router's answer; what is in force when it raises."""
        try:
            return self._router.plan(view)
        except Exception:  # noqa: BLE001 - a plugin's bug must not take the feed down; it is logged and counted
            _log.exception("feed %s: the router raised; the plan stays as it is", self._feed)
            self._counts["router_raised"] += 1
            return view.current

    def _next_usable(self, lines: tuple[LineFacts, ...], current: Plan) -> str | None:
        """Whom the router would take if the preferred line were lost."""
        lost = tuple(
            replace(line, state=LineState.LOST, failures=line.failures + 1) if line.name == current.prefer else line
            for line in lines
        )
        wish = self._ask(replace(self._view(lost, current), chosen=None)).prefer
        return None if wish == current.prefer else wish


def _is_coming(line: LineFacts | None) -> bool:
    """On its way up and never failed: whoever was quicker at the start does not replace it. Its timers end that."""
    return line is not None and line.role == "hot" and standing(line) is Standing.UNTRIED
