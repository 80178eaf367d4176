"""The locale that the CTP library aborts without: zh_CN.GB18030."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.thost import locales
from gateway.thost.locales import NAME
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.standins import is_standin

KINDS: Final = ("ctp", "sopt")
"""Kinds of feeds whose vendor library calls for it."""
_I18N: Final = Path("/usr/share/i18n")
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
        if locales.is_loadable() or _is_built(options):
            continue
        kind = inspection.plugins.feed_kind(inspection.settings.kind_of(name))
        place = kind.environment(options).get("LOCPATH")
        if place:
            done.append(f"built the locale {NAME} in {place} (feed {name})")
    return done


def judge(inspection: Inspection, name: str, options: Mapping[str, Any], i18n: Path = _I18N) -> Finding:
    """For one feed."""
    if locales.is_loadable():
        return Finding.ok(f"the C library has the locale {NAME} (feed {name})")
    if _is_built(options):
        return Finding.ok(f"the locale {NAME} is in {locales.directory_of(options)} (feed {name})")
    sources = locales.has_sources(i18n)
    if shutil.which("localedef") is None or not sources:
        lack = "localedef is not" if sources else "its sources are not"
        return inspection.lacking(f"the locale {NAME} is missing and {lack} there to build it (feed {name})", _INSTALL)
    return Finding.info(
        f"the locale {NAME} is not built yet; the first start does it, in some seconds (feed {name})",
        "runbook doctor --fix --only locale",
    )


def _is_built(options: Mapping[str, Any]) -> bool:
    return locales.is_built(locales.directory_of(options))


def _feeds(inspection: Inspection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    settings = inspection.settings
    for name, feed in settings.feeds.items():
        if settings.kind_of(name) in KINDS and not all(is_standin(feed, account) for account in feed.accounts):
            yield name, feed.options


CHECK = Check(name="locale", title="Locale of the vendor library", run=check, fix=fix)
