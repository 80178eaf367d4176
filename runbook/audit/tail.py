"""The end of the chain as a writer finds it, and what a crash or somebody's hand left there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runbook.audit.chain import GENESIS, key_id
from runbook.audit.files import (
    TORN,
    AuditFile,
    audit_files,
    last_lines,
    read_lines,
    sync_directory,
    torn_part,
    write_file,
)
from runbook.audit.head import Head, read_head

PENDING: Final = ".pending"
"""End of the name of a torn line that no ``note`` tells of yet."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The last complete line. ``seq`` 0: there is none."""

    seq: int = 0
    hash: str = GENESIS
    prev: str = ""
    key: str = ""
    file: AuditFile | None = None
    size: int = 0
    """Bytes of the file's complete lines."""
    damage: str = ""
    """Why the last line is none of ours; ``seq`` is then counted and ``hash`` unknown."""
    chain: Mapping[str, Any] = field(default_factory=dict)


def read_tail(directory: Path) -> tuple[Tail, bytes]:
    """The tail, and the bytes that follow the last line feed of the last file (a torn line)."""
    torn, nothing_after = b"", True
    for file in reversed(audit_files(directory)):
        data = (directory / file.name).read_bytes()
        tail = _tail_of(file, data)
        if data and nothing_after:
            torn, nothing_after = torn_part(data), False
            if torn:
                return tail, torn
        if tail.size:
            break
    else:
        tail = Tail()
    return tail, torn


def _tail_of(file: AuditFile, data: bytes) -> Tail:
    size = len(data) - len(torn_part(data))
    last = next(last_lines(file.name, data), None)
    if last is None:
        return Tail(file=file)
    if last.entry is None:
        # counted, for a number that was given out must never be given out again
        known = (found.entry.seq for found in read_lines(file.name, data) if found.entry)
        seq = max([file.first + last.line - 1, *known])
        return Tail(seq, file=file, size=size, damage=str(last.error))
    entry = last.entry
    return Tail(entry.seq, entry.hash, entry.prev, entry.key, file, size, chain=entry.chain)


def move_torn_aside(directory: Path, tail: Tail, torn: bytes) -> None:
    """Keep the torn line under ``torn/`` and cut it from its file. Safe to repeat at any point. Raises OSError."""
    if tail.file is None:
        return
    kept = directory / TORN
    if not kept.is_dir():
        kept.mkdir(mode=0o700)
        sync_directory(directory)
    name = f"{tail.file.name}@{tail.size}-{hashlib.sha256(torn).hexdigest()[:12]}{PENDING}"
    write_file(kept / name, torn)
    sync_directory(kept)
    path = directory / tail.file.name
    if tail.size == 0:
        path.unlink()  # nothing of it but the torn line
        sync_directory(directory)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, tail.size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_empty_file(directory: Path, head: Head | None) -> None:
    """Remove a last file without a byte, which a crash leaves between making and writing it.

    One whose records the head knows of is left: it was emptied, and that is evidence.
    """
    files = audit_files(directory)
    if not files or (directory / files[-1].name).stat().st_size:
        return
    if head is None or head.seq < files[-1].first:
        (directory / files[-1].name).unlink()
        sync_directory(directory)


def pending_torn(directory: Path) -> list[Path]:
    """Torn lines that were moved aside and not yet told of, oldest name first."""
    kept = directory / TORN
    return sorted(kept.glob(f"*{PENDING}")) if kept.is_dir() else []


def told(path: Path) -> Path:
    """The name of a torn line once a note tells of it."""
    return path.with_name(path.name.removesuffix(PENDING))


def torn_note(path: Path) -> dict[str, Any]:
    """What the note says of it."""
    file, _, rest = told(path).name.rpartition("@")
    data = path.read_bytes()
    return {
        "kind": "torn",
        "file": file,
        "offset": int(rest.partition("-")[0]),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "kept": f"{TORN}/{told(path).name}",
    }


def trusted_head(directory: Path, tail: Tail, key: bytes | None) -> tuple[Head | None, str]:
    """The head, or None and why it says nothing. No head at all is None and no reason."""
    try:
        head = read_head(directory)
    except ValueError as error:
        return None, f"head.json is damaged ({error})"
    if head is None or key is None:
        return head, ""
    if head.key == key_id(key) and not head.is_sealed_by(key):
        return None, "head.json was not written with the key of this audit"
    if not head.key and tail.key:
        return None, "head.json is not sealed, but the audit is"
    return head, ""


def break_between(tail: Tail, head: Head | None, head_damage: str) -> dict[str, Any] | None:
    """What the note of a break says, when files and head do not fit together; None when they do."""
    why = head_damage or tail.damage or _misfit(tail, head)
    if not why:
        return None
    return {
        "kind": "break",
        "why": why,
        "head": {"seq": head.seq, "hash": head.hash} if head else {},
        "tail": {"seq": tail.seq, "hash": tail.hash, "file": tail.file.name if tail.file else ""},
    }


def _misfit(tail: Tail, head: Head | None) -> str:
    if head is None:
        return "" if tail.seq <= 1 else "head.json is missing"
    if (head.seq, head.hash) == (tail.seq, tail.hash):
        return ""
    if head.seq == tail.seq - 1 and head.hash == tail.prev:
        return ""  # a crash between the line and the head
    if tail.chain.get("kind") == "break" and tail.chain.get("head") == {"seq": head.seq, "hash": head.hash}:
        return ""  # the same crash, right after the note of a break
    if head.seq > tail.seq:
        return f"records {tail.seq + 1} to {head.seq} were written and are gone"
    return f"head.json is not of this chain: it says record {head.seq}, the files end with {tail.seq}"
