"""Plugins: what is loaded, what it brings, and why something is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

from gateway.loader import PluginRecord
from runbook.model import Role
from runbook.web.console import Console
from runbook.web.pages.rendering import Painter


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """An action that can be asked for."""

    name: str
    title: str
    role: Role
    changes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsPage:
    """Of this process: the gateway may have others installed where it runs."""

    records: Sequence[PluginRecord]
    actions: Sequence[ActionRow]
    findings: Sequence[str]
    """What cannot be used, each with the fix."""


@get("/plugins", opt={"role": Role.VIEWER}, include_in_schema=False)
async def plugins(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    runbook = console.runbook
    rows = [
        ActionRow(name=kind.name, title=kind.title, role=kind.role, changes=kind.changes)
        for kind in runbook.kinds.by_name.values()
    ]
    model = PluginsPage(records=runbook.plugins.records(), actions=rows, findings=tuple(runbook.findings))
    return await painter.page(request, console, "plugins", model)
