"""What counts as a failure of a line, and by which name."""

from __future__ import annotations

import pytest

from gateway.control.failing import FailureRules, Failures
from gateway.control.switching import Phase
from gateway.model import Instrument, LineState
from gateway.testing.clock import ManualClock


class Open:
    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        return "open"

    def any_open(self, moment_ns: int) -> bool:
        return True


@pytest.fixture
def failures() -> Failures:
    return Failures(FailureRules(), Open(), ManualClock(wall_ns=10**18))


def test_a_refused_login_is_a_failure_by_that_name_and_counts_once(failures: Failures) -> None:
    failures.line_changed("a", LineState.CONNECTED, "")
    assert failures.line_changed("a", LineState.REFUSED, "3: wrong password")
    assert not failures.line_changed("a", LineState.LOST, "3: wrong password")
    assert failures.of("a") == 1
    assert failures.why("a") == "login_refused"
    assert failures.words("a") == "3: wrong password"


@pytest.mark.parametrize(
    ("was", "reason", "kind"),
    [
        (LineState.STREAMING, "killed by SIGKILL", "line_lost"),
        (LineState.CONNECTING, "no connection in time", "timer"),
        (LineState.STREAMING, "hung: nothing heard for 0.9 s", "timer"),
        (LineState.CONNECTED, "front closed", "login_refused"),
    ],
)
def test_a_loss_is_named_after_what_came_before_it(failures: Failures, was: LineState, reason: str, kind: str) -> None:
    failures.line_changed("a", was, "")
    assert failures.line_changed("a", LineState.LOST, reason)
    assert failures.why("a") == kind


def test_an_orderly_end_is_no_failure(failures: Failures) -> None:
    for state in (LineState.STREAMING, LineState.IDLE, LineState.CONNECTING, LineState.STOPPED):
        assert not failures.line_changed("a", state, "parked")
    assert failures.of("a") == 0
