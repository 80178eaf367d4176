"""What a health check calls healthy, and what it does when it is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway import FeedSettings, Settings
from gateway.errors import BusError, ControlError
from runbook.actions import check_feed_health as module
from runbook.actions.check_feed_health import HealthParameters, check_feed_health
from runbook.health.judge import Limits, judge, unmeasured
from runbook.health.measure import measure
from runbook.health.remedy import Enforcer, Remedy
from runbook.health.report import HealthReport
from runbook.model import ActionResult
from runbook.runner.kinds import collect_kinds
from runbook.settings import HealthSettings

LIMITS = Limits(coverage_threshold=0.995, lag_warning_s=60, lag_critical_s=180)
GONE = ControlError("md.ctl.g.status has no responder", reply_code="no_responder")


async def check(bench: Any, gateway: Any, *, dry_run: bool = False, **parameters: Any) -> ActionResult:
    return await check_feed_health(bench.context(gateway, dry_run=dry_run), HealthParameters(**parameters))


class Receiver:
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _keep(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.requests.append((self.command, self.path, body))
                self.send_response(202)
                self.end_headers()

            do_PUT = do_DELETE = do_POST = _keep  # noqa: N815 - the library's names

            def log_message(self, *_args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


async def test_contracts_that_never_traded_or_pause_are_no_finding(bench: Any, gateway: Any) -> None:
    for session in ("day", "night", "closed"):
        gateway.session = session
        result = await check(bench, gateway)
        assert (result.exit_code, result.details["stalled_contracts"]) == (0, [])
        assert result.details["feeds"][0]["quiet_total"] == 10


@pytest.mark.parametrize(
    ("lag_s", "severity", "exit_code"),
    [(59.9, "notice", 0), (60, "warning", 1), (179.9, "warning", 1), (180, "critical", 2), (None, "critical", 2)],
)
async def test_a_stall_is_as_severe_as_its_lag(
    bench: Any, gateway: Any, lag_s: float | None, severity: str, exit_code: int
) -> None:
    gateway.stalled = {"SHFE.rb2703": lag_s}
    result = await check(bench, gateway)
    assert result.exit_code == exit_code
    (stalled,) = result.details["stalled_contracts"]
    assert set(stalled) == {"symbol", "last_tick_at", "lag_seconds", "severity"}
    assert (stalled["symbol"], stalled["severity"], stalled["lag_seconds"]) == ("SHFE.rb2703", severity, lag_s)
    if lag_s == 180:
        assert stalled["last_tick_at"] == "2026-11-21T11:27:00.000+08:00"


async def test_a_contract_that_ticked_while_we_asked_is_not_stalled(bench: Any, gateway: Any) -> None:
    gateway.stalled = {"SHFE.rb2703": -1.0}
    assert (await check(bench, gateway)).details["stalled_contracts"] == []


async def test_the_flags_move_the_limits_of_a_stall(bench: Any, gateway: Any) -> None:
    gateway.stalled = {"SHFE.rb2703": 100}
    assert (await check(bench, gateway, lag_warning=300)).exit_code == 0
    assert (await check(bench, gateway, lag_critical=90)).exit_code == 2
    with pytest.raises(ValidationError, match="above lag_critical"):
        HealthParameters(lag_warning=10, lag_critical=5)


def test_one_limit_that_is_given_moves_the_other_out_of_its_way() -> None:
    settings = HealthSettings()
    assert HealthParameters(lag_critical=30).limits(settings).lag_warning_s == 30
    assert HealthParameters(lag_warning=500).limits(settings).lag_critical_s == 500


@pytest.mark.parametrize(("threshold", "exit_code"), [(0.9, 1), (0.900001, 2)])
async def test_coverage_at_the_threshold_warns_and_below_it_fails(
    bench: Any, gateway: Any, threshold: float, exit_code: int
) -> None:
    gateway.confirmed.discard("SHFE.rb2704")
    gateway.refuses["SHFE.rb2704"] = "合约不存在"
    result = await check(bench, gateway, coverage_threshold=threshold)
    assert result.exit_code == exit_code
    assert result.details["coverage_ratio"] == 0.9
    assert result.details["missing_contracts"] == ["SHFE.rb2704"]
    assert result.details["feeds"][0]["missing"][0]["why"] == "ctp:primary: 合约不存在"
    assert "SHFE.rb2704" in result.message


async def test_a_contract_that_the_settings_want_and_the_gateway_forgot_is_missing(bench: Any, gateway: Any) -> None:
    gateway.drop("SHFE.rb2702")
    result = await check(bench, gateway)
    assert (result.exit_code, result.details["missing_contracts"]) == (2, ["SHFE.rb2702"])
    assert (result.details["expected_total"], result.details["matched_total"]) == (10, 9)
    bench.settings = Settings(feeds={"ctp": FeedSettings(exclude=["SHFE.rb2702"])})
    assert (await check(bench, gateway)).exit_code == 0


async def test_a_silent_line_carries_nothing_although_its_subscriptions_stand(
    bench: Any, gateway: Any, names: list[str]
) -> None:
    gateway.silent = set(names)
    result = await check(bench, gateway)
    assert (result.exit_code, result.details["missing_contracts"]) == (2, names)
    assert result.details["feeds"][0]["missing"][0]["why"] == "its line is silent in session"


async def test_contracts_that_nobody_wants_are_told_and_are_no_error(bench: Any, gateway: Any) -> None:
    gateway.unexpected = ["SHFE.cu2701"]
    result = await check(bench, gateway)
    assert (result.exit_code, result.details["unexpected_contracts"]) == (0, ["SHFE.cu2701"])
    assert (result.details["active_total"], result.details["matched_total"]) == (11, 10)


async def test_names_that_the_gateway_had_no_room_to_list_are_found_page_by_page(
    bench: Any, gateway: Any, names: list[str]
) -> None:
    gateway.listed = 1
    gateway.confirmed -= set(names[:6])
    result = await check(bench, gateway)
    assert result.details["missing_contracts"] == names[:6]
    assert (result.details["expected_total"], result.details["matched_total"]) == (10, 4)


async def test_stalls_that_cannot_be_listed_are_an_error(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.listed, gateway.stalled = 1, dict.fromkeys(names[:3], 61.0)
    result = await check(bench, gateway)
    assert result.exit_code == 2
    assert any("2 more contracts stalled" in text for text in result.details["errors"])


async def test_nothing_to_measure_is_a_failure(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.drop(*names)
    gateway.catalogue = []
    result = await check(bench, gateway)
    assert (result.exit_code, result.details["coverage_ratio"]) == (2, None)
    assert "no contract is expected" in result.message


async def test_a_feed_of_the_settings_that_does_not_run_is_an_error(bench: Any, gateway: Any) -> None:
    bench.settings = Settings(feeds={"ctp": FeedSettings(), "sopt": FeedSettings()})
    result = await check(bench, gateway)
    assert result.exit_code == 2
    assert "feed sopt is in the settings" in result.message


async def test_a_large_feed_does_not_hide_a_small_one(gateway: Any) -> None:
    measured = await measure(gateway, Settings(feeds={"ctp": FeedSettings()}))
    (large,) = judge(measured, LIMITS).feeds
    (small,) = measured.feeds
    gateway.up = False
    (lost,) = (await measure(gateway, Settings(feeds={"ctp": FeedSettings()}))).feeds
    both = type(measured)(gateway=measured.gateway, feeds=(*[small] * 999, lost), unmeasured=(), absent=(), unknown=())
    report = judge(both, LIMITS)
    assert report.coverage_ratio is not None
    assert report.coverage_ratio > 0.995
    assert report.exit_code == 2
    assert large.coverage_ratio == 1


async def test_what_the_gateway_warns_of_is_told_and_does_not_change_the_code(bench: Any, gateway: Any) -> None:
    gateway.warnings = ["feed ctp: ctp:primary is alone; if it is lost, ticks are lost"]
    result = await check(bench, gateway)
    assert result.exit_code == 0
    assert result.details["warnings"] == ["gateway: feed ctp: ctp:primary is alone; if it is lost, ticks are lost"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BusError("no server took us"), "NATS cannot be reached"),
        (ControlError("x", reply_code="disconnected"), "NATS cannot be reached"),
        (GONE, "the gateway does not"),
        (ControlError("x", reply_code="timeout"), "the gateway does not"),
        (ControlError("x", reply_code="internal"), "could not be measured"),
    ],
)
async def test_a_check_that_cannot_measure_fails_and_says_who_is_away(
    bench: Any, gateway: Any, error: Exception, said: str
) -> None:
    gateway.away = error
    result = await check(bench, gateway)
    assert result.exit_code == 2
    assert said in result.message
    assert result.details["coverage_ratio"] is None
    assert (bench.root / "logs" / result.output).exists(), "failed checks leave a report too"


# -- enforce ---------------------------------------------------------------------------------------------------


def enforcer(bench: Any, gateway: Any, *, attempts: int = 3, command: str | None = None) -> tuple[Enforcer, Any]:
    context = bench.context(gateway)

    async def look() -> HealthReport:
        try:
            return judge(await measure(gateway, bench.settings), LIMITS)
        except ControlError as error:
            return unmeasured(error)

    remedy = Remedy(attempts=attempts, confirm_s=5, budget_s=100, command=command, command_s=20)
    return Enforcer(context, remedy, look, sleep=bench.clock.sleep), look


async def test_enforce_asks_again_until_it_is_healed(bench: Any, gateway: Any) -> None:
    gateway.confirmed -= {"SHFE.rb2701", "SHFE.rb2702"}
    gateway.patience = {"SHFE.rb2701": 1, "SHFE.rb2702": 2}
    enforce, look = enforcer(bench, gateway)
    report = await enforce.run(await look())
    assert report.exit_code == 0
    assert gateway.asked == [("SHFE.rb2701", "SHFE.rb2702"), ("SHFE.rb2702",)]
    assert report.remediation["outcome"] == "healed"
    assert [one["missing_after"] for one in report.remediation["attempts"]] == [1, 0]
    assert report.remediation["healed_contracts"] == ["SHFE.rb2701", "SHFE.rb2702"]


async def test_enforce_stops_after_its_attempts_and_tells_that_nobody_was_called(bench: Any, gateway: Any) -> None:
    gateway.confirmed.discard("SHFE.rb2701")
    gateway.refuses["SHFE.rb2701"] = "no"
    enforce, look = enforcer(bench, gateway, attempts=2)
    report = await enforce.run(await look())
    assert (report.exit_code, len(gateway.asked)) == (2, 2)
    assert report.remediation["outcome"] == "failed"
    assert bench.clock.now < 1005, "no more waiting once every answer is in"
    assert any("nobody was called" in text for text in report.warnings)
    assert ("escalation", "event=health_check_escalation") in bench.told


async def test_enforce_does_not_subscribe_again_what_is_subscribed_and_stalled(bench: Any, gateway: Any) -> None:
    gateway.stalled = {"SHFE.rb2701": 500}
    enforce, look = enforcer(bench, gateway, command="/bin/true")
    report = await enforce.run(await look())
    assert gateway.asked == []
    assert report.exit_code == 2
    assert report.remediation["outcome"] == "nothing_to_subscribe"
    assert report.remediation["escalation"]["returned"] == 0


async def test_a_mere_warning_of_a_stall_calls_nobody(bench: Any, gateway: Any) -> None:
    gateway.stalled = {"SHFE.rb2701": 70}
    enforce, look = enforcer(bench, gateway, command="/bin/false")
    report = await enforce.run(await look())
    assert (report.exit_code, report.remediation["escalation"]) == (1, None)


async def test_enforce_waits_for_a_gateway_that_is_away_and_escalates_when_it_stays_so(
    bench: Any, gateway: Any
) -> None:
    gateway.away = GONE
    enforce, look = enforcer(bench, gateway, attempts=3, command="/bin/false")
    report = await enforce.run(await look())
    assert report.exit_code == 2
    assert len(report.remediation["attempts"]) == 3
    assert bench.clock.now >= 1006, "it waited in between"
    assert any("ended with 1" in text for text in report.warnings), "a failed escalation is told"
    assert report.errors[0].startswith("NATS answers and the gateway does not"), "and hides nothing"


async def test_a_dry_run_of_enforce_changes_nothing(bench: Any, gateway: Any) -> None:
    gateway.drop("SHFE.rb2702")
    result = await check(bench, gateway, dry_run=True, mode="enforce", escalation_command="/nonexistent")
    assert (result.exit_code, gateway.asked) == (2, [])
    assert result.details["remediation"]["outcome"] == "dry_run"


# -- reports and figures ---------------------------------------------------------------------------------------


async def test_two_checks_of_one_second_leave_two_reports(bench: Any, gateway: Any) -> None:
    first, second = await check(bench, gateway), await check(bench, gateway, json_indent=None)
    assert first.output == "subscription_check_20261121_113000.json"
    assert second.output == "subscription_check_20261121_113000_1.json"
    assert len((bench.root / "logs" / second.output).read_text().splitlines()) == 1


@pytest.mark.parametrize("out", ["json", "csv"])
async def test_each_check_leaves_its_report_as_a_line_of_log_too(bench: Any, gateway: Any, out: str) -> None:
    gateway.confirmed.discard("SHFE.rb2702")
    gateway.session = "night"
    result = await check(bench, gateway, out=out, out_dir=bench.root / "elsewhere")
    (line,) = (bench.root / "logs" / "subscription_check_20261121_113000.log").read_text().splitlines()
    found = json.loads(line)
    head = {"at": "2026-11-21T11:30:00.000+08:00", "level": "error", "session": "night"}
    assert {name: found[name] for name in head} == head
    assert (found["missing_contracts"], found["exit_code"]) == (["SHFE.rb2702"], result.exit_code)


@pytest.mark.parametrize("out", ["json", "csv"])
async def test_secrets_that_an_escalation_command_prints_are_not_in_the_report(
    bench: Any, gateway: Any, out: str
) -> None:
    bench.settings = Settings(feeds={"ctp": FeedSettings(accounts={"primary": {"password": "Planted-Secret-1"}})})
    gateway.refuses = {"SHFE.rb2702": "login Planted-Secret-1 has no right"}
    gateway.confirmed.discard("SHFE.rb2702")
    result = await check(bench, gateway, out=out)
    text = (bench.root / "logs" / result.output).read_text()
    assert "login *** has no right" in text
    assert "Planted-Secret-1" not in text


async def test_a_report_that_cannot_be_written_is_a_warning_and_hides_nothing(bench: Any, gateway: Any) -> None:
    (bench.root / "file").write_text("")
    result = await check(bench, gateway, out_dir=bench.root / "file")
    assert (result.exit_code, result.output) == (1, "")
    assert "could not be written" in result.message
    assert result.details["coverage_ratio"] == 1
    gateway.up = False
    assert (await check(bench, gateway, out_dir=bench.root / "file")).exit_code == 2


async def test_figures_are_pushed_and_taken_away_when_they_could_not_be_measured(
    bench: Any, gateway: Any, receiver: Receiver
) -> None:
    bench.runbook = {"metrics": {"pushgateway_url": receiver.url}}
    gateway.confirmed.discard("SHFE.rb2701")
    gateway.stalled = {"SHFE.rb2703": 70, "SHFE.rb2704": 70}
    await check(bench, gateway)
    (method, path, body) = receiver.requests.pop()
    assert (method, path) == ("PUT", "/metrics/job/feed_health/profile/dev")
    assert 'md_subscription_missing_total{feed="ctp"} 1.0' in body
    assert 'md_subscription_stalled_total{feed="ctp"} 2.0' in body
    assert 'md_subscription_coverage_ratio{feed="ctp",session="day"} 0.9' in body
    await check(bench, gateway, skip_metrics=True)
    assert receiver.requests == []
    gateway.away = GONE
    await check(bench, gateway)
    assert receiver.requests[0][:2] == ("DELETE", "/metrics/job/feed_health/profile/dev")


async def test_a_failed_push_is_a_warning_that_does_not_make_the_feed_unhealthy(
    bench: Any, gateway: Any, receiver: Receiver
) -> None:
    receiver.close()
    bench.runbook = {"metrics": {"pushgateway_url": receiver.url}}
    result = await check(bench, gateway)
    assert result.exit_code == 0
    assert any("could not be pushed" in text for text in result.details["warnings"])


async def test_the_marker_is_given_only_when_healthy(
    bench: Any, gateway: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=module.__name__)
    gateway.up = False
    await check(bench, gateway)
    assert "HEALTH=READY" not in caplog.text
    gateway.up = True
    await check(bench, gateway)
    assert "HEALTH=READY" in caplog.text


def test_reports_in_json_keep_chinese_words(bench: Any, tmp_path: Path) -> None:
    from runbook.health.files import report_json

    text = report_json(HealthReport(errors=("合约不存在",)), None)
    assert "合约不存在" in text
    assert json.loads(text)["exit_code"] == 2


def test_the_three_actions_are_found_with_help_for_each_parameter() -> None:
    from runbook.actions import refresh_contracts, subscribe

    kinds = collect_kinds(builtin=[module, subscribe, refresh_contracts])
    assert not kinds.findings
    assert set(kinds.by_name) == {"check-feed-health", "subscribe", "refresh-contracts"}
    for kind in kinds.by_name.values():
        assert all(field.description for field in kind.parameters.model_fields.values())
