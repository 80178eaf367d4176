"""``runbook validate-env``: the whole environment of a gateway, before anything is started."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.checks import CHECKS, Check, Inspection, Report, chosen, read_inspection, run_checks
from runbook.checks.report import Checked
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit


class ValidateEnvParameters(BaseModel, extra="forbid", frozen=True):
    """What to check, and how."""

    source: Path | None = Field(
        None, description="File with variables to check, as .env.live; unset: the settings in use"
    )
    require_backup: bool = Field(default=False, description="A feed without a complete backup account is an error")
    only: tuple[str, ...] = Field((), description="Names of checks to run; unset: all")
    list: bool = Field(default=False, description="Say which checks there are, and run none")
    fix: bool = Field(
        default=False, description="Make missing directories (0700), close files with secrets (0600), build the locale"
    )


@dataclass(frozen=True, slots=True)
class Files:
    """What the settings in use were read from; the context of a run does not say."""

    config: Path | None = None
    env_files: tuple[Path, ...] = ()

    def inspection(self, context: ActionContext, *, require_backup: bool = False) -> Inspection:
        """Of the settings in use."""
        return Inspection(
            clock=context.clock,
            profile=context.request.profile,
            gateway_settings=context.settings,
            runbook_settings=context.runbook,
            require_backup=require_backup,
            config=self.config,
            env_files=self.env_files,
            log_dir=context.log_dir,
        )


@dataclass(frozen=True, slots=True)
class ValidateEnvAction:
    """Exit codes: 0 ok, 1 warnings only, 11 errors. ``details`` is the report, as ``--json`` prints it."""

    files: Files

    async def __call__(self, context: ActionContext, parameters: ValidateEnvParameters, /) -> ActionResult:
        """With ``source`` the file is read, below the process's environment; otherwise the settings in use count."""
        checks = chosen(CHECKS, parameters.only)
        if parameters.list:
            return listing(checks)
        inspection = self.files.inspection(context, require_backup=parameters.require_backup)
        if parameters.source is not None:
            read = await asyncio.to_thread(
                read_inspection,
                context.clock,
                profile=context.request.profile,
                config=self.files.config,
                env_files=(parameters.source,),
                require_backup=parameters.require_backup,
            )
            inspection = replace(read, log_dir=context.log_dir)
        fix = parameters.fix and not context.request.dry_run
        return await inspected(context, inspection, checks, fix=fix, error=Exit.ENVIRONMENT)


async def inspected(
    context: ActionContext, inspection: Inspection, checks: Sequence[Check], *, fix: bool, error: Exit
) -> ActionResult:
    """Run the checks and make a result of the report."""

    def tell(checked: Checked) -> None:
        for done in checked.done:
            context.tell("check", f"{checked.name}: fixed: {done}", {"check": checked.name})
        for finding in checked.findings:
            said = f"{finding.what}; {finding.fix}" if finding.fix else finding.what
            context.tell("check", f"{checked.name}: {finding.severity}: {said}", {"check": checked.name})

    report = await run_checks(inspection, checks, fix=fix, tell=tell)
    return result(report, error)


def result(report: Report, error: Exit) -> ActionResult:
    """The report as a run's result; ``details`` also has the text, for ``runbook …`` without ``--json``."""
    code = report.exit_code(error)
    details = report.as_json() | {"exit_code": int(code), "text": list(report.lines())}
    return ActionResult(exit_code=code, message=report.summary, details=details)


def listing(checks: Sequence[Check]) -> ActionResult:
    """What ``--list`` says."""
    rows = [{"name": check.name, "title": check.title, "fix": check.fix is not None} for check in checks]
    names = ", ".join(check.name for check in checks)
    text = [f"{check.name:14} {check.title}{' (--fix)' if check.fix else ''}" for check in checks]
    return ActionResult(exit_code=Exit.OK, message=f"checks: {names}", details={"checks": rows, "text": text})


class ValidateEnvActions:
    """For a command that was given files with settings: register this object in place of the module."""

    def __init__(self, config: Path | None = None, env_files: Sequence[Path] = ()) -> None:
        self._action = ValidateEnvAction(Files(config, tuple(env_files)))

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        """The action ``validate-env``."""
        return (
            ActionKind(
                name="validate-env",
                title="Validate the environment",
                build=lambda: self._action,
                parameters=ValidateEnvParameters,
                changes=False,
                exclusive=False,
            ),
        )


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``validate-env``."""
    return ValidateEnvActions().runbook_actions()
