"""Settings into an inspection, checks into a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.errors import BusError
from runbook.checks import CHECKS, MACHINE_CHECKS, Check, Finding, Inspection, Severity, UnknownCheckError, chosen
from runbook.checks import run_checks as run
from runbook.checks import settings as settings_check
from runbook.model import Exit
from tests.unit.runbook.checks.environment import PRIMARY, inspection, of, the_only, written


def says(*findings: Finding, name: str = "made-up") -> Check:
    return Check(name=name, title="Made up", run=lambda _: findings)


def test_every_check_has_its_own_name_and_a_title() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) == 24
    assert all(check.title for check in CHECKS)


def test_the_doctor_leaves_out_what_needs_accounts() -> None:
    left_out = {check.name for check in CHECKS} - {check.name for check in MACHINE_CHECKS}
    assert left_out == {"live", "feeds", "accounts", "rates", "fronts"}


def test_only_picks_checks_in_their_usual_order_and_refuses_an_unknown_one() -> None:
    assert [check.name for check in chosen(CHECKS, ["python", "nats"])] == ["nats", "python"]
    assert chosen(CHECKS, []) == CHECKS
    with pytest.raises(UnknownCheckError, match=r"no check nuts; choose from: settings, .*nats") as caught:
        chosen(CHECKS, ["nuts"])
    assert caught.value.exit_code == Exit.USAGE


def test_all_refused_settings_of_gateway_and_runbook_are_found_at_once(tmp_path: Path) -> None:
    source = written(
        tmp_path / ".env.live", "CTP_PRIMARY_MD_ADDRESS=nonsense\nOPS_API_PORT=many\nCTP_PRIMARY_PASSWROD=x\n"
    )
    bad = inspection(env_files=[source])
    errors = of(settings_check.check(bad), Severity.ERROR)
    text = "\n".join(f"{finding.what} -> {finding.fix}" for finding in errors)
    assert "CTP_PRIMARY_MD_ADDRESS" in text
    assert "OPS_API_PORT" in text
    assert "did you mean CTP_PRIMARY_PASSWORD?" in text
    assert f"{source} line 2" in text
    assert all(finding.fix for finding in errors)


def test_a_file_that_is_not_there_is_one_finding() -> None:
    found = the_only(settings_check.check(inspection(env_files=[Path("/nowhere/.env.live")])), Severity.ERROR)
    assert "/nowhere/.env.live" in found.what
    assert "readable" in found.fix


def test_readable_settings_say_where_they_are_from(tmp_path: Path) -> None:
    source = written(tmp_path / ".env.live", "FEEDGATE_PROFILE=live\n")
    found = settings_check.check(inspection(env_files=[source]))
    assert [finding.severity for finding in found] == [Severity.OK]
    assert str(source) in found[0].what


def test_settings_of_another_profile_and_a_bus_in_memory_are_not_for_live() -> None:
    found = settings_check.check(inspection({"FEEDGATE_PROFILE": "dev", "FEEDGATE_BUS__KIND": "memory"}))
    assert "FEEDGATE_PROFILE=live" in the_only(found, Severity.WARNING).fix
    assert "FEEDGATE_BUS__KIND=nats" in the_only(found, Severity.ERROR).fix


async def test_a_check_that_needs_unreadable_settings_says_so_and_the_others_go_on() -> None:
    bad = inspection({"FEEDGATE_BUS__KIND": "pigeon"})
    report = await run(bad, CHECKS)
    by_name = {one.name: one for one in report.checked}
    assert by_name["settings"].worst is Severity.ERROR
    assert [finding.severity for finding in by_name["nats"].findings] == [Severity.INFO]
    assert "not checked" in by_name["nats"].findings[0].what
    assert by_name["timezone"].worst is Severity.OK


async def test_a_check_that_raises_is_a_finding_and_takes_no_other_along() -> None:
    def broken(_inspection: Inspection) -> Sequence[Finding]:
        raise RuntimeError("pl4nted-secret was in here")

    def refused(_inspection: Inspection) -> Sequence[Finding]:
        raise BusError("NATS is away; start it")

    checks = [
        Check(name="broken", title="", run=broken),
        Check(name="refused", title="", run=refused),
        says(Finding.ok("fine")),
    ]
    report = await run(inspection(), checks)
    broke, refusal, fine = report.checked
    assert broke.findings[0].what == "the check could not be made (RuntimeError)"
    assert "--only broken" in broke.findings[0].fix
    assert "NATS is away" in refusal.findings[0].what
    assert fine.worst is Severity.OK


async def test_findings_are_masked_whatever_a_check_says() -> None:
    findings = [Finding.error("it said pl4nted-primary", "use pl4nted-primary")]
    leaky = Check(name="leaky", title="", run=lambda _: findings, fix=lambda _: ["removed pl4nted-primary"])
    report = await run(inspection(PRIMARY), [leaky], fix=True)
    assert report.checked[0].done == ("removed ***",)
    assert "pl4nted" not in json.dumps(report.as_json()) + "\n".join(report.lines()) + report.summary


@pytest.mark.parametrize(
    ("findings", "live", "machine"),
    [
        ([Finding.ok("a"), Finding.info("b")], 0, 0),
        ([Finding.ok("a"), Finding.warning("b", "c")], 1, 1),
        ([Finding.warning("b", "c"), Finding.error("d", "e")], 11, 2),
    ],
)
async def test_the_exit_code_is_that_of_the_worst_finding(findings: list[Finding], live: int, machine: int) -> None:
    report = await run(inspection(), [says(*findings)])
    assert report.exit_code(Exit.ENVIRONMENT) == live
    assert report.exit_code(Exit.ERROR) == machine


async def test_the_summary_counts_and_names_the_first_thing_to_do() -> None:
    report = await run(inspection(), [says(Finding.warning("w", "fw"), Finding.error("e", "fe"), name="one")])
    assert report.summary == "1 check: 1 error, 1 warning; first one: e; fe"


async def test_the_json_has_a_fixed_shape() -> None:
    report = await run(inspection(), [says(Finding.error("what", "fix"), name="one")])
    assert report.as_json() == {
        "profile": "live",
        "exit_code": 11,
        "errors": 1,
        "warnings": 0,
        "checks": [
            {
                "name": "one",
                "title": "Made up",
                "severity": "error",
                "findings": [{"severity": "error", "what": "what", "fix": "fix"}],
                "done": [],
            }
        ],
    }


async def test_fixes_run_before_the_checks_and_a_failed_one_is_a_finding(tmp_path: Path) -> None:
    made = tmp_path / "made"

    def make(_inspection: Inspection) -> Sequence[str]:
        made.mkdir()
        return [f"mkdir {made}"]

    def fail(_inspection: Inspection) -> Sequence[str]:
        raise PermissionError(13, "Permission denied", "/etc/x")

    def look(_inspection: Inspection) -> Sequence[Finding]:
        return [Finding.ok("there") if made.exists() else Finding.error("missing", "make it")]

    checks = [Check(name="look", title="", run=look), Check(name="make", title="", run=look, fix=make)]
    checks.append(Check(name="fail", title="", run=look, fix=fail))
    before = await run(inspection(), checks)
    assert before.exit_code() == 11
    assert not made.exists()
    look_again, mended, failed = (await run(inspection(), checks, fix=True)).checked
    assert look_again.worst is mended.worst is Severity.OK
    assert mended.done == (f"mkdir {made}",)
    assert failed.findings[0].what == "--fix failed: /etc/x: Permission denied"


async def test_each_check_is_told_as_soon_as_it_is_through() -> None:
    told: list[str] = []
    await run(inspection(), [says(name="a"), says(name="b")], tell=lambda checked: told.append(checked.name))
    assert sorted(told) == ["a", "b"]


def test_the_profile_comes_from_the_settings_and_is_live_when_they_cannot_be_read() -> None:
    assert inspection({"FEEDGATE_PROFILE": "test"}, profile=None).profile == "test"
    assert inspection({"FEEDGATE_PROFILE": "nonsense"}, profile=None).live
