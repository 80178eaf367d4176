"""Where plugins come from: our own, those of the entry points, and objects that the caller hands over."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from gateway.hookspecs import PROJECT

DISTRIBUTION: Final = "feedgate"
_BUILT_IN: Final = {
    "sim": "gateway.sources.sim",
    "replay": "gateway.sources.replay",
    "catalogue_file": "gateway.sources.catalogue_file",
    "env_secrets": "gateway.secrets.env",
    "file_secrets": "gateway.secrets.file",
    "routing": "gateway.control.routing.builtin",
}
"""Our own plugins; imported by name when no entry point brings them (a plain checkout)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """What became of one plugin."""

    name: str
    """Of the entry point, or of the module or class."""
    version: str
    """Of its distribution; ``?`` when it has none."""
    distribution: str
    """Empty for an object handed to ``load``."""
    status: Literal["loaded", "failed", "blocked"]
    reason: str = ""
    """Why it is not loaded."""
    provides: tuple[str, ...] = ()
    """``feed sim``, ``router priority``, ``observer log`` …"""

    def __str__(self) -> str:
        """For people: ``plugin feedgate-ctp 0.1.0 (ctp) failed: No module named 'x'``."""
        who = f"{self.distribution} {self.version} ({self.name})" if self.distribution else self.name
        return f"plugin {who} {self.status}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that is there and not imported yet."""

    record: PluginRecord
    """As it will be when all goes well."""
    module: str
    get: Callable[[], object]


def candidates(extra: Iterable[object], *, entry_points: bool) -> list[Candidate]:
    """All of them, in the order of loading, which is always the same. Imports nothing."""
    found = sorted(_entry_points(), key=_order) if entry_points else []
    return [*_built_in(found), *found, *map(_given, extra)]


def _entry_points() -> Iterator[Candidate]:
    for point in metadata.entry_points(group=PROJECT):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "?")
        record = PluginRecord(name=point.name, version=version, distribution=name, status="loaded")
        yield Candidate(record, point.value, point.load)


def _order(candidate: Candidate) -> tuple[bool, str, str]:
    record = candidate.record
    return (record.distribution != DISTRIBUTION, record.distribution, record.name)


def _built_in(found: Sequence[Candidate]) -> Iterator[Candidate]:
    """Those of our own plugins that no entry point brings."""
    there = {one.module for one in found if one.record.distribution == DISTRIBUTION}
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "(source)"
    for name, module in _BUILT_IN.items():
        if module not in there:
            record = PluginRecord(name=name, version=version, distribution=DISTRIBUTION, status="loaded")
            yield Candidate(record, module, functools.partial(importlib.import_module, module))


def _given(plugin: object) -> Candidate:
    name = getattr(plugin, "__name__", None) or type(plugin).__qualname__
    version = str(getattr(plugin, "__version__", "?"))
    record = PluginRecord(name=str(name), version=version, distribution="", status="loaded")
    return Candidate(record, "", lambda: plugin)
