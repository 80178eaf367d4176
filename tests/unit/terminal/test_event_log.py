from __future__ import annotations

from typing import get_args

import pytest

from gateway.control import events as told
from gateway.control.events import ControlEvent, event_kind
from gateway.terminal.event_log import EventLog

AT = 1_700_000_000_000_000_000
GAP = {
    "feed": "ctp", "at_ns": AT, "outage_ns": AT, "session": "day", "trading_day": 20260310, "reason": "line lost",
    "lines": {}, "count": 300, "gaps": (),
}  # fmt: skip
SWITCH = {
    "feed": "sim", "at_ns": AT, "kind": "failover", "source": "sim:primary", "target": "sim:backup", "reason": "",
    "trigger": "line_lost", "started_ns": AT, "finished_ns": AT, "ok": True, "latency_ms": 0.0,
}  # fmt: skip


def state(line: str, now: str, was: str = "streaming", reason: str = "") -> told.LineStateChanged:
    return told.LineStateChanged(feed="sim", at_ns=AT, line=line, state=now, was=was, reason=reason)


def texts(*events: ControlEvent | dict[str, object]) -> list[str]:
    log = EventLog()
    for event in events:
        log.add(event)
    return [entry.text for entry in log.entries]


def test_a_line_that_dies_and_comes_back_is_told_without_the_steps_in_between() -> None:
    assert texts(
        state("sim:primary", "streaming", "logged_in"),
        state("sim:primary", "lost", reason="killed by SIGKILL"),
        told.Switch(**SWITCH),
        state("sim:primary", "connecting", "lost"),
        state("sim:primary", "connected", "connecting"),
        state("sim:primary", "logged_in", "connected"),
        state("sim:primary", "streaming", "logged_in"),
        state("sim:primary", "streaming", "logged_in"),
    ) == [
        "sim:primary streaming",
        "sim:primary lost: killed by SIGKILL",
        "failover sim:primary → sim:backup, 0 ms",
        "sim:primary streaming again",
        "sim:primary streaming",
    ]


LINE = {"feed": "ctp", "at_ns": AT, "line": "ctp:primary"}
STALL = {**LINE, "instrument": "SHFE.rb2610", "silent_s": 12.4}
JUDGED = {**LINE, "reason": "limits", "contract": "SHFE.rb2610"}
PHASE = {"feed": "ctp", "at_ns": AT, "trading_day": 20260310, "products": ("rb", "hc")}
LEDGER = {"at_ns": AT, "reason": "disk full", "waiting": 3, "lost": 0}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (state("ctp:primary", "refused", reason="wrong password"), "ctp:primary refused: wrong password"),
        (state("ctp:primary", "stopped"), "ctp:primary stopped"),
        (told.LineSilent(**LINE, last_tick_ns=None, silent_s=12.4, threshold_s=10, judged="probe"),
         "ctp:primary silent for 12 s"),
        (told.LineSpeaks(**LINE, silent_s=12.4), "ctp:primary ticks again after 12 s of silence"),
        (told.ContractStalled(**STALL, last_tick_ns=AT, usual_s=1.0), "SHFE.rb2610 stalled on ctp:primary for 12 s"),
        (told.ContractBack(**STALL), "SHFE.rb2610 ticks again on ctp:primary"),
        (told.Switch(**(SWITCH | {"latency_ms": 1.24})), "failover sim:primary → sim:backup, 1.2 ms"),
        (told.Switch(**(SWITCH | {"latency_ms": 250.4})), "failover sim:primary → sim:backup, 250 ms"),
        (told.Switch(**(SWITCH | {"latency_ms": None, "source": None})), "failover no line → sim:backup"),
        (told.Switch(**(SWITCH | {"ok": False, "error": "no answer"})),
         "failover sim:primary → sim:backup failed: no answer"),
        (told.Unplaced(feed="ctp", at_ns=AT, count=5, instruments=()), "no line has room for 5 contracts of ctp"),
        (told.Unplaced(feed="ctp", at_ns=AT, count=0, instruments=()),
         "every wanted contract of ctp has a line again"),
        (told.LineSuspect(**JUDGED), "ctp:primary suspect: limits SHFE.rb2610"),
        (told.LineTrusted(**JUDGED), "ctp:primary trusted again"),
        (told.LineWithdrawn(**JUDGED), "ctp:primary: a snapshot of SHFE.rb2610 was withdrawn: limits"),
        (told.GapOpened(**GAP), "gap in 300 contracts of ctp: line lost"),
        (told.GapClosed(**GAP, ending="covered"), "gap over in 300 contracts of ctp: covered"),
        (told.GapMeasured(**GAP, ending="covered"), "gap measured in 300 contracts of ctp"),
        (told.LedgerHealth(**LEDGER, degraded=True), "gap ledger cannot write: disk full"),
        (told.LedgerHealth(**LEDGER, degraded=False), "gap ledger writes again"),
        (told.PhaseChanged(**PHASE, was="open", now="break"), "ctp open → break: rb hc"),
        ({"type": "eclipse", "feed": "ctp", "at_ns": AT}, "eclipse ctp"),
    ],
)  # fmt: skip
def test_each_event_is_one_line_in_plain_words(event: ControlEvent | dict[str, object], text: str) -> None:
    assert texts(event) == [text]


def test_no_kind_of_event_is_forgotten() -> None:
    cases = next(mark for mark in test_each_event_is_one_line_in_plain_words.pytestmark if mark.name == "parametrize")
    covered = {event_kind(event) for event, _ in cases.args[1] if not isinstance(event, dict)}
    assert covered == {kind.__struct_config__.tag for kind in get_args(ControlEvent)}


def test_what_only_repeats_or_begins_is_left_out() -> None:
    assert texts(told.PhaseChanged(**PHASE, was=None, now="open"), told.GapOpened(**GAP, part=2, parts=2)) == []


def test_every_switch_is_kept_for_the_summary() -> None:
    log = EventLog()
    log.add(told.Switch(**SWITCH))
    log.add(told.Switch(**(SWITCH | {"ok": False, "error": "no answer", "latency_ms": None})))
    assert [(row.source, row.target, row.trigger, row.latency_ms, row.ok, row.error) for row in log.switches] == [
        ("sim:primary", "sim:backup", "line_lost", 0.0, True, ""),
        ("sim:primary", "sim:backup", "line_lost", None, False, "no answer"),
    ]


def test_only_the_latest_entries_are_kept() -> None:
    log = EventLog()
    for number in range(150):
        log.note(number, str(number))
    assert (len(log.entries), log.entries[0].text) == (100, "50")


async def test_a_log_reads_a_stream_to_its_end() -> None:
    async def stream():
        yield state("sim:primary", "lost", reason="killed by SIGKILL")

    log = EventLog()
    await log.run(stream())
    assert [(entry.at_ns, entry.text) for entry in log.entries] == [(AT, "sim:primary lost: killed by SIGKILL")]
