"""The locale that the CTP library aborts without: zh_CN.GB18030."""

from __future__ import annotations

import ctypes
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding

NAME: Final = "zh_CN.GB18030"
KINDS: Final = ("ctp", "sopt")
"""Kinds of feeds whose vendor library calls for it."""
_SOURCES: Final = ("locales/zh_CN", "charmaps/GB18030")
_I18N: Final = Path("/usr/share/i18n")
_LC_ALL_MASK: Final = 0x1FBF
_INSTALL: Final = "apt-get install locales"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Looks whether the C library or the plugin's directory has it, and if not whether it can be built."""
    feeds = list(_feeds(inspection))
    if not feeds:
        return (Finding.info(f"no feed needs the locale {NAME}"),)
    return [judge(inspection, name, options) for name, options in feeds]


def fix(inspection: Inspection) -> Sequence[str]:
    """Lets the feed's plugin build it, which needs no root. Blocks for some seconds."""
    done = []
    for name, options in _feeds(inspection):
        if in_system() or is_built(options):
            continue
        kind = inspection.plugins.feed_kind(inspection.settings.kind_of(name))
        place = kind.environment(options).get("LOCPATH")
        if place:
            done.append(f"built the locale {NAME} in {place} (feed {name})")
    return done


def judge(inspection: Inspection, name: str, options: Mapping[str, Any], i18n: Path = _I18N) -> Finding:
    """For one feed."""
    if in_system():
        return Finding.ok(f"the C library has the locale {NAME} (feed {name})")
    if is_built(options):
        return Finding.ok(f"the locale {NAME} is in {directory_of(options)} (feed {name})")
    missing = [part for part in _SOURCES if not any((i18n / f"{part}{end}").exists() for end in ("", ".gz"))]
    if shutil.which("localedef") is None or missing:
        lack = "its sources are not" if missing else "localedef is not"
        return inspection.lacking(f"the locale {NAME} is missing and {lack} there to build it (feed {name})", _INSTALL)
    return Finding.info(
        f"the locale {NAME} is not built yet; the first start does it, in some seconds (feed {name})",
        "runbook doctor --fix --only locale",
    )


def directory_of(options: Mapping[str, Any]) -> Path:
    """Where the CTP plugin builds it: its option ``locale_dir``, else the user's cache (README of the plugin)."""
    chosen = options.get("locale_dir")
    if chosen:
        return Path(str(chosen))
    return Path.home() / ".cache" / "feedgate" / f"locale-{'-'.join(platform.libc_ver())}"


def is_built(options: Mapping[str, Any]) -> bool:
    """Whether that directory has it."""
    return (directory_of(options) / NAME / "LC_CTYPE").is_file()


def in_system() -> bool:
    """Whether this process finds it. No locale of the process is touched."""
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    libc.freelocale.argtypes = [ctypes.c_void_p]
    libc.freelocale.restype = None
    handle = libc.newlocale(_LC_ALL_MASK, NAME.encode(), None)
    if handle is None:
        return False
    libc.freelocale(handle)
    return True


def _feeds(inspection: Inspection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    settings = inspection.settings
    for name, feed in settings.feeds.items():
        if settings.kind_of(name) in KINDS:
            yield name, feed.options


CHECK = Check(name="locale", title="Locale of the vendor library", run=check, fix=fix)
