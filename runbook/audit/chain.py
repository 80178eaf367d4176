"""The line of the audit: how a record becomes bytes, and what the bytes must be.

A line is one JSON object in UTF-8 with sorted keys and no blanks, then ``"hash"`` and, when the audit has a key,
``"mac"``::

    {"action":"failover",…,"prev":"<hash of the line before>",…,"seq":7,…,"hash":"<64 hex>","mac":"<64 hex>"}

``hash`` is SHA-256 over the line up to ``,"hash"`` and a closing brace, byte by byte: nothing has to be parsed or
written anew to check it. ``mac`` is HMAC-SHA256 over the hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.model import SHANGHAI
from runbook.audit.errors import AuditError
from runbook.model import AuditRecord

VERSION: Final = 1
GENESIS: Final = "0" * 64
"""``prev`` of the first line."""
MAX_LINE: Final = 1 << 20
MAX_TEXT: Final = 16_384
"""Characters of one text in a record; the rest is cut, and the text says so. Long output belongs into a file."""

RECORD_FIELDS: Final = tuple(field.name for field in fields(AuditRecord))
_OWN_FIELDS: Final = frozenset({"v", "seq", "prev", "written"})
_EXTRA_FIELDS: Final = frozenset({"file", "key", "chain"})
_KNOWN: Final = _OWN_FIELDS | _EXTRA_FIELDS | frozenset(RECORD_FIELDS)
_REQUIRED: Final = _OWN_FIELDS | frozenset(RECORD_FIELDS)

_TEXTS: Final = frozenset(RECORD_FIELDS) - {"parameters", "dry_run", "exit_code"}
_SEALED: Final = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"(?:,"mac":"([0-9a-f]{64})")?\}', re.DOTALL)
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MAX_INT: Final = 1 << 63
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record is. ``seq`` and ``hash`` are what a witness needs to keep."""

    seq: int
    hash: str
    file: str
    offset: int
    """First byte of the line in the file."""
    written: str = ""
    """RFC 3339, +08:00."""

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that was read."""

    seq: int
    prev: str
    hash: str
    mac: str
    written: str
    record: AuditRecord
    file: str
    """Name of the file that this line opens; empty in all lines but a file's first."""
    key: str
    """Id of the key of ``mac``."""
    chain: Mapping[str, Any]
    """What the audit says of itself: ``kind`` is ``torn``, ``break`` or ``pruned``. Empty in records of runs."""


class LineError(ValueError):
    """Bytes that are no line of an audit; the text says why. ``seq`` and ``hash`` are what they claim, if anything."""

    def __init__(self, reason: str, *, kind: str, seq: int | None = None, claimed: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.seq = seq
        self.claimed = claimed


def stamp(wall_ns: int) -> str:
    """``2026-11-21T08:45:00.123456+08:00``."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, SHANGHAI) + timedelta(microseconds=rest // 1000)
    return moment.isoformat(timespec="microseconds")


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one way to write it: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def plain(value: object, depth: int = 0) -> Any:
    """``value`` as JSON values. What JSON has no word for becomes text, so that no record is lost over its type."""
    if value is None or isinstance(value, bool):
        return value
    # enumerations are made plain too
    if (isinstance(value, int) and abs(value) < _MAX_INT) or (isinstance(value, float) and math.isfinite(value)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {_text(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [plain(item, depth + 1) for item in value]
    return _text(str(value))


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT} characters cut)"
    # a lone surrogate (an undecodable argument) has no UTF-8
    return text.encode("utf-8", "backslashreplace").decode()


def key_id(key: bytes) -> str:
    """Names a key without giving it away."""
    return hmac.new(key, b"feedgate audit key id", hashlib.sha256).hexdigest()[:16]


def line_mac(key: bytes, line_hash: str) -> str:
    """The seal of a line."""
    return hmac.new(key, b"feedgate audit line " + line_hash.encode(), hashlib.sha256).hexdigest()


def seal(
    record: AuditRecord,
    *,
    seq: int,
    prev: str,
    written: str,
    key: bytes | None = None,
    file: str = "",
    chain: Mapping[str, Any] | None = None,
) -> tuple[bytes, str]:
    """The line (with its line feed) and its hash. Raises AuditError for a record beyond MAX_LINE bytes."""
    body: dict[str, Any] = {name: plain(getattr(record, name)) for name in RECORD_FIELDS}
    body |= {"v": VERSION, "seq": seq, "prev": prev, "written": written}
    if file:
        body["file"] = file
    if key:
        body["key"] = key_id(key)
    if chain:
        body["chain"] = plain(chain)
    data = canonical(body)
    if len(data) > MAX_LINE:
        raise AuditError(
            f"the audit record of {record.action} has {len(data)} bytes, more than {MAX_LINE}; "
            "put long output into a file and name it in `output`",
            action=record.action,
            bytes=len(data),
        )
    digest = hashlib.sha256(data).hexdigest()
    mac = f',"mac":"{line_mac(key, digest)}"' if key else ""
    return data[:-1] + f',"hash":"{digest}"{mac}}}\n'.encode(), digest


def unseal(raw: bytes) -> Entry:
    """The line (without its line feed). Raises LineError when it is not exactly what :func:`seal` writes.

    The place in the chain (``seq``, ``prev``) and the MAC are for the caller to judge.
    """
    sealed = _SEALED.fullmatch(raw)
    if sealed is None:
        raise _shapeless(raw)
    data = sealed[1] + b"}"
    claimed = sealed[2].decode()
    digest = hashlib.sha256(data).hexdigest()
    body = _parsed(data)
    seq = body.get("seq") if body else None
    seq = seq if isinstance(seq, int) and not isinstance(seq, bool) else None
    if digest != claimed:
        raise LineError(f"its bytes have the hash {digest}, not {claimed}", kind="edited", seq=seq, claimed=claimed)
    if body is None:
        raise LineError("it is not JSON in UTF-8", kind="unreadable", claimed=claimed)
    wrong = _wrong(body, data)
    if wrong:
        raise LineError(wrong, kind="foreign", seq=seq, claimed=claimed)
    mac = (sealed[3] or b"").decode()
    record = AuditRecord(**{name: body[name] for name in RECORD_FIELDS})
    return Entry(
        seq=body["seq"],
        prev=body["prev"],
        hash=claimed,
        mac=mac,
        written=body["written"],
        record=record,
        file=body.get("file", ""),
        key=body.get("key", ""),
        chain=body.get("chain", {}),
    )


def _shapeless(raw: bytes) -> LineError:
    if not raw:
        return LineError("it is empty", kind="unreadable")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return LineError(f"it is not UTF-8 (byte {error.start})", kind="unreadable")
    return LineError("it does not end with its hash", kind="unreadable")


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _wrong(body: dict[str, Any], data: bytes) -> str:
    """Why a line with a right hash was still not written by us; empty when it was."""
    missing, unknown = sorted(_REQUIRED - body.keys()), sorted(body.keys() - _KNOWN)
    if missing or unknown:
        return f"fields missing: {missing or 'none'}, unknown: {unknown or 'none'}"
    if body["v"] != VERSION:
        return f"it has version {body['v']!r}, not {VERSION}"
    reason = _wrong_value(body)
    if reason:
        return reason
    try:
        same = canonical(body) == data
    except ValueError:
        same = False
    return "" if same else "it is not in canonical form"


def _wrong_value(body: dict[str, Any]) -> str:
    texts = ("written", "prev", "file", "key", *_TEXTS)
    wrong = [name for name in texts if not isinstance(body.get(name, ""), str)]
    wrong += [name for name in ("parameters", "chain") if not isinstance(body.get(name, {}), dict)]
    if wrong:
        return f"wrong type of {', '.join(wrong)}"
    if type(body["seq"]) is not int or body["seq"] < 1:
        return f"seq is {body['seq']!r}, not a number from 1"
    if not _HASH.fullmatch(body["prev"]):
        return "prev is not a hash"
    try:
        offset = datetime.fromisoformat(body["written"]).utcoffset()
    except ValueError:
        offset = None
    return "" if offset == timedelta(hours=8) else f"written is {body['written']!r}, not a time with +08:00"
