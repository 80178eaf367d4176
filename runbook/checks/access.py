"""Who may use the API, who is told and by what command, and whether the audit is sealed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.model import Role

_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_SHORT: Final = 16


def check(inspection: Inspection) -> Sequence[Finding]:
    """Names and roles only. Commands are looked for and not run."""
    return (*_api(inspection), *_commands(inspection), *_desk(inspection))


def _api(inspection: Inspection) -> Iterator[Finding]:
    api = inspection.runbook.api
    tokens = api.access()
    if not tokens:
        yield inspection.lacking(
            "OPS_API_TOKENS is empty: nobody can use the API and the console",
            "set OPS_API_TOKENS=operator:NAME:$(openssl rand -hex 24)",
        )
    else:
        yield Finding.ok("the API may be used by " + ", ".join(f"{one.name} ({one.role})" for one in tokens))
        if not any(one.role is not Role.VIEWER for one in tokens):
            yield Finding.warning("OPS_API_TOKENS has viewers only: nobody can act", "add an operator:NAME:TOKEN")
    for one in tokens:
        if len(one.token.get_secret_value()) < _SHORT:
            yield inspection.lacking(
                f"the token of {one.name} in OPS_API_TOKENS is shorter than {_SHORT} characters",
                "make another: openssl rand -hex 24",
            )
    if "*" in api.cors_origins:
        yield inspection.lacking(
            "OPS_API_CORS_ORIGINS is *: every page in the operators' browsers may call the API",
            "leave it empty, or name the origins",
        )
    if api.host not in _LOCAL:
        yield Finding.warning(
            f"the API listens on {api.host}: tokens travel in the clear unless a proxy in front adds TLS",
            "set RUNBOOK_API__HOST=127.0.0.1, behind a proxy",
        )


def _commands(inspection: Inspection) -> Iterator[Finding]:
    settings = inspection.runbook
    for name, command in (
        ("RUNBOOK_ESCALATION__COMMAND", settings.escalation.command),
        ("DRILL_HEALTH_CMD", settings.drill.health_cmd),
        ("OPS_RUNBOOK_SCRIPT", None if settings.api.script is None else shlex.quote(str(settings.api.script))),
    ):
        program = shlex.split(command)[0] if command else ""
        if program and shutil.which(program) is None:
            yield inspection.lacking(
                f"{name} names {program}, which is not there or not executable",
                f"correct the path, or chmod +x {program}",
            )


def _desk(inspection: Inspection) -> Iterator[Finding]:
    settings = inspection.runbook
    if inspection.live and settings.escalation.command is None and not settings.notify.urls:
        yield Finding.warning(
            "neither an escalation command nor a notification address is set: nobody is told",
            "set RUNBOOK_ESCALATION__COMMAND or RUNBOOK_NOTIFY__URLS",
        )
    if inspection.live and settings.audit_key is None:
        yield Finding.warning(
            "RUNBOOK_AUDIT_KEY is not set: whoever can write the audit could rewrite all of it",
            "set RUNBOOK_AUDIT_KEY=$(openssl rand -hex 24), and keep a copy elsewhere",
        )


CHECK = Check(name="access", title="Access, commands and audit key", run=check)
