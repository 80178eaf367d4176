from __future__ import annotations

import argparse
import csv
import io
import json
import logging

import pytest
from prometheus_client import CollectorRegistry

from runbook.audit import AuditError, AuditLog, open_audit
from runbook.audit.commands import Place, configure, run
from runbook.audit.files import audit_files
from runbook.audit.witness import SUBJECT, head_gauge, head_message

KEY = b"a key of thirty-two bytes, random"


def audit(place: Place, *words: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    configure(parser)
    out = io.StringIO(newline="")
    code = run(parser.parse_args(words), place, out)
    return code, out.getvalue()


@pytest.fixture
def place(directory, tmp_path) -> Place:
    return Place(directory=directory, log_dir=tmp_path / "logs")


def spoil(place: Place) -> str:
    file = place.directory / audit_files(place.directory)[1].name
    file.write_bytes(file.read_bytes().replace(b"wang", b"wanG", 1))
    return file.name


def test_verify_says_intact_and_prints_the_head(place):
    code, text = audit(place, "verify")
    assert code == 0
    assert text.startswith("INTACT: 30 records (1 to 30) in ")
    assert text.endswith(f"head {audit(place, 'head')[1]}")


def test_verify_says_where_it_was_tampered_with(place):
    name = spoil(place)
    code, text = audit(place, "verify")
    assert code == 2
    assert text.startswith(f"TAMPERED edited: {name}:1, record ")
    assert "its bytes have the hash" in text
    assert "\nTAMPERED WITH: 29 records" in text


def test_verify_as_json_has_every_field(place):
    spoil(place)
    code, text = audit(place, "verify", "--json")
    report = json.loads(text)
    assert (code, report["ok"], report["exit_code"]) == (2, False, 2)
    assert report["findings"][0]["kind"] == "edited"


def test_verify_takes_heads_that_were_kept_elsewhere(place):
    head = audit(place, "head")[1].strip()
    assert audit(place, "verify", "--expect", head, "--expect", head.partition(":")[2])[0] == 0
    code, text = audit(place, "verify", "--expect", "31:" + "0" * 64)
    assert code == 2
    assert "TAMPERED truncated" in text
    with pytest.raises(AuditError, match="is no head"):
        audit(place, "verify", "--expect", "nonsense")


def test_verify_accepts_a_break_that_was_looked_into(place, clock, record):
    (place.directory / "head.json").unlink()
    AuditLog(place.directory, clock).append(record())
    assert audit(place, "verify")[0] == 2
    code, text = audit(place, "verify", "--accept", "31")
    assert code == 0
    assert "INFO break" in text


def test_verify_with_a_key_counts_the_seals(tmp_path, fill):
    fill(tmp_path / "sealed", key=KEY)
    code, text = audit(Place(directory=tmp_path / "sealed", keys=(KEY,)), "verify")
    assert (code, "30 seals checked" in text) == (0, True)
    code, text = audit(Place(directory=tmp_path / "sealed"), "verify")
    assert (code, "WARNING key: the seals of 30 records were not checked" in text) == (1, True)


def test_list_shows_the_newest_first_and_how_to_go_on(place):
    code, text = audit(place, "list", "--limit", "2")
    lines = text.splitlines()
    assert code == 0
    assert [line.split()[1] for line in lines[:2]] == ["seq=30", "seq=29"]
    assert lines[2] == "… more: --cursor 29"
    assert "seq=28 " in audit(place, "list", "--limit", "1", "--cursor", "29")[1]


def test_list_filters_and_speaks_json(place):
    _, text = audit(place, "list", "--run", "run-3", "--event", "stop", "--json")
    assert [json.loads(line)["seq"] for line in text.splitlines()] == [8]


def test_show_gives_a_record_or_a_run_in_full(place):
    assert json.loads(audit(place, "show", "8")[1])["message"] == "step 7"
    assert audit(place, "show", "run-3")[1].count('"seq"') == 2
    code, text = audit(place, "show", "nothing")
    assert (code, "no run is called nothing" in text) == (2, True)


def test_export_writes_csv_with_the_filters(place):
    code, text = audit(place, "export", "--event", "stop", "--text", "STEP")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert (code, len(rows), rows[0]["seq"]) == (0, 15, "30")


def test_export_writes_json_lines(place):
    assert len(audit(place, "export", "--format", "json")[1].splitlines()) == 30


def test_reindex_and_views_make_anew(place, tmp_path):
    assert audit(place, "reindex") == (0, "30 records in the index\n")
    assert audit(place, "views")[0] == 0
    assert len((tmp_path / "logs" / "start_live_env.log").read_text().splitlines()) == 30


def test_head_of_an_empty_audit_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert audit(Place(directory=tmp_path / "empty"), "head") == (2, "the audit has no record\n")


def test_no_audit_at_all_is_an_error_with_a_reason(tmp_path):
    with pytest.raises(AuditError, match="there is no audit"):
        audit(Place(directory=tmp_path / "nothing"), "verify")


def test_every_head_is_given_out(tmp_path, clock, record, caplog):
    given = []
    with caplog.at_level(logging.INFO):
        log = open_audit(tmp_path / "a", clock, witnesses=[given.append])
        position = log.append(record())
    assert given == [position]
    assert f"audit head 1:{position.hash}" in caplog.text
    assert SUBJECT == "md.event.audit"
    assert json.loads(head_message(position))["hash"] == position.hash
    registry = CollectorRegistry()
    head_gauge(position, registry)
    assert registry.get_sample_value("md_runbook_audit_head", {"hash": position.hash}) == 1
