from __future__ import annotations

import csv
import io
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.audit import AuditError, AuditIndex, AuditLog, Query, verify
from runbook.audit.export import COLUMNS, csv_lines, json_lines
from runbook.audit.files import audit_files


@pytest.fixture
def index(tmp_path, clock, record) -> AuditIndex:
    """Six days, two records a day."""
    log = AuditLog(tmp_path / "audit", clock, max_bytes=4000)
    for day in range(1, 7):
        at = f"2026-11-0{day}T"
        night = {"session": "night", "window": "night", "config": "backup"} if day % 2 else {}
        log.append(record(run=f"r{day}", at=f"{at}08:45:00.000+08:00", message=f"begun {day}", **night))
        stop = {
            "event": "stop",
            "exit_code": day % 3,
            "action": ("start", "failover")[day % 2],
            "message": "50% done_x",
        }
        log.append(record(run=f"r{day}", at=f"{at}08:46:00.000+08:00", operator="李", **stop, **night))
    index = AuditIndex(tmp_path / "audit")
    index.refresh()
    return index


def numbers(index: AuditIndex, **query: object) -> list[int]:
    return [entry.seq for entry in index.page(Query(**query)).entries]


def test_the_newest_record_comes_first(index):
    assert numbers(index) == list(range(12, 0, -1))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"run": "r3"}, [6, 5]),
        ({"operator": "李", "exit_code": 0}, [12, 6]),
        ({"exit_code": 1}, [8, 2]),
        ({"action": "failover", "event": "stop"}, [10, 6, 2]),
        ({"session": "night", "event": "start"}, [9, 5, 1]),
        ({"window": "day", "config": "primary", "since": "2026-11-06"}, [12, 11]),
        ({"since": "2026-11-05T08:46:00+08:00"}, [12, 11, 10]),
        ({"since": "2026-11-05T08:46:01"}, [12, 11]),
        ({"until": "2026-11-01"}, [2, 1]),
        ({"until": "2026-11-01T00:46:00+00:00"}, [1]),
        ({"since": "2026-11-02", "until": "2026-11-02"}, [4, 3]),
        ({"text": "BEGUN 4"}, [7]),
        ({"text": "主线"}, list(range(12, 0, -1))),
        ({"text": "50%"}, [12, 10, 8, 6, 4, 2]),
        ({"text": "%1"}, []),
        ({"text": "done_"}, [12, 10, 8, 6, 4, 2]),
        ({"text": "fault=kill-line", "run": "r1"}, [2, 1]),
        ({"profile": "dev"}, []),
        ({"trigger": "cli", "run": "' OR 1=1 --"}, []),
    ],
    ids=str,
)
def test_filters_narrow(index, query, found):
    assert numbers(index, **query) == found


def test_a_time_that_is_none_is_an_error_that_names_the_filter(index):
    with pytest.raises(AuditError, match="since: 'yesterday' is no time; write 2026-11-21"):
        index.page(Query(since="yesterday"))


def test_pages_hold_every_record_once_while_others_are_appended(index, tmp_path, clock, record):
    seen, cursor = [], ""
    while True:
        page = index.page(cursor=cursor, limit=5)
        seen += [entry.seq for entry in page.entries]
        AuditLog(tmp_path / "audit", clock).append(record())
        index.refresh()
        cursor = page.next
        if not cursor:
            break
    assert seen == list(range(12, 0, -1))
    assert page.next == ""


def test_a_full_last_page_has_no_next(index):
    assert index.page(limit=12).next == ""
    assert index.page(limit=11).next == "2"


@pytest.mark.parametrize("bad", [{"cursor": "x"}, {"limit": 0}])
def test_wrong_paging_is_refused(index, bad):
    with pytest.raises(AuditError):
        index.page(**bad)


def test_a_refresh_takes_in_only_what_is_new(index, tmp_path, clock, record):
    assert index.refresh() == 0
    AuditLog(tmp_path / "audit", clock).append(record())
    assert index.refresh() == 1


def test_it_can_be_made_anew_from_the_files(index, tmp_path):
    before = list(index.entries(chunk=5))
    (tmp_path / "audit" / "index.sqlite").unlink()
    assert index.refresh() == 12
    assert index.rebuild() == 12
    assert list(index.entries()) == before


def test_a_broken_index_is_made_anew(index, tmp_path):
    (tmp_path / "audit" / "index.sqlite").write_bytes(b"this is no database at all" * 100)
    assert [finding.kind for finding in verify(tmp_path / "audit").findings] == ["index"]
    assert index.refresh() == 12
    assert verify(tmp_path / "audit").exit_code == 0


def test_a_changed_row_is_not_shown(index, tmp_path):
    database = sqlite3.connect(tmp_path / "audit" / "index.sqlite")
    database.execute("UPDATE records SET line = replace(line, 'wang', 'wanG') WHERE seq = 3")
    database.commit()
    database.close()
    with pytest.raises(AuditError, match="was changed"):
        index.page()


def test_records_that_were_cut_from_the_files_stay_in_the_index_until_it_is_made_anew(index, tmp_path):
    last = tmp_path / "audit" / audit_files(tmp_path / "audit")[-1].name
    last.unlink()
    index.refresh()
    assert len(list(index.entries())) == 12
    assert "truncated" in {finding.kind for finding in verify(tmp_path / "audit").findings}
    assert index.rebuild() < 12


def test_csv_is_a_heading_and_a_line_per_record(index):
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(index.entries())), newline="")))
    assert [int(row["seq"]) for row in rows] == list(range(12, 0, -1))
    assert (rows[0]["exit_code"], rows[0]["operator"], rows[0]["dry_run"]) == ("0", "李", "false")
    assert rows[1]["exit_code"] == ""
    assert json.loads(rows[0]["parameters"]) == {"fault": "kill-line"}


def test_csv_can_begin_with_the_mark_that_spreadsheets_want(index):
    assert next(csv_lines(index.entries(), bom=True)).startswith("\ufeffseq,")


@given(text=st.text(st.characters(codec="utf-8"), max_size=20))
def test_no_cell_is_a_formula_and_none_breaks_the_table(record, text):
    from dataclasses import replace

    from runbook.audit.chain import seal, unseal

    raw, _ = seal(record(reason=text), seq=1, prev="0" * 64, written="2026-11-21T08:00:00.000000+08:00")
    entry = unseal(raw[:-1])
    assert entry.record.reason == text
    [row] = csv.DictReader(io.StringIO("".join(csv_lines([replace(entry)])), newline=""))
    assert len(row) == len(COLUMNS)
    assert row["reason"] in {text, "'" + text}
    assert not row["reason"].startswith(("=", "+", "-", "@"))
    assert json.loads(next(json_lines([entry])))["reason"] == text
