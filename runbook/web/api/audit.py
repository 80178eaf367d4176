"""``GET /api/audit``: who did what, why, and how it ended; and whether the record is what was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Meta

from runbook.audit import AuditIndex, Entry, Page, Query, verify
from runbook.audit.export import as_json, csv_lines
from runbook.audit.query import microseconds
from runbook.model import Role
from runbook.web.api.tables import (
    Cursor,
    Format,
    Limit,
    TableOperation,
    begun,
    csv_response,
    number_cursor,
    wants_csv,
)
from runbook.web.console import Console
from runbook.web.errors import ApiError, WrongField, documented

_CSV_PAGE: Final = 500
_NOTHING: Final = Page((), "")


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One record. A run has two: its ``start``, and its ``stop`` or ``exception``."""

    seq: Annotated[int, Meta(description="Number in the chain, from 1")]
    written: Annotated[str, Meta(description="When it was written; RFC 3339, +08:00")]
    run: Annotated[str, Meta(description="Id of the run")]
    event: Annotated[str, Meta(description="`start stop exception refused note`")]
    at: Annotated[str, Meta(description="RFC 3339, +08:00")]
    action: Annotated[str, Meta(description="Name of the action")]
    operator: Annotated[str, Meta(description="Who asked")]
    trigger: Annotated[str, Meta(description="`cli api page schedule watchdog`")]
    session: Annotated[str, Meta(description="`day`, `night` or `closed` at that moment")]
    window: Annotated[str, Meta(description="`day` or `night`; empty: none was given")]
    profile: Annotated[str, Meta(description="`dev`, `test` or `live`")]
    config: Annotated[str, Meta(description="`primary` or `backup`")]
    mode: Annotated[str, Meta(description="`live` or `mock`")]
    reason: Annotated[str, Meta(description="Why")]
    parameters: Annotated[dict[str, Any], Meta(description="As asked; secrets are masked")]
    dry_run: Annotated[bool, Meta(description="Nothing was to be done")]
    started_at: Annotated[str, Meta(description="RFC 3339, +08:00; empty: not of this record")]
    finished_at: Annotated[str, Meta(description="RFC 3339, +08:00; empty: not yet")]
    exit_code: Annotated[int | None, Meta(description="Of an end")]
    message: Annotated[str, Meta(description="The result in one line")]
    output: Annotated[str, Meta(description="File that was written, relative to the log directory")]
    hash: Annotated[str, Meta(description="SHA-256 of the record and, through `prev`, of all before it")]
    chain: Annotated[
        dict[str, Any] | None, Meta(description="What the audit says of itself; null in records of runs")
    ] = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/audit``."""

    records: Annotated[list[AuditEntry], Meta(description="Newest first")]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null: this was the last one")]


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing at one place. Unknown or meaningless: 0 and empty."""

    kind: Annotated[str, Meta(description="As listed in docs/audit.md")]
    severity: Annotated[str, Meta(description="`tampered`, `warning` or `info`")]
    message: Annotated[str, Meta(description="In words")]
    file: Annotated[str, Meta(description="Name of the file")]
    line: Annotated[int, Meta(description="From 1")]
    seq: Annotated[int, Meta(description="Number of the record")]
    expected: Annotated[str, Meta(description="What should be there")]
    found: Annotated[str, Meta(description="What is there")]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/audit/verify``."""

    ok: Annotated[bool, Meta(description="Nothing was changed, as far as can be told from here")]
    exit_code: Annotated[int, Meta(description="0 intact; 1 with warnings; 2 tampered with")]
    records: Annotated[int, Meta(description="Records that were read")]
    files: Annotated[int, Meta(description="Files that were read")]
    first: Annotated[int, Meta(description="Number of the first record; 0: none")]
    last: Annotated[int, Meta(description="Number of the last record; 0: none")]
    head: Annotated[str, Meta(description="Hash of the last record; keep it elsewhere, and compare later")]
    sealed: Annotated[int, Meta(description="Records whose seal was checked and right")]
    findings: Annotated[list[AuditFinding], Meta(description="The worst first; 200 at most")]


def _equal(what: str) -> Any:
    return QueryParameter(max_length=200, description=f"{what}; absent: any")


Event = Annotated[
    Literal["start", "stop", "exception", "refused", "note"] | None,
    QueryParameter(description="Sort of record; absent: any"),
]
Since = Annotated[str, QueryParameter(max_length=40, description="From then on: RFC 3339, or a day, 2026-11-23")]
Until = Annotated[str, QueryParameter(max_length=40, description="Before then; a day alone is included whole")]
Text = Annotated[
    str,
    QueryParameter(
        max_length=200, description="Anywhere in action, operator, reason, message, parameters, output or run"
    ),
]


@get(
    "/api/audit",
    opt={"role": Role.VIEWER},
    tags=["audit"],
    operation_class=TableOperation,
    responses=documented(503),
)
async def list_audit(
    request: Request[Any, Any, Any],
    console: NamedDependency[Console],
    since: Since = "",
    until: Until = "",
    event: Event = None,
    action: Annotated[str, _equal("Name of the action")] = "",
    operator: Annotated[str, _equal("Who asked")] = "",
    trigger: Annotated[str, _equal("`cli api page schedule watchdog`")] = "",
    session: Annotated[str, _equal("`day`, `night` or `closed`")] = "",
    window: Annotated[str, _equal("`day` or `night`")] = "",
    profile: Annotated[str, _equal("`dev`, `test` or `live`")] = "",
    config: Annotated[str, _equal("`primary` or `backup`")] = "",
    run: Annotated[str, _equal("Id of a run")] = "",
    exit_code: Annotated[int | None, QueryParameter(ge=0, le=255, description="Of ends; absent: any")] = None,
    text: Text = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    form: Format = None,
) -> Response[AuditPage]:
    """Records, newest first. All given conditions must hold. A cursor stays good while records are appended."""
    query = Query(
        since=_time("since", since),
        until=_time("until", until),
        event=event or "",
        action=action,
        operator=operator,
        trigger=trigger,
        session=session,
        window=window,
        profile=profile,
        config=config,
        run=run,
        exit_code=exit_code,
        text=text,
    )
    number_cursor(cursor)
    directory = console.runbook.audit.directory
    if wants_csv(request, form):
        return csv_response(await begun(_csv(directory, query)), "audit")
    page = await _page(directory, query, cursor, limit)
    return Response(AuditPage(records=[audit_entry(one) for one in page.entries], next=page.next or None))


@get("/api/audit/verify", opt={"role": Role.OPERATOR}, tags=["audit"], responses=documented(404, 503))
async def verify_audit(console: NamedDependency[Console]) -> Verification:
    """Is the audit what was written? Reads everything, changes nothing; some seconds for 100,000 records."""
    directory = console.runbook.audit.directory
    key = console.runbook.runbook.audit_key
    secret = key.get_secret_value().encode() if key else None
    if not await asyncio.to_thread(directory.is_dir):
        raise ApiError(404, "no_audit", "there is no audit yet; the first action begins it", title="There is no audit")
    report = await asyncio.to_thread(verify, directory, None, secret)
    return Verification(
        ok=report.ok,
        exit_code=report.exit_code,
        records=report.records,
        files=report.files,
        first=report.first,
        last=report.last,
        head=report.head,
        sealed=report.sealed,
        findings=[AuditFinding(**one.as_json() | {"severity": one.severity.value}) for one in report.findings],
    )


def audit_entry(entry: Entry) -> AuditEntry:
    """One record for the API."""
    return AuditEntry(**as_json(entry))


async def _csv(directory: Path, query: Query) -> AsyncIterator[str]:
    """A page at a time, read in a thread; records appended meanwhile are not among them."""
    cursor, heading = "", True
    while heading or cursor:
        page = await _page(directory, query, cursor, _CSV_PAGE)
        lines = list(csv_lines(page.entries))
        yield "".join(lines if heading else lines[1:])
        cursor, heading = page.next, False


async def _page(directory: Path, query: Query, cursor: str, limit: int) -> Page:
    def read() -> Page:
        if not directory.is_dir():  # nothing was done yet
            return _NOTHING
        return AuditIndex(directory).page(query, cursor=cursor, limit=limit)

    return await asyncio.to_thread(read)


def _time(name: str, text: str) -> str:
    """As it is, if it is one. The audit says the same, but not that it was the question's fault."""
    try:
        if text:
            microseconds(text)
    except (ValueError, OverflowError):
        message = "is no time; write 2026-11-23 or 2026-11-23T08:45:00+08:00"
        wrong = WrongField(field=name, message=message, source="query")
        raise ApiError(400, "usage", f"{name} {message}", errors=[wrong]) from None
    return text
