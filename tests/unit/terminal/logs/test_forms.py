"""Records as JSON and as text: whole, bounded, masked, and never two for one."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from gateway.settings.masking import Masker
from gateway.terminal.logs.structured import JsonForm
from gateway.terminal.logs.text import LONGEST_TEXT, LONGEST_TRACEBACK, TextForm

SECRET = 'pl4nted-"pass\\word'
LABELS = {"session": "night", "config": "primary", "account": "12***78", "active_feed": "primary"}


def record(message: str, *args: Any, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.getLogger("gateway.lines").makeRecord(
        "gateway.lines", logging.ERROR, __file__, 1, message, args, info, extra=extra
    )
    made.created = 1_795_366_800.123  # 2026-11-22 17:00:00.123 UTC
    return made


def written(form: logging.Formatter, one: logging.LogRecord) -> dict[str, Any]:
    line = form.format(one)
    assert "\n" not in line
    line.encode("utf-8", "backslashreplace")
    found: dict[str, Any] = json.loads(line)
    return found


def fail(error: Exception) -> None:
    raise error


def raised(message: str) -> ValueError:
    try:
        fail(ValueError(message))
    except ValueError as error:
        return error
    raise AssertionError


def test_a_json_line_has_time_level_logger_text_and_labels_in_this_order() -> None:
    line = written(JsonForm(lambda: LABELS), record("%s lost", "ctp:primary", line="ctp:primary"))
    assert list(line.items()) == [
        ("at", "2026-11-23T01:00:00.123+08:00"),
        ("level", "error"),
        ("logger", "gateway.lines"),
        ("text", "ctp:primary lost"),
        ("line", "ctp:primary"),
        *LABELS.items(),
    ]


def test_a_traceback_is_one_field_of_one_line() -> None:
    line = written(JsonForm(), record("broke", error=raised("why\nindeed")))
    assert line["text"] == "broke"
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ValueError: why\nindeed")


@pytest.mark.parametrize("form", [JsonForm, TextForm])
def test_a_secret_is_masked_wherever_it_turns_up(form: Any) -> None:
    made = form(mask=Masker([SECRET]).text)
    one = record("login %s refused, %r", SECRET, {"password": SECRET}, error=raised(f"bad {SECRET}"))
    one.stack_info = f"Stack: {SECRET}"
    text = made.format(one)
    assert "***" in text
    for part in ("pl4nted", "pass\\word", "pass\\\\word"):
        assert part not in text


@pytest.mark.parametrize("form", [JsonForm, TextForm])
def test_a_secret_at_the_cut_is_masked_before_it_is_cut(form: Any) -> None:
    text = form(mask=Masker([SECRET]).text).format(record("%s", "x" * (LONGEST_TEXT - 5) + SECRET))
    assert "pl4n" not in text


def test_long_messages_and_tracebacks_are_cut_and_say_so() -> None:
    line = written(JsonForm(), record("合" * 50_000, error=raised("y" * 90_000 + "the end")))
    assert line["text"] == "合" * LONGEST_TEXT + "… (42000 characters left out)"
    assert len(line["traceback"]) < LONGEST_TRACEBACK + 100
    assert line["traceback"].startswith("Traceback")
    assert line["traceback"].endswith("the end")
    text = TextForm().format(record("x" * 50_000))
    assert len(text) < LONGEST_TEXT + 200


@pytest.mark.parametrize("message", ["\x00\x1b[31m\x7f", "\ud800 alone", "\u2028\x85", '"}{', "%d %s %", ""])
def test_any_character_makes_a_readable_line(message: str) -> None:
    one = record(message)
    line = JsonForm().format(one).encode("utf-8", "backslashreplace")
    assert json.loads(line)["text"] == message
    text = TextForm().format(one)
    text.encode()
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1


def test_a_message_of_several_lines_cannot_look_like_several_records() -> None:
    forged = "no\r\n2026-11-23T01:00:00.123+08:00 CRITICAL gateway: forged\rx"
    lines = TextForm().format(record(forged)).split("\n")
    assert lines[0].endswith("gateway.lines: no")
    assert lines[1] == "    2026-11-23T01:00:00.123+08:00 CRITICAL gateway: forged\\x0dx"


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_arguments_and_exceptions_that_raise_do_not_stop_the_record() -> None:
    try:
        fail(MuteError())
    except MuteError:
        one = record("%s is mute", Mute())
        one.exc_info = sys.exc_info()
    line = written(JsonForm(), one)
    assert line["text"] == "%s is mute (its arguments do not fit: RuntimeError)"
    assert "MuteError" in line["traceback"]
    assert "do not fit: TypeError" in TextForm().format(record("%d %d", 1))


def test_labels_that_cannot_be_told_do_not_stop_the_record() -> None:
    def labels() -> dict[str, str]:
        raise LookupError("beyond the calendar")

    line = written(JsonForm(labels), record("still here"))
    assert (line["text"], line["labels"]) == ("still here", "cannot be told: LookupError")
