"""Logins of browsers: a signed cookie that names its holder, and is good as long as the holder's token is."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer

from gateway.clock import Clock
from gateway.errors import SettingsError
from runbook.web.access.keeper import Holder, TokenKeeper

log = logging.getLogger(__name__)

_KEY_BYTES: Final = 32
_LONGEST: Final = 2048
_SALT: Final = "feedgate console session"


@dataclass(frozen=True, slots=True)
class Session:
    """One login."""

    holder: Holder
    id: str
    until: int
    """Unix seconds."""


class Sessions:
    """Makes and reads cookies' values. The key and the logouts are kept in ``directory``, for its owner only.

    Nothing else is stored: a cookie outlives a restart of the console, and is worth nothing once its holder's token
    is changed or taken out of the settings. File access blocks, for well below a millisecond, at logins and logouts.
    """

    def __init__(self, directory: Path, keeper: TokenKeeper, clock: Clock, *, lifetime_s: float) -> None:
        """Raises SettingsError when the directory cannot be written."""
        self._keeper = keeper
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._ended_path = directory / "ended.json"
        self._key = _key(directory)
        self._serializer = URLSafeSerializer(
            self._key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )
        self._ended = _ended(self._ended_path)
        self.cookie: Final = f"feedgate_{hashlib.sha256(self._key).hexdigest()[:8]}"
        """Its name; several consoles on one host, which share a browser's cookies, do not get into each other's way."""

    def begin(self, holder: Holder) -> str:
        """A cookie's value for somebody who showed the token."""
        until = self._now() + int(self._lifetime_s)
        return str(self._serializer.dumps([holder.name, self._mark(holder), secrets.token_hex(8), until]))

    def read(self, value: str) -> Session | None:
        """The login of a cookie's value; None for one that is forged, over, logged out, or of a token that is gone."""
        if len(value) > _LONGEST:
            return None
        try:
            name, mark, session, until = self._serializer.loads(value)
        except (BadData, ValueError, TypeError):
            return None
        holder = self._keeper.named(name) if isinstance(name, str) else None
        if holder is None or not hmac.compare_digest(self._mark(holder), str(mark)):
            return None
        if until <= self._now() or session in self._ended:
            return None
        return Session(holder, session, until)

    def end(self, session: Session) -> None:
        """Log out: the cookie is worth nothing from now on, also in other hands and after a restart."""
        now = self._now()
        self._ended = {one: until for one, until in self._ended.items() if until > now} | {session.id: session.until}
        try:
            _write(self._ended_path, json.dumps(self._ended).encode())
        except OSError as error:
            log.warning("a logout will be forgotten at the next restart: %s: %s", self._ended_path, error.strerror)

    def _mark(self, holder: Holder) -> str:
        """Of a token, without saying anything about it."""
        return hmac.new(self._key, holder.digest, hashlib.sha256).hexdigest()[:32]

    def _now(self) -> int:
        return self._clock.wall_ns() // 1_000_000_000


def _key(directory: Path) -> bytes:
    path = directory / "session.key"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            found = path.read_bytes()
            private = not path.stat().st_mode & 0o077
            if len(found) == _KEY_BYTES and private:
                return found
            why = "others could read it" if not private else "it has a wrong length"
            log.warning("%s is made anew (%s); browsers have to log in again", path, why)
        _write(path, key := secrets.token_bytes(_KEY_BYTES))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}; correct its permissions, or name another state_dir"]) from None
    return key


def _ended(path: Path) -> dict[str, int]:
    try:
        found: Any = json.loads(path.read_bytes())
        return {str(session): int(until) for session, until in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        log.warning("%s cannot be read; browsers that logged out are forgotten", path)
        return {}


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for its owner only."""
    fd, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
