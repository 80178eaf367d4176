"""``head.json``: the last record that was surely written. The chain alone cannot tell that its end was cut off."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.audit.chain import Position, canonical, key_id
from runbook.audit.files import HEAD, unreadable, write_file


@dataclass(frozen=True, slots=True)
class Head:
    """Number and hash of the last record."""

    seq: int
    hash: str
    written: str
    key: str = ""
    """Id of the key of ``mac``; empty: no key."""
    mac: str = ""

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"seq": self.seq, "hash": self.hash, "written": self.written}
        return body | ({"key": self.key} if self.key else {})

    def is_sealed_by(self, key: bytes) -> bool:
        return hmac.compare_digest(self.mac, head_mac(key, self.body))


def head_mac(key: bytes, body: dict[str, Any]) -> str:
    """The seal of a head."""
    return hmac.new(key, b"feedgate audit head " + canonical(body), hashlib.sha256).hexdigest()


def write_head(directory: Path, position: Position, key: bytes | None) -> None:
    """Replace it in one step, synced but for the directory. Raises OSError; the old one then stays."""
    head = Head(position.seq, position.hash, position.written, key_id(key) if key else "")
    body = head.body | ({"mac": head_mac(key, head.body)} if key else {})
    write_file(directory / HEAD, canonical(body) + b"\n")


def read_head(directory: Path) -> Head | None:
    """None when there is none. Raises ValueError when it is no head, AuditError when it cannot be read."""
    path = directory / HEAD
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    body = json.loads(data.decode())
    if not isinstance(body, dict) or set(body) - {"seq", "hash", "written", "key", "mac"}:
        raise ValueError("not an object with seq, hash, written, key, mac")
    head = Head(body.get("seq", 0), *(body.get(name, "") for name in ("hash", "written", "key", "mac")))
    texts = (head.hash, head.written, head.key, head.mac)
    if type(head.seq) is not int or head.seq < 1 or not all(isinstance(text, str) for text in texts):
        raise ValueError("seq is not a number from 1, or another field is not text")
    if canonical(body) + b"\n" != data:
        raise ValueError("not in the form in which it is written")
    return head
