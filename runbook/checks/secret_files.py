"""Files that hold secrets are for their owner only."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MODE: Final = 0o600
_REFERENCE: Final = "secret:file:"
_SECRET_KEYS: Final = ("password", "auth_code", "token", "tokens", "secret_id", "audit_key", "urls")


def check(inspection: Inspection) -> Sequence[Finding]:
    """Mode and owner of each; what is in them is not looked at, except whether a TOML file has secrets at all."""
    return tuple(_findings(inspection))


def fix(inspection: Inspection) -> Sequence[str]:
    """``chmod 600`` for files of this user that others can read. Symbolic links are left alone.

    So are files of variables that are not named as such, because whoever may ask for a check may name any file.
    """
    done = []
    for path, _ in files(inspection):
        named_by_somebody = path in inspection.env_files and not (path.name.startswith(".env") or path.suffix == ".env")
        was = None if named_by_somebody else _close(path)
        if was is not None:
            done.append(f"chmod 600 {path} (it was {was:04o})")
    return done


def _close(path: Path) -> int | None:
    """The mode that was changed; None for a file that is left alone. Raises OSError."""
    found = _look(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)  # the open file counts: nobody can put another in its place
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or not found.st_mode & _OTHERS:
            return None
        os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)
    return stat.S_IMODE(found.st_mode)


def files(inspection: Inspection) -> Iterator[tuple[Path, str]]:
    """Each file once, and what it is."""
    seen: set[Path] = set()
    for path, what in _named(inspection):
        if path not in seen:
            seen.add(path)
            yield path, what


def _named(inspection: Inspection) -> Iterator[tuple[Path, str]]:
    for path in inspection.env_files:
        yield path, "variables"
    if inspection.config is not None and _holds_secrets(inspection.config):
        yield inspection.config, "settings with secrets"
    runbook, gateway = inspection.runbook_settings, inspection.gateway_settings
    if runbook is not None:
        yield runbook.vault.runtime_file, "pulled secrets"
    if gateway is None:
        return
    if gateway.bus.creds_file is not None:
        yield gateway.bus.creds_file, "NATS credentials"
    if gateway.bus.tls_key is not None:
        yield gateway.bus.tls_key, "key of the NATS client"
    for _, _, _, account in inspection.lines():
        for secret in (account.password, account.auth_code):
            text = secret.get_secret_value()
            if text.startswith(_REFERENCE):
                yield Path(text.removeprefix(_REFERENCE).rpartition("#")[0]), "secret store"


def _findings(inspection: Inspection) -> Iterator[Finding]:
    looked = False
    for path, what in files(inspection):
        found = _look(path)
        if found is None:
            continue  # what needs the file says that it is missing
        looked = True
        yield _judge(inspection, path, what, found)
    if not looked:
        yield Finding.info("no file with secrets is in use")


def _judge(inspection: Inspection, path: Path, what: str, found: os.stat_result) -> Finding:
    named = f"{path} ({what})"
    if stat.S_ISLNK(found.st_mode):
        return Finding.info(f"{named} is a symbolic link; its target's mode counts", f"ls -lL {path}")
    mode = stat.S_IMODE(found.st_mode)
    if found.st_mode & _OTHERS:
        return Finding(inspection.serious, f"{named} is open to other users (mode {mode:04o})", f"chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid()):
        return Finding(
            Severity.WARNING, f"{named} belongs to another user (uid {found.st_uid})", f"chown $(id -un) {path}"
        )
    return Finding.ok(f"{named} is for its owner only (mode {mode:04o})")


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _holds_secrets(config: Path) -> bool:
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False  # the check of settings says so
    return _has(content)


def _has(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return any((key in _SECRET_KEYS and bool(inside)) or _has(inside) for key, inside in value.items())


CHECK = Check(name="secret-files", title="Files with secrets", run=check, fix=fix)
