"""Mock drills, really run: a gateway with line processes on a real nats-server, switched, broken and judged."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.client import connect
from gateway.clock import SystemClock
from gateway.settings import Settings
from runbook.actions import drill as drill_action
from runbook.actions import failback as failback_action
from runbook.actions import failover as failover_action
from runbook.actions import restart_line as restart_line_action
from runbook.actions.drill import DrillParameters, drill
from runbook.actions.failback import FailbackParameters, failback
from runbook.actions.failover import FailoverParameters, failover
from runbook.actions.restart_line import RestartLineParameters, restart_line
from runbook.context import ActionContext
from runbook.drill import self_test
from runbook.drill.grounds import mock_ground
from runbook.drill.report import MARKER
from runbook.model import ActionRequest, Trigger
from runbook.runner import collect_kinds
from runbook.settings import DrillSettings, RunbookSettings


class Lazy:
    """A consumer of all ticks that does not read."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def tell(self, _stage: str, _text: str, fields: Mapping[str, Any]) -> None:
        if url := fields.get("url"):
            opened = self._stack.enter_context(socket.socket())
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.connect((urlsplit(url).hostname, urlsplit(url).port))
            opened.sendall(b'CONNECT {"verbose":false,"name":"lazy"}\r\nSUB md.tick.> 1\r\n')


def context_of(log_dir: Path, url: str = "", settings: Settings | None = None, **more: Any) -> ActionContext:
    request = {
        "action": "drill",
        "operator": "wang",
        "trigger": Trigger.CLI,
        "reason": "weekly drill",
        "mode": "live" if url else "mock",
    }
    options = {name: more.pop(name) for name in ("drill", "tell") if name in more}
    return ActionContext(
        run="r",
        request=ActionRequest(**(request | more)),
        settings=settings or Settings(),
        runbook=RunbookSettings(drill=options.get("drill", DrillSettings())),
        clock=SystemClock(),
        log_dir=log_dir,
        connect=lambda: connect(url, name="drill"),
        tell=options.get("tell", lambda _stage, _text, _fields: None),
    )


FAST = {"observe": 1.0, "contracts": 30, "rate": 300.0}


@pytest.mark.parametrize("fault", [None, "kill-line"])
async def test_a_mock_drill_passes_and_its_report_shows_it(tmp_path, caplog, fault: str | None) -> None:
    with caplog.at_level(logging.INFO):
        result = await drill(context_of(tmp_path), DrillParameters(**FAST, fault=fault))
    assert (result.exit_code, result.details["stands_on"]) == (0, "sim:primary"), result.message
    assert MARKER in [record.message for record in caplog.records]
    assert "verify_consumer_metrics feed=sim account=backup ok=true" in caplog.text
    report = json.loads((tmp_path / result.output).read_text())
    assert [stage["name"] for stage in report["stages"]] == ["primary", "failover", "failback", "end"]
    assert [one["trigger"] for one in report["switches"]] == ["line_lost" if fault else "command", "command"]
    assert all(one["latency_ms"] < 5000 and one["contracts"] for one in report["switches"])
    consumer = report["consumer"]
    assert consumer["ticks"] > 0
    assert [consumer[name] for name in ("lost_by_seq", "missing_by_content", "doubled_by_content")] == [0, 0, 0]
    assert report["gaps"]["gaps"] == 0
    text = (tmp_path / result.output).with_suffix(".md").read_text()
    assert "**Passed**" in text
    assert (fault or "backlog") in text


async def test_a_consumer_that_does_not_read_fails_the_primarys_metrics(tmp_path) -> None:
    with ExitStack() as stack:
        context = context_of(tmp_path, drill=DrillSettings(consumer_backlog_threshold=20), tell=Lazy(stack).tell)
        result = await drill(context, DrillParameters(**FAST, patience=2.0))
    assert result.exit_code == 42, result.message
    assert "wait for lazy" in result.message
    assert result.details["restored"] == "not needed"


async def test_a_live_drill_on_a_gateway_with_a_dead_backup_fails_and_keeps_the_primary(tmp_path) -> None:
    async with mock_ground(contracts=30, rate=300.0, dead=("backup",)) as ground:
        context = context_of(tmp_path, ground.url or "", ground.settings)
        result = await drill(context, DrillParameters(observe=0.5, patience=2.0))
        assert (await ground.client.status()).feeds[0].active == "sim:primary"
    assert (result.exit_code, result.details["stands_on"]) == (44, "sim:primary"), result.message
    assert "sim:primary was kept" in result.message
    assert (tmp_path / result.output).is_file()


async def test_the_orders_work_on_a_running_gateway_and_leave_nats_and_its_consumers_alone(tmp_path) -> None:
    async with mock_ground(contracts=30, rate=300.0) as ground, ground.client.ticks("*", snapshot=False) as stream:
        await anext(stream)
        context = context_of(tmp_path, ground.url or "", ground.settings, config="backup")
        over = await failover(context, FailoverParameters())
        assert (over.exit_code, over.details["target"]) == (0, "sim:backup"), over.message
        again = await restart_line(context, RestartLineParameters(line="sim:primary"))
        assert again.exit_code == 0, again.message
        wrong = await restart_line(context, RestartLineParameters(line="sim:third"))
        assert (wrong.exit_code, "sim:primary" in wrong.message) == (64, True)
        context = context_of(tmp_path, ground.url or "", ground.settings)
        back = await failback(context, FailbackParameters())
        assert (back.exit_code, back.details["target"]) == (0, "sim:primary"), back.message
        await anext(stream)
        assert (stream.interruptions, stream.lost) == (0, 0)


async def test_a_live_drill_with_a_restarted_line_passes_with_the_operators_command_and_metrics(tmp_path) -> None:
    async with mock_ground(contracts=30, rate=300.0) as ground:
        rules = DrillSettings(expect_feed="sim", expect_account="primary", health_cmd="true")
        context = context_of(tmp_path, ground.url or "", ground.settings, drill=rules)
        result = await drill(context, DrillParameters(observe=0.5, fault="restart-line", yes_really=True))
        assert result.exit_code == 0, result.message
        sick = DrillSettings(health_cmd="false")
        context = context_of(tmp_path, ground.url or "", ground.settings, drill=sick)
        # `false` ends with 1, which is a warning; anything above is an error
        assert (await drill(context, DrillParameters(observe=0.5))).exit_code == 0
        context = context_of(tmp_path, ground.url or "", ground.settings, drill=DrillSettings(metrics_source="/none"))
        unmeasured = await drill(context, DrillParameters(observe=0.5, patience=0.5))
        assert (unmeasured.exit_code, "could not be measured" in unmeasured.message) == (42, True)


async def test_without_nats_a_drill_ends_with_12_and_without_a_gateway_with_13(tmp_path) -> None:
    from gateway.testing.nats import NatsServer

    async with NatsServer() as server:
        result = await drill(context_of(tmp_path, server.url), DrillParameters())
        assert result.exit_code == 13, result.message
    assert (await drill(context_of(tmp_path, server.url), DrillParameters())).exit_code == 12


async def test_the_self_test_notices_a_drill_that_does_not_end_as_it_has_to(tmp_path, monkeypatch) -> None:
    lazy = next(case for case in self_test.CASES if case.lazy)
    wrong = self_test.Case(name="passes although it must not", expected=44, patience_s=5.0)
    monkeypatch.setattr(self_test, "CASES", (lazy, wrong))
    result = await drill(context_of(tmp_path), DrillParameters(self_test=True))
    assert (result.exit_code, [case["ok"] for case in result.details["cases"]]) == (2, [True, False])
    assert "passes although it must not" in result.message


def test_the_actions_are_found_with_their_parameters() -> None:
    kinds = collect_kinds(builtin=[drill_action, failover_action, failback_action, restart_line_action])
    assert sorted(kinds.by_name) == ["drill", "failback", "failover", "restart-line"]
    assert not kinds.findings
    assert all(kind.changes and kind.exclusive for kind in kinds.by_name.values())
