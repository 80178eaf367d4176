"""Counting lines of logs."""

from __future__ import annotations

import gzip
import json
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from runbook.actions.log_scan import ScanParameters, day_of, log_scan
from runbook.maintenance.log_scan import scan_logs

DAY = date(2026, 11, 20)


def line(**fields: str) -> str:
    return json.dumps({"at": "2026-11-20T09:00:00.000+08:00", **fields}) + "\n"


def test_structured_and_plain_lines_are_counted_by_keyword_logger_and_file(desk: Any) -> None:
    desk.file(
        "runbooks/gateway.log",
        line(level="error", logger="gateway.lines", text="a")
        + line(level="INFO", logger="gateway.lines", text="no ERROR here")
        + line(level="CRITICAL", logger="gateway.bus", text="b")
        + line(level="fatal", text="c"),
    )
    desk.file(
        "runbooks/plain.log",
        "2026-11-20 10:00:00,123 ERROR gateway.flow: lost\n"
        "Traceback (most recent call last):\n"
        "ValueError: ERRORS are no keyword\n"
        "2026-11-20 10:00:01 INFO gateway.flow: fine\n"
        "2026-11-20 10:00:02 [ERROR] - gateway.flow - again\n",
    )
    scan = scan_logs(desk.settings.log_dir, DAY, ["ERROR", "CRITICAL"])
    assert scan.total == 5
    assert scan.by_keyword == {"ERROR": 3, "CRITICAL": 2}
    assert scan.by_logger == {"gateway.lines": 1, "gateway.bus": 1, "unknown": 1, "gateway.flow": 2}
    assert scan.by_file == {"gateway.log": 3, "plain.log": 2}
    assert (scan.grave, scan.lines) == (2, 9)


def test_only_lines_of_the_day_count_in_shanghai_time(desk: Any) -> None:
    desk.file(
        "runbooks/a.log",
        "2026-11-19 23:59:59 ERROR x: yesterday\n"
        "ERROR goes on, without a time\n"
        "2026-11-19T16:00:00Z ERROR x: midnight in Shanghai\n"
        "2026-11-20T16:00:00+00:00 ERROR x: tomorrow\n",
    )
    scan = scan_logs(desk.settings.log_dir, DAY, ["ERROR"])
    assert [example["line"][-8:] for example in scan.examples] == ["Shanghai"]
    assert scan_logs(desk.settings.log_dir, date(2026, 11, 19), ["ERROR"]).total == 2


def test_rotated_and_compressed_logs_count_and_other_files_do_not(desk: Any) -> None:
    text = "2026-11-20 10:00:00 ERROR x: one\n"
    desk.file("runbooks/a.log.1", text)
    desk.file("runbooks/runs/a.log.2.gz", gzip.compress(text.encode()))
    desk.file("runbooks/log_scan_20261120.json", text)
    assert scan_logs(desk.settings.log_dir, DAY, ["ERROR"]).total == 2


@pytest.mark.parametrize(
    ("text", "max_total", "code"),
    [
        ("", 0, 0),
        ("2026-11-20 10:00:00 ERROR x: a\n", 0, 1),
        ("2026-11-20 10:00:00 ERROR x: a\n", 1, 0),
        ("2026-11-20 10:00:00 CRITICAL x: a\n", 0, 2),
        ("2026-11-20 10:00:00 CRITICAL x: a\n" + "2026-11-20 10:00:00 ERROR x: a\n" * 3, 1, 1),
        ("2026-11-20 10:00:00 CRITICAL x: a\n", 1, 0),
    ],
)
async def test_the_exit_code_goes_by_the_counts(desk: Any, text: str, max_total: int, code: int) -> None:
    desk.file("runbooks/a.log", text)
    result = await log_scan(desk.context("log-scan"), ScanParameters(max_total=max_total))
    assert result.exit_code == code


async def test_a_log_that_cannot_be_read_never_passes(desk: Any) -> None:
    desk.file("runbooks/a.log.gz", gzip.compress(b"2026-11-20 fine\n" * 100)[:-9])
    result = await log_scan(desk.context("log-scan"), ScanParameters())
    assert result.exit_code == 2
    assert "a.log.gz" in result.message


async def test_the_summary_is_written_masked_and_not_counted_the_next_time(desk: Any) -> None:
    desk.configure(api={"token": "pl4nted-token"})
    desk.file("runbooks/a.log", "2026-11-20 10:00:00 ERROR x: pl4nted-token was refused\n")
    parameters = ScanParameters.model_validate({"keywords": "ERROR, CRITICAL", "write_summary": True})
    result = await log_scan(desk.context("log-scan"), parameters)
    assert result.output == "log_scan_20261120.json"
    written = json.loads((desk.settings.log_dir / result.output).read_text())
    text = (desk.settings.log_dir / "log_scan_20261120.txt").read_text()
    assert (written["total"], written["exit_code"]) == (1, 1)
    assert "1  ERROR" in text
    assert "pl4nted" not in json.dumps(written) + text + result.message
    assert "ERROR" not in result.message
    assert (await log_scan(desk.context("log-scan"), parameters)).details["total"] == 1


def test_days_are_written_in_several_ways_and_others_are_refused() -> None:
    assert day_of("yesterday", DAY) == date(2026, 11, 19)
    assert day_of("20261120", DAY) == day_of("2026-11-20", DAY) == day_of("today", DAY)
    for wrong in ("tomorrow", "2026-02-30", "", "1"):
        with pytest.raises(ValidationError):
            ScanParameters(date=wrong)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-11-20T10:00:00.123+08:00 ERROR gateway.flow: lost", "ERROR"),
        ("2026-11-20T10:00:00.123+08:00 INFO gateway.flow: ERROR is only a word", ""),
        ("2026-11-20T10:00:00.123+08:00 INFO gateway.flow: said\n    2026-11-20 10:00:00 ERROR forged", ""),
        ("2026-11-20 10:00:00,5 - gateway.flow - CRITICAL - lost", "CRITICAL"),
        ("[2026-11-20 10:00:00] | gateway | ERROR | lost", "ERROR"),
        ("2026-11-20 10:00:00 Connection ERROR rate is fine", ""),
        ("2026-11-20 10:00:00 ERROR=0", ""),
        ("[1234] 2026/11/20 10:00:00.123456 [ERR] no room", "ERROR"),
        ("[1234] 2026/11/20 10:00:00.123456 [FTL] port is taken", "CRITICAL"),
        ("[1234] 2026/11/20 10:00:00.123456 [INF] Server is ready ERROR", ""),
        ("ts=2026-11-20T02:00:00Z caller=main.go level=error msg=x", "ERROR"),
        ('{"at": "2026-11-20T10:00:00+08:00", "level": "info", "text": "ERROR CRITICAL"}', ""),
        ('{"timestamp": 1795140000.5, "severity": "Fatal", "message": "x"}', "CRITICAL"),
        ('{"at": "2026-11-20T10:00:00+08:00", "level": "ERROR", "text": "torn', ""),
        ("subscription ERROR", ""),
    ],
)
def test_a_level_is_read_in_its_place_and_never_in_a_message(desk: Any, text: str, level: str) -> None:
    desk.file("runbooks/a.log", "2026-11-20 09:59:59 INFO x: begins\n" + text + "\n")
    scan = scan_logs(desk.settings.log_dir, DAY, ["ERROR", "CRITICAL"])
    assert {name: count for name, count in scan.by_keyword.items() if count} == ({level: 1} if level else {})


def test_a_program_that_died_counts_although_it_could_not_log_it(desk: Any) -> None:
    trace = "Traceback (most recent call last):\n  File x\nKeyError: 'a'\n"
    desk.file("runbooks/a.log", "2026-11-20 10:00:00 INFO x: fine\n" + trace)
    desk.file("runbooks/b.log", "2026-11-20 10:00:00 ERROR x: announced\n" + trace)
    desk.file("runbooks/c.log", "2026-11-20 10:00:00 INFO x: fine\nFatal Python error: Segmentation fault\n")
    scan = scan_logs(desk.settings.log_dir, DAY, ["ERROR", "CRITICAL"])
    assert scan.by_file == {"a.log": 1, "b.log": 1, "c.log": 1}
    assert scan.by_keyword == {"ERROR": 2, "CRITICAL": 1}


async def test_a_failed_check_is_told_beside_the_count_and_not_in_it(desk: Any) -> None:
    desk.file("runbooks/subscription_check_20261120.log", line(level="error", text="coverage 0.9"))
    desk.file("runbooks/runbook.log", line(level="info", text="run x: exit 2"))
    result = await log_scan(desk.context("log-scan"), ScanParameters())
    assert (result.exit_code, result.details["total"], result.details["failed_checks"]) == (0, 0, 1)
    assert "1 failed checks" in result.message


async def test_a_trading_day_has_its_night_and_not_the_next_one(desk: Any) -> None:
    # 2026-11-20 is a Friday: its night session was on Thursday evening
    rows = {"19T17:59:59": "before", "19T21:00:01": "night", "20T01:30:00": "night", "20T14:00:00": "day"}
    rows |= {"20T18:00:00": "Monday's", "20T22:00:00": "Monday's"}
    desk.file("runbooks/a.log", "".join(f"2026-11-{at} ERROR x: {what}\n" for at, what in rows.items()))
    trading = await log_scan(desk.context("log-scan"), ScanParameters(trading_day=True))
    assert [one["line"].split()[-1] for one in trading.details["examples"]] == ["night", "night", "day"]
    monday = await log_scan(desk.context("log-scan"), ScanParameters(date="2026-11-23", trading_day=True))
    assert [one["line"].split()[-1] for one in monday.details["examples"]] == ["Monday's", "Monday's"]
    assert (await log_scan(desk.context("log-scan"), ScanParameters())).details["total"] == 4


def test_pieces_of_a_file_that_turned_over_count(desk: Any) -> None:
    text = "2026-11-20 10:00:00 ERROR x: one\n"
    for name in ("a.log.20261120.1", "a.log.20261120.12", "a.log.1"):
        desk.file(f"runbooks/{name}", text)
    desk.file("runbooks/a.log.20261120.2.gz", gzip.compress(text.encode()))
    assert scan_logs(desk.settings.log_dir, DAY, ["ERROR"]).total == 4
