"""The audit timeline: newest first, filters, the raw records, and whether the chain is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency

from runbook.audit import AuditError, AuditIndex, Entry, Query, Severity, verify
from runbook.model import Exit, Role
from runbook.web.console import Console
from runbook.web.pages.rendering import Painter
from runbook.web.pages.sentence import Verdict

_ROWS: Final = 50
_FILTERS: Final = ("since", "until", "event", "action", "operator", "trigger", "run", "text")
_EVENTS: Final = ("start", "stop", "exception", "refused", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One record."""

    entry: Entry
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """A page of the timeline."""

    rows: Sequence[AuditRow]
    filters: Mapping[str, str]
    events: Sequence[str]
    actions: Sequence[str]
    first: str
    next: str
    """Paths of further pages; empty: none."""
    csv: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPage:
    """What an examination of the chain found."""

    records: int
    files: int
    findings: Sequence[str]
    ok: bool
    """Nothing was changed, as far as can be told from here."""
    problem: str = ""


@get("/audit", opt={"role": Role.VIEWER}, include_in_schema=False)
async def audit(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    filters = {name: request.query_params.get(name, "").strip()[:200] for name in _FILTERS}
    asked = {name: value for name, value in filters.items() if value}
    cursor = request.query_params.get("cursor", "")
    index = AuditIndex(console.runbook.runbook.audit_directory)
    rows: list[AuditRow] = []
    after = problem = ""
    try:
        page = await asyncio.to_thread(index.page, _query(filters), cursor=cursor, limit=_ROWS)
        rows = [AuditRow(entry=entry, verdict=_verdict(entry)) for entry in page.entries]
        after = page.next
    except AuditError as error:
        problem = str(error)
    model = AuditPage(
        rows=rows,
        filters=filters,
        events=_EVENTS,
        actions=sorted(console.runbook.kinds.by_name),
        first="/audit" + (f"?{urlencode(asked)}" if asked else "") if cursor else "",
        next=f"/audit?{urlencode(asked | {'cursor': after})}" if after else "",
        csv=f"/api/audit?{urlencode(asked | {'format': 'csv'})}",
        problem=problem,
    )
    return await painter.page(request, console, "audit", model)


@get("/audit/verify", opt={"role": Role.VIEWER}, include_in_schema=False)
async def verified(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """Examine the whole chain now."""
    runbook = console.runbook.runbook
    key = runbook.audit_key
    try:
        report = await asyncio.to_thread(
            verify, runbook.audit_directory, key=key.get_secret_value().encode() if key else None
        )
    except AuditError as error:
        model = VerifyPage(records=0, files=0, findings=(), ok=False, problem=str(error))
        return await painter.page(request, console, "audit", model, template="verify.html")
    found = [str(one) for one in report.findings if one.severity is not Severity.INFO]
    model = VerifyPage(records=report.records, files=report.files, findings=found, ok=report.ok)
    return await painter.page(request, console, "audit", model, template="verify.html")


def _verdict(entry: Entry) -> Verdict:
    record = entry.record
    if record.event in ("start", "note"):
        return "neutral"
    if record.exit_code == Exit.OK:
        return "good"
    return "warning" if record.exit_code == Exit.WARNING else "critical"


def _query(filters: Mapping[str, str]) -> Query:
    return Query(
        since=filters["since"],
        until=filters["until"],
        event=filters["event"],
        action=filters["action"],
        operator=filters["operator"],
        trigger=filters["trigger"],
        run=filters["run"],
        text=filters["text"],
    )
