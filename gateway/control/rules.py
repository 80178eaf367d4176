"""The rules of failover and watchdog, and the place of the gap ledger, as the settings ask for them."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.control.failing import FailureRules
from gateway.control.failover import FailoverRules
from gateway.control.pauses import PauseRules
from gateway.control.stalls import StallRules
from gateway.control.switching import SwitchRules
from gateway.control.watched import WatchRules
from gateway.settings import Settings
from gateway.settings.oversight import span_of

_log = logging.getLogger(__name__)


def failover_rules(settings: Settings) -> FailoverRules:
    """The rules that the settings ask for."""
    rules = settings.failover
    return FailoverRules(
        cooldown_s=rules.cooldown_s,
        switch=SwitchRules(
            up_s=rules.up_s,
            confirm_s=rules.confirm_s,
            settle_s=rules.settle_s,
            tick_s=rules.tick_s,
            collect_s=rules.collect_s,
        ),
        failures=FailureRules(
            window_s=rules.failures_window_s,
            planned=tuple(span_of(text) for text in rules.planned),
            closed_grace_s=rules.closed_grace_s,
        ),
    )


def watch_rules(settings: Settings) -> WatchRules:
    """The rules that the settings ask for."""
    rules = settings.watch
    return WatchRules(
        probe_s=rules.probe_s,
        pauses=PauseRules(
            default_s=rules.line_silent_s, floor_s=rules.floor_s, bound_s=rules.bound_s, times=rules.times
        ),
        stalls=StallRules(stalled_s=rules.bound_s, times=rules.times),
    )


def ledger_path(settings: Settings, temporary: Path) -> Path:
    """Where the ledger is: the settings' file, or one in a directory that ends with the gateway."""
    if settings.ledger.path is not None:
        return settings.ledger.path
    _log.info(
        "the gap ledger is temporary and ends with this gateway; set FEEDGATE_LEDGER__PATH (ledger.path) to keep it"
    )
    return temporary / "gaps.db"
