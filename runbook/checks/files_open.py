"""How many files and sockets a process may have open."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding

LEAST: Final = 1024
ENOUGH: Final = 4096
"""Lines, the bundled server's clients, consumers of the console."""


def check(inspection: Inspection) -> Sequence[Finding]:
    """The limits of this process, which its children inherit. A service under systemd has its own."""
    return (judge(inspection, *resource.getrlimit(resource.RLIMIT_NOFILE)),)


def judge(inspection: Inspection, soft: int, hard: int) -> Finding:
    """What the two limits mean."""
    what = f"a process may open {_shown(soft)} files (at most {_shown(hard)})"
    command = f"ulimit -n {ENOUGH} before the start, or LimitNOFILE={ENOUGH} in the unit"
    if soft != resource.RLIM_INFINITY and soft < LEAST:
        return inspection.lacking(what, command)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        return Finding.warning(what, command)
    return Finding.ok(what)


def _shown(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)


CHECK = Check(name="open-files", title="Open file limit", run=check)
