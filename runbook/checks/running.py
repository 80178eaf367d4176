"""Runs checks beside each other, keeps one that fails from harming the others, and masks what they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gateway.errors import FeedgateError
from runbook.checks.inspection import Inspection, NotReadError
from runbook.checks.model import Check, Finding
from runbook.checks.report import Checked, Report
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

log = logging.getLogger(__name__)

Tell = Callable[[Checked], None]
"""Called on the event loop as soon as a check is through."""


def _silent(_checked: Checked) -> None:
    pass


async def run_checks(
    inspection: Inspection, checks: Sequence[Check], *, fix: bool = False, tell: Tell = _silent
) -> Report:
    """Run them all; with ``fix`` those that can mend something do so first, and are then run.

    A check that raises becomes a finding of its own. Findings are masked. Fixes run one after the other, in the
    order of ``checks``, before anything is checked: what one makes, another may look at.
    """
    masker = Masker(_secrets(inspection))
    done: dict[str, tuple[list[str], list[Finding]]] = {}
    if fix:
        for check in checks:
            done[check.name] = await asyncio.to_thread(_fix, check, inspection)

    async def one(check: Check) -> Checked:
        said, failed = done.get(check.name, ([], []))
        findings = await asyncio.to_thread(_run, check, inspection)
        checked = Checked(
            check.name,
            check.title,
            tuple(_masked(masker, (*failed, *findings))),
            tuple(masker.text(text) for text in said),
        )
        tell(checked)
        return checked

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(check), name=f"check {check.name}") for check in checks]
    return Report(inspection.profile, tuple(task.result() for task in tasks))


def _secrets(inspection: Inspection) -> Iterable[str]:
    for settings in (inspection.gateway_settings, inspection.runbook_settings):
        if settings is not None:
            yield from secrets_of(settings)


def _masked(masker: Masker, findings: Iterable[Finding]) -> Iterable[Finding]:
    for finding in findings:
        yield replace(finding, what=_line(masker.text(finding.what)), fix=_line(masker.text(finding.fix)))


def _line(text: str) -> str:
    return " ".join(text.split())


def _run(check: Check, inspection: Inspection) -> Sequence[Finding]:
    try:
        return check.run(inspection)
    except NotReadError as unread:
        return (Finding.info(f"not checked, because {unread}", "correct what the check `settings` says"),)
    except Exception as error:  # noqa: BLE001 - one check must not take the others along; it becomes a finding
        return (_crashed(check, error),)


def _fix(check: Check, inspection: Inspection) -> tuple[list[str], list[Finding]]:
    if check.fix is None:
        return [], []
    try:
        return list(check.fix(inspection)), []
    except NotReadError:
        return [], []
    except FeedgateError as error:
        return [], [Finding.error(f"--fix failed: {error}", "do it by hand")]
    except OSError as error:
        what = f"--fix failed: {error.filename or check.name}: {error.strerror or error}"
        return [], [Finding.error(what, "do it by hand, with the rights for it")]


def _crashed(check: Check, error: Exception) -> Finding:
    """Only the type: whatever a library says may quote what it was given."""
    log.debug("check %s failed", check.name, exc_info=error)
    said = f": {error}" if isinstance(error, FeedgateError) else ""
    return Finding.error(
        f"the check could not be made ({type(error).__name__}{said})",
        f"try it alone: runbook validate-env --only {check.name}; if it fails again, report it",
    )
