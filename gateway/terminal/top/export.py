"""A snapshot in a file: text, or JSON when the name ends in ``.json``. For the owner's eyes."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import FeedgateError
from gateway.terminal.top.facts import KIND, Facts
from gateway.terminal.top.text import TITLE, snapshot

_MARKS: Final = {True: f'{{\n  "kind": "{KIND}"'.encode(), False: TITLE.encode()}
"""JSON or not → how such a file begins."""


class ExportError(FeedgateError):
    """The snapshot cannot be written."""

    code = "export"


class ExportRefusedError(ExportError):
    """The file is something else: it stays as it is."""

    code = "usage"
    exit_code = 64


def json_text(facts: Facts) -> str:
    """The facts as one JSON object, with a line end."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=2).decode() + "\n"


def export(facts: Facts, path: Path) -> None:
    """Write it with mode 0600, whole or not at all. Blocks.

    An older snapshot of the same form is replaced. Raises ExportRefusedError for a file of another kind, and
    ExportError when the disk refuses.
    """
    as_json = path.suffix == ".json"
    text = json_text(facts) if as_json else snapshot(facts)
    try:
        _refuse_others(path, as_json=as_json)
        _replace(path, text.encode())
    except OSError as error:
        raise ExportError(
            f"the snapshot cannot be written to {path}: {error.strerror or error}; name a file in a directory that "
            "you may write to",
            path=str(path),
        ) from error


def _refuse_others(path: Path, *, as_json: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    mark = _MARKS[as_json]
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            begin = file.read(len(mark))
        if begin in (mark, b""):
            return
    form = "JSON" if as_json else "text"
    raise ExportRefusedError(
        f"{path} exists and is no {form} snapshot of gateway top: it stays as it is; name another file", path=str(path)
    )


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
