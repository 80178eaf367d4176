"""The trading days as computed once, kept in a small file: reading it spares a start 0.6 s of CPU and 65 MB of pandas.

A file is used only when it is certain that the package would answer the same: its name is a digest of the package's
version, of its list of Shanghai's holidays (the file's bytes) and of our own range, and it carries a checksum. Whatever
is wrong with it (absent, cut off, changed, owned by somebody else, writable for others, unreadable), the days are
computed anew. Failing to write it is not an error either: the next start computes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import stat
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

from gateway.calendar.days import TradingDays, weekdays

log = logging.getLogger(__name__)

_FORMAT: Final = 1
"""Part of the name: raise it when the content changes its meaning."""
_PACKAGE: Final = "exchange_calendars"
_HOLIDAYS: Final = "exchange_calendar_xshg.py"
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_LARGEST: Final = 1 << 20


def kept_file(directory: Path, first: date) -> Path | None:
    """Where the days from ``first`` are kept for the installed package; None when it cannot be told which one that is.

    Imports nothing of the package. Blocks for a few milliseconds.
    """
    try:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            return None
        version = importlib.metadata.version(_PACKAGE)
        holidays = Path(spec.origin).with_name(_HOLIDAYS).read_bytes()
    except (OSError, ValueError, importlib.metadata.PackageNotFoundError):
        return None
    digest = hashlib.sha256(f"{_FORMAT} {version} {first.isoformat()} ".encode() + holidays).hexdigest()
    return directory / f"xshg-{digest[:32]}.json"


def read_kept(path: Path) -> TradingDays | None:
    """The days of the file; None when it is not there or cannot be trusted."""
    try:
        # not through a link, and no waiting for a pipe that somebody put there
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            ours = stat.S_ISREG(status.st_mode) and status.st_uid in (os.geteuid(), 0)
            if not ours or status.st_mode & _OTHERS_MAY_WRITE or status.st_size > _LARGEST:
                log.debug("%s is not ours alone; the trading days are computed anew", path)
                return None
            content = json.loads(file.read())
        days = content["days"]
        if content["sha256"] != _checksum(days):
            raise ValueError("its checksum is wrong")  # noqa: TRY301 - the same way out as for other bad content
        first, last = date.fromisoformat(days["first"]), date.fromisoformat(days["last"])
        closed = (date.fromisoformat(text) for text in days["closed"])
        return TradingDays.from_holidays(first, last, closed, source=days["source"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.debug("%s cannot be used (%s); the trading days are computed anew", path, error)
        return None


def keep(path: Path, days: TradingDays) -> bool:
    """Write them, all or nothing. False when the place refuses, or when the file would not say the same."""
    open_days = set(days.open_days)
    closed = [day for day in weekdays(days.first, days.last) if day not in open_days]
    again = TradingDays.from_holidays(days.first, days.last, closed, source=days.source)
    if again != days:
        return False  # a trading weekend, say: the form has no room for it
    content = {
        "source": days.source,
        "first": days.first.isoformat(),
        "last": days.last.isoformat(),
        "closed": [day.isoformat() for day in closed],
    }
    new: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(prefix=".xshg-", dir=path.parent)  # made with 0600
        new = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"sha256": _checksum(content), "days": content}, file)
        new.replace(path)
    except OSError as error:
        log.debug("%s cannot be written (%s); the next start computes the trading days again", path, error)
        if new is not None:
            with contextlib.suppress(OSError):
                new.unlink()
        return False
    return True


def _checksum(days: object) -> str:
    return hashlib.sha256(json.dumps(days, sort_keys=True).encode()).hexdigest()
