"""The audit as CSV and JSON lines, a record at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from runbook.audit.chain import RECORD_FIELDS, Entry

COLUMNS: Final = ("seq", "written", *RECORD_FIELDS, "hash")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(entries: Iterable[Entry], *, bom: bool = False) -> Iterator[str]:
    """A heading and a line per record (RFC 4180, CRLF). ``bom`` for spreadsheets that take no UTF-8 without it.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    yield ("\ufeff" if bom else "") + buffer.getvalue()
    for entry in entries:
        buffer.seek(0)
        buffer.truncate()
        fields = as_json(entry)
        writer.writerow([_cell(fields[name]) for name in COLUMNS])
        yield buffer.getvalue()


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A JSON object per line. Not the audit's own lines: without seal and canonical form."""
    for entry in entries:
        yield json.dumps(as_json(entry), ensure_ascii=False) + "\n"


def as_json(entry: Entry) -> dict[str, Any]:
    """For an API or a page."""
    chain = {"chain": dict(entry.chain)} if entry.chain else {}
    return {"seq": entry.seq, "written": entry.written, **asdict(entry.record), **chain, "hash": entry.hash}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{text}" if text.startswith(_FORMULA) else text
