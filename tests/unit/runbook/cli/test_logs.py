"""The command's own log: JSON lines in the file, little on the terminal, nothing left behind in the process."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from runbook.cli.logs import logs
from runbook.runner import Masker

SECRET = "planted-secret-4711"


def labels() -> dict[str, str]:
    return {"session": "night", "config": "primary", "account": "12***78", "active_feed": "primary"}


def test_a_line_has_time_labels_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logs(debug=False) as made:
        made.into(tmp_path / "logs", Masker([SECRET]), labels)
        logging.getLogger("runbook.app").warning("a %s turned up", SECRET)
        try:
            int(SECRET)
        except ValueError:
            logging.getLogger("runbook.cli.main").exception("broke")
    lines = [json.loads(line) for line in (tmp_path / "logs" / "runbook.log").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["a *** turned up", "broke"]
    assert all(line["at"].endswith("+08:00") and line["session"] == "night" for line in lines)
    assert "ValueError" in lines[1]["traceback"]
    assert SECRET not in json.dumps(lines) + capsys.readouterr().err


def test_what_a_run_says_about_itself_is_in_the_file_and_not_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logs(debug=False) as made:
        made.into(tmp_path, Masker(), labels)
        logging.getLogger("gateway.control").warning("failover runs")
        logging.getLogger("runbook.settings.load").warning("other users can read it")
    assert capsys.readouterr().err == "runbook: WARNING: other users can read it\n"
    assert "failover runs" in (tmp_path / "runbook.log").read_text()


def test_debug_shows_everything_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with logs(debug=True):
        logging.getLogger("gateway.control").debug("every detail")
    assert "every detail" in capsys.readouterr().err
    assert (root.level, list(root.handlers)) == before


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the place of the directory")
    with logs(debug=False) as made:
        made.into(tmp_path / "logs", Masker(), labels)
        logging.getLogger("runbook.app").info("x")
