"""Health, enforce, subscribe and refresh against a real gateway on a real nats-server."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import FeedSettings, Gateway, LineState, Settings, connect
from gateway.client import Client
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.settings import (
    AccountSettings,
    BusSettings,
    CatalogueSettings,
    MetricsSettings,
    SubscriptionSettings,
)
from gateway.sources.sim_options import SimOptions
from gateway.testing.nats import NatsServer
from runbook.actions import check_feed_health as check_module
from runbook.actions import subscribe as subscribe_module
from runbook.actions.check_feed_health import HealthParameters, check_feed_health
from runbook.actions.refresh_contracts import RefreshParameters, refresh_contracts
from runbook.actions.subscribe import SubscribeParameters, subscribe
from runbook.context import ActionContext
from runbook.model import ActionRequest, ActionResult, AuditRecord, Trigger
from runbook.runner import ActionRunner
from runbook.runner.kinds import collect_kinds
from runbook.settings import RunbookSettings

CONTRACTS = 40
TWO = {"primary": AccountSettings(), "backup": AccountSettings()}
ONE = {"primary": AccountSettings()}
REFUSED = "SHFE.nosuch2701"
FIELDS = [
    *("coverage_ratio", "expected_total", "active_total", "matched_total", "missing_contracts"),
    *("unexpected_contracts", "stalled_contracts", "warnings", "errors", "exit_code", "remediation"),
]


def settings(
    url: str, *, accounts: dict[str, AccountSettings] | None = None, catalogue: Path | None = None, **more: Any
) -> Settings:
    feed = FeedSettings(
        kind="sim",
        host="child",
        accounts=accounts or TWO,
        options={"contracts": CONTRACTS, "rate": 2000, "quiet": 0.0},
        catalogue=None if catalogue is None else CatalogueSettings(kind="file", options={"path": str(catalogue)}),
    )
    bus = BusSettings(urls=[url])
    return Settings(feeds={"sim": feed}, bus=bus, metrics=MetricsSettings(enabled=False), **more)


def catalogue(path: Path, *names: str) -> Path:
    """The sim's contracts and these."""
    known = [str(one.instrument) for one in SimOptions(contracts=CONTRACTS, quiet=0.0).market().contracts]
    rows = [name.partition(".")[::2] for name in (*known, *names)]
    path.write_text("exchange,code\n" + "".join(f"{exchange},{code}\n" for exchange, code in rows))
    return path


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as server:
        yield server


class Desk:
    """Runs actions against the gateway at an address."""

    def __init__(self, settings: Settings, path: Path, url: str) -> None:
        self.settings, self.path, self.url = settings, path, url
        self.told: list[tuple[str, str]] = []
        self.runbook = RunbookSettings(log_dir=path / "logs", state_dir=path / "state")

    def connect(self) -> AbstractAsyncContextManager[Client]:
        return connect(self.url)

    def context(self, *, dry_run: bool = False) -> ActionContext:
        request = ActionRequest(action="x", operator="tester", trigger=Trigger.CLI, dry_run=dry_run)
        return ActionContext(
            run="r1",
            request=request,
            settings=self.settings,
            runbook=self.runbook,
            clock=SystemClock(),
            log_dir=self.runbook.log_dir,
            connect=self.connect,
            tell=lambda stage, text, _fields: self.told.append((stage, text)),
        )

    async def health(self, **parameters: Any) -> ActionResult:
        return await check_feed_health(self.context(), HealthParameters(**parameters))

    async def subscribe(self, *, dry_run: bool = False, **parameters: Any) -> ActionResult:
        return await subscribe(self.context(dry_run=dry_run), SubscribeParameters(**parameters))


async def until(true: Callable[[], bool], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.02)


async def settled(gw: Gateway) -> None:
    """All lines stream and have an answer for each contract."""
    await until(
        lambda: all(
            line.state is LineState.STREAMING and line.confirmed + line.failed == line.wanted > 0 for line in gw.lines()
        )
    )


def script(path: Path, *, body: str = "") -> Path:
    """Writes its arguments as JSON beside itself."""
    path.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(path) + '.json'!r}, 'w').write(json.dumps(sys.argv[1:]))\nprint('paged the desk')\n{body}"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_two_healthy_lines_are_ready_and_the_report_has_the_contracts_fields(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url)
    async with Gateway(configuration) as gw:
        await settled(gw)
        desk = Desk(configuration, tmp_path, server.url)
        result = await desk.health()
        assert result.exit_code == 0, result
        assert ("health", "HEALTH=READY") in desk.told
        report = json.loads((desk.runbook.log_dir / result.output).read_text())
        assert list(report)[: len(FIELDS)] == FIELDS
        assert set(report) == {*FIELDS, "feeds"}
        assert (report["coverage_ratio"], report["expected_total"], report["matched_total"]) == (1.0, 40, 40)
        assert report["active_total"] == 40
        assert report["missing_contracts"] == report["stalled_contracts"] == report["errors"] == []
        (feed,) = report["feeds"]
        assert feed["at"].endswith("+08:00")
        assert [line["line"] for line in feed["lines"]] == ["sim:primary", "sim:backup"]
        as_csv = await desk.health(out="csv", out_dir=tmp_path / "csv")
        rows = list(csv.DictReader(Path(as_csv.output).read_text().splitlines()))
        assert {row["symbol"]: row["value"] for row in rows if row["section"] == "summary"}["matched_total"] == "40"


async def test_a_refused_contract_is_a_warning_or_an_error_by_the_threshold(server: NatsServer, tmp_path: Path) -> None:
    configuration = settings(server.url, catalogue=catalogue(tmp_path / "list.csv", REFUSED))
    async with Gateway(configuration) as gw:
        await settled(gw)
        desk = Desk(configuration, tmp_path, server.url)
        strict = await desk.health()
        assert strict.exit_code == 2, strict
        assert strict.details["missing_contracts"] == [REFUSED]
        assert REFUSED in strict.message
        (missing,) = strict.details["feeds"][0]["missing"]
        assert "sim lists no" in missing["why"], "the vendor's words are told"
        mild = await desk.health(coverage_threshold=0.97)
        assert mild.exit_code == 1, mild
        assert mild.details["errors"] == []
        assert not [text for _, text in desk.told if text == "HEALTH=READY"]


async def test_when_the_only_line_is_killed_its_contracts_are_missing(server: NatsServer, tmp_path: Path) -> None:
    configuration = settings(server.url, accounts=ONE)
    async with Gateway(configuration) as gw:
        await settled(gw)
        pid = gw.line_pid("sim:primary")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # a killed one is back within a moment; a stopped one stays away for the check
        try:
            await until(lambda: not gw.lines()[0].state.is_up)
            result = await Desk(configuration, tmp_path, server.url).health()
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert result.exit_code == 2, result
        assert len(result.details["missing_contracts"]) == CONTRACTS
        assert result.details["coverage_ratio"] == 0
        assert "no line" in result.message


async def test_a_lost_line_does_not_matter_while_the_other_carries_everything(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url)
    async with Gateway(configuration) as gw:
        await settled(gw)
        pid = gw.line_pid("sim:backup")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not gw.lines()[1].state.is_up)
        result = await Desk(configuration, tmp_path, server.url).health()
        assert result.exit_code == 0, result


async def test_enforce_subscribes_what_somebody_took_off_and_ends_ready(server: NatsServer, tmp_path: Path) -> None:
    configuration = settings(server.url)
    async with Gateway(configuration) as gw, connect(server.url) as client:
        await settled(gw)
        gone = ["SHFE.rb2701", "DCE.m2701"]
        await client.unsubscribe(*gone)
        desk = Desk(configuration, tmp_path, server.url)
        seen = await desk.health()
        assert seen.exit_code == 2, seen
        assert sorted(seen.details["missing_contracts"]) == sorted(gone)
        healed = await desk.health(mode="enforce")
        assert healed.exit_code == 0, healed
        remediation = healed.details["remediation"]
        assert remediation["outcome"] == "healed"
        assert sorted(remediation["healed_contracts"]) == sorted(gone)
        assert [attempt["accepted"] for attempt in remediation["attempts"]] == [2]
        assert remediation["escalation"] is None
        assert (await client.coverage())[0].confirmed == CONTRACTS


async def test_enforce_that_does_not_help_calls_the_escalation_command(server: NatsServer, tmp_path: Path) -> None:
    configuration = settings(server.url, catalogue=catalogue(tmp_path / "list.csv", REFUSED))
    page = script(tmp_path / "page the desk.py")
    async with Gateway(configuration) as gw:
        await settled(gw)
        desk = Desk(configuration, tmp_path, server.url)
        result = await desk.health(
            enforce=True,
            max_remediation_attempts=2,
            escalation_command=f"'{page}' --tag {{marker}} --code {{exit_code}} 'two words; $(touch x)'",
        )
    assert result.exit_code == 2, result
    assert json.loads(Path(f"{page}.json").read_text()) == [
        *("--tag", "health_check_escalation", "--code", "2", "two words; $(touch x)")
    ]
    remediation = result.details["remediation"]
    assert remediation["outcome"] == "failed"
    assert len(remediation["attempts"]) == 2
    assert remediation["escalation"]["returned"] == 0
    assert "paged the desk" in remediation["escalation"]["output"]
    assert ("escalation", "event=health_check_escalation") in desk.told
    assert result.details["missing_contracts"] == [REFUSED]


async def test_without_nats_the_check_fails_and_says_so(tmp_path: Path) -> None:
    async with NatsServer() as server:
        url = server.url
    with pytest.raises(BusError):
        async with connect(url):
            pass
    result = await Desk(settings(url), tmp_path, url).health()
    assert result.exit_code == 2
    assert result.details["errors"][0].startswith("NATS cannot be reached")
    assert "runbook start" in result.message
    assert result.details["coverage_ratio"] is None
    assert json.loads((tmp_path / "logs" / result.output).read_text())["exit_code"] == 2


async def test_without_a_gateway_the_check_fails_and_says_that_nats_is_there(
    server: NatsServer, tmp_path: Path
) -> None:
    page = script(tmp_path / "page.py", body="sys.exit(5)")
    desk = Desk(settings(server.url), tmp_path, server.url)
    result = await desk.health(mode="enforce", max_remediation_attempts=1, escalation_command=f"{page} {{exit_code}}")
    assert result.exit_code == 2
    assert result.details["errors"][0].startswith("NATS answers and the gateway does not")
    assert json.loads(Path(f"{page}.json").read_text()) == ["2"]
    assert result.details["remediation"]["outcome"] == "failed"
    assert any("ended with 5" in text for text in result.details["warnings"])


async def test_through_the_runner_enforce_needs_no_reason_and_each_run_is_in_the_audit(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url)
    records: list[AuditRecord] = []

    class Audit:
        def append(self, record: AuditRecord) -> None:
            records.append(record)

    async with Gateway(configuration) as gw, connect(server.url) as client:
        await settled(gw)
        await client.unsubscribe("SHFE.rb2701")
        desk = Desk(configuration, tmp_path, server.url)
        runner = ActionRunner(
            collect_kinds(builtin=[check_module, subscribe_module]),
            Audit(),
            settings=configuration,
            runbook=desk.runbook,
            connect=desk.connect,
            session=lambda _ns: "day",
        )
        try:
            asked = ActionRequest(
                action="check-feed-health",
                parameters={"mode": "enforce", "lag_warning": "30"},
                operator="schedule",
                trigger=Trigger.SCHEDULE,
                profile="live",
            )
            healed = await runner.run(asked)
            assert healed.result is not None
            assert healed.exit_code == 0, healed.result.message
            assert healed.result.details["remediation"]["outcome"] == "healed"
            refused = await runner.run(replace(asked, action="subscribe", parameters={}))
            assert (refused.exit_code, refused.refused) == (64, True), "a live change needs a reason"
            done = await runner.run(replace(asked, action="subscribe", parameters={"limit": 5}, reason="a test"))
            assert done.exit_code == 0
        finally:
            await runner.aclose()
    assert [(record.action, record.event, record.exit_code) for record in records] == [
        ("check-feed-health", "start", None),
        ("check-feed-health", "stop", 0),
        ("subscribe", "refused", 64),
        ("subscribe", "start", None),
        ("subscribe", "stop", 0),
    ]


async def test_subscribe_carries_what_is_missing_in_paced_batches_and_records_each_contract(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url, catalogue=catalogue(tmp_path / "list.csv", REFUSED))
    async with Gateway(configuration) as gw, connect(server.url) as client:
        await settled(gw)
        await client.unsubscribe("*")
        desk = Desk(configuration, tmp_path, server.url)
        planned = await desk.subscribe(dry_run=True, batch_size=10)
        assert (planned.exit_code, planned.details["batches"]) == (0, 5), planned
        assert (await desk.subscribe(health=True)).exit_code == 14
        result = await desk.subscribe(
            batch_size=10, rate_limit_max=20, rate_limit_window=0.2, max_retries=1, exclude="CZCE.*"
        )
        assert result.exit_code == 14, result
        audit = json.loads((desk.runbook.log_dir / result.output).read_text())
        by_name = {row["symbol"]: row for row in audit["contracts"]}
        assert by_name[REFUSED]["error_code"] == "refused"
        assert by_name[REFUSED]["tries"] == 2
        assert "sim lists no" in by_name[REFUSED]["reason"]
        others = [row for name, row in by_name.items() if name != REFUSED]
        assert {row["outcome"] for row in others} == {"confirmed"}
        assert all(row["lines"] for row in others)
        assert not any(name.startswith("CZCE.") for name in by_name)
        assert max(batch["contracts"] for batch in audit["sent"]) == 10
        with (desk.runbook.log_dir / result.output).with_suffix(".csv").open(newline="") as file:
            assert {row["symbol"]: row["outcome"] for row in csv.DictReader(file)} == {
                name: row["outcome"] for name, row in by_name.items()
            }
        again = await desk.subscribe(include=["SHFE.rb*"], exclude=[], limit=1)
        assert (again.exit_code, again.details["outcomes"]) == (0, {"already": 1}), again
        listed = await desk.subscribe(health=True, include="CZCE.*,SHFE.rb*", rate_limit_max=5, rate_limit_window=1)
        assert listed.exit_code == 14
        assert listed.details["unsubscribed"]
        assert all(name.startswith("CZCE.") for name in listed.details["unsubscribed"])


async def test_subscribe_without_a_line_ends_with_14_and_says_that_none_is_up(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url, accounts=ONE, subscriptions=SubscriptionSettings(login_per_minute=1))
    sim = configuration.feeds["sim"].options
    sim["faults"] = [{"kind": "refuse_login"}]
    async with Gateway(configuration) as gw:
        await until(lambda: gw.lines()[0].state is LineState.REFUSED)
        result = await Desk(configuration, tmp_path, server.url).subscribe(confirm_timeout=0.5)
    assert result.exit_code == 14, result
    assert set(result.details["error_codes"]) == {"no_line"}
    assert "no line is up" in result.message


async def test_subscribe_without_a_gateway_ends_with_13(server: NatsServer, tmp_path: Path) -> None:
    result = await Desk(settings(server.url), tmp_path, server.url).subscribe()
    assert result.exit_code == 13
    assert "runbook start" in result.message


async def test_refresh_takes_the_gateways_list_and_keeps_it_when_the_gateway_is_gone(
    server: NatsServer, tmp_path: Path
) -> None:
    configuration = settings(server.url)
    desk = Desk(configuration, tmp_path, server.url)
    async with Gateway(configuration):
        first = await refresh_contracts(desk.context(), RefreshParameters())
    assert first.exit_code == 0, first
    assert first.details["added_total"] == CONTRACTS
    kept = await refresh_contracts(desk.context(), RefreshParameters())
    assert kept.exit_code == 1, kept
    assert kept.details["kept_last_good"] is True
    assert kept.details["total"] == CONTRACTS
    assert "the source failed" in kept.message
