"""Log records as JSON, an object a line: structlog's processors behind a formatter of ``logging``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter

from gateway.terminal.logs.text import (
    LONGEST_TEXT,
    LONGEST_TRACEBACK,
    Mask,
    cut,
    message_of,
    plain,
    shanghai,
    traceback_of,
)

Labels = Callable[[], Mapping[str, str]]

_EXTRA: Final = "line"
"""Attribute of records that a line's process made: its name."""


class JsonForm(ProcessorFormatter):
    """``at`` (+08:00), ``level``, ``logger``, ``text``, the labels, ``line`` and ``traceback`` where there is one."""

    def __init__(self, labels: Labels = dict, mask: Mask = plain) -> None:
        """``labels`` is asked for each record; what it gives is not masked. ``mask`` hides secrets in texts."""
        super().__init__(
            processors=[
                self.remove_processors_meta,
                JSONRenderer(serializer=json.dumps, ensure_ascii=False, default=repr),
            ],
            foreign_pre_chain=[self._described],
        )
        self._labels = labels
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        bare = logging.makeLogRecord(record.__dict__)
        bare.msg, bare.args = message_of(record), None
        return super().format(bare)

    def _described(self, _logger: object, _method: str, event: Any) -> Any:
        """The fields in their order. structlog's own names for exceptions are taken out: ours is text, and masked."""
        record: logging.LogRecord = event["_record"]
        line: dict[str, Any] = {
            "_record": record,
            "_from_structlog": False,
            "at": shanghai(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": cut(self._mask(event["event"]), LONGEST_TEXT),
        }
        if name := getattr(record, _EXTRA, None):
            line["line"] = str(name)
        try:
            line |= self._labels()
        except Exception as error:  # noqa: BLE001 - a record without labels is better than none
            line["labels"] = f"cannot be told: {type(error).__name__}"
        if found := traceback_of(record):
            line["traceback"] = cut(self._mask(found), LONGEST_TRACEBACK, LONGEST_TRACEBACK // 4)
        if record.stack_info:
            line["stack"] = cut(self._mask(record.stack_info), LONGEST_TRACEBACK, 0)
        return line
