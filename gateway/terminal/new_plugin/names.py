"""Which names a new plugin may have, and what is called how because of it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Sequence
from importlib import metadata
from typing import Final

from gateway.errors import FeedgateError
from gateway.hookspecs import PROJECT
from gateway.loader import PluginRecord, Plugins
from gateway.settings.names import COUNTERS

LONGEST: Final = 24
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SHORTEST: Final = 2


class NewPluginRefusedError(FeedgateError):
    """The project cannot be made under that name or in that place; nothing was written."""

    code = "usage"
    exit_code = 64


def package_of(name: str) -> str:
    """The importable package."""
    return f"gateway_{name}"


def distribution_of(name: str) -> str:
    """What pip calls it."""
    return f"{PROJECT}-{name.replace('_', '-')}"


def check_name(name: str, records: Sequence[PluginRecord]) -> None:
    """Raises NewPluginRefusedError for a name that cannot be used, or that ``records`` or this environment have."""
    if not (_NAME.fullmatch(name) and _SHORTEST <= len(name) <= LONGEST):
        raise NewPluginRefusedError(
            f"{name!r} cannot be the name of a plugin: it becomes a Python package, a feed and part of variables; use "
            f"{_SHORTEST} to {LONGEST} lower-case letters, digits and single '_', a letter first, such as acme or "
            "acme_options",
            name=name,
        )
    taken = _taken(name, records)
    if taken:
        raise NewPluginRefusedError(
            f"the name {name!r} is taken: {taken}; choose another, `gateway plugins` lists what is there", name=name
        )


def _taken(name: str, records: Sequence[PluginRecord]) -> str:
    for record in records:
        if name == record.name or f"feed {name}" in record.provides:
            return f"{record.distribution or record.name} {record.version} brings it"
    if name in COUNTERS:
        return f"the settings have rules of their own for the feed {name} (docs/settings.md)"
    if distribution_of(name) in _installed():
        return f"the distribution {distribution_of(name)} is installed"
    if importlib.util.find_spec(package_of(name)) is not None:
        return f"a package {package_of(name)} can be imported here already"
    return ""


def _installed() -> Collection[str]:
    return {re.sub(r"[-_.]+", "-", each.name).lower() for each in metadata.distributions() if each.name}


def installed_plugins() -> Sequence[PluginRecord]:
    """Every plugin of this environment, also those that cannot be loaded. Imports them."""
    return Plugins.load().records()
