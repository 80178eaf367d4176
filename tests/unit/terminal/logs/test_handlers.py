"""Handlers that never hold up who logs, and the set-up of a program."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import AccountSettings, FeedSettings, Settings, load_settings
from gateway.terminal.logs.handlers import FileHandler, OffLoop, StreamHandler
from gateway.terminal.logs.program import ProgramLogs
from gateway.terminal.logs.text import TextForm

SECRET = "pl4nted-secret-4711"


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    """Nothing of ours stays with the root logger."""
    root = logging.getLogger()
    level = root.level
    yield
    assert not [handler for handler in root.handlers if isinstance(handler, StreamHandler | FileHandler | OffLoop)]
    assert root.level == level


class Stuck(logging.Handler):
    """A reader that reads nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.begun.set()
        assert self.go.wait(30)
        self.texts.append(record.getMessage())


def make(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, __file__, 1, text, args, None)


def test_a_reader_that_stands_still_holds_up_nobody_and_what_is_dropped_is_told() -> None:
    stuck = Stuck()
    handler = OffLoop(stuck, most=5)
    handler.handle(make("the first"))
    assert stuck.begun.wait(30)
    for number in range(20):
        handler.handle(make("number %d", number))
    assert handler.dropped == 15
    stuck.go.set()
    handler.close()
    assert stuck.texts[0] == "the first"
    told = "15 records were dropped: the log is written slower than it grows"
    assert sorted(stuck.texts[1:]) == sorted([*(f"number {number}" for number in range(5)), told])


def test_what_is_logged_is_kept_as_it_was_at_that_moment() -> None:
    stuck = Stuck()
    handler = OffLoop(stuck)
    growing = [1]
    handler.handle(make("%s", growing))
    growing.append(2)
    stuck.go.set()
    handler.close()
    handler.close()
    assert stuck.texts == ["[1]"]


def test_a_stream_whose_reader_is_gone_or_whose_encoding_is_poor_stops_nobody() -> None:
    closed = io.StringIO()
    closed.close()
    handler = StreamHandler(closed)
    handler.handle(make("nobody reads"))
    assert handler.lost == 1
    raw = io.BytesIO()
    poor = StreamHandler(io.TextIOWrapper(raw, encoding="ascii"))
    poor.setFormatter(TextForm())
    poor.handle(make("前置机"))
    assert b"\\u524d\\u7f6e\\u673a" in raw.getvalue()


def settings(**log: object) -> Settings:
    account = AccountSettings.model_validate({"user_id": "12345678", "password": SECRET, "broker_id": "9999"})
    feeds = {"sim": FeedSettings(accounts={"primary": account})}
    return Settings.model_validate({"feeds": feeds, "log": log})


def test_a_program_logs_text_to_stderr_until_its_settings_say_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "gateway.log"
    with ProgramLogs(None) as logs:
        logging.getLogger("gateway.settings").warning("early")
        logging.getLogger("gateway.settings").info("not said")
        logs.settle(settings(format="json", file=str(file)))
        assert logs.json
        logging.getLogger("gateway.core").info("password %s", SECRET)
        logging.getLogger("gateway.core").debug("not said")
    said = capsys.readouterr()
    assert said.err.endswith(" WARNING gateway.settings: early\n")
    line = json.loads(said.out)
    assert {**line, "at": ""} == {
        "at": "",
        "level": "info",
        "logger": "gateway.core",
        "text": "password ***",
        "gateway": "feedgate",
        "config": "primary",
        "account": "12***8",
        "active_feed": "primary",
    }
    assert [json.loads(text) for text in file.read_text().splitlines()] == [line]


def test_flags_win_over_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgramLogs("DEBUG", "text", tmp_path / "mine.log") as logs:
        logs.settle(settings(format="json", level="ERROR", file=str(tmp_path / "other.log")))
        logging.getLogger("gateway.core").debug("every detail of %s", SECRET)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(" DEBUG gateway.core: every detail of ***\n")
    assert json.loads((tmp_path / "mine.log").read_text())["level"] == "debug"
    assert not (tmp_path / "other.log").exists()


def test_a_file_that_cannot_be_written_does_not_stop_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").touch()
    with ProgramLogs("INFO", None, tmp_path / "logs" / "gateway.log") as logs:
        logs.settle(settings())
        logging.getLogger("gateway.core").info("goes on")
    assert "goes on" in capsys.readouterr().err


def test_the_variables_of_the_log_are_read() -> None:
    read = load_settings(environ={"FEEDGATE_LOG__FORMAT": "json", "FEEDGATE_LOG__FILE": "g.log"}).log
    assert (read.format, str(read.file), read.days, read.level) == ("json", "g.log", 30, "INFO")
