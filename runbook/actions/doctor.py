"""``runbook doctor``: the machine, without the accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.actions.validate_env import Files, inspected, listing
from runbook.checks import MACHINE_CHECKS, chosen
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit


class DoctorParameters(BaseModel, extra="forbid", frozen=True):
    """What to check, and how."""

    only: tuple[str, ...] = Field((), description="Names of checks to run; unset: all")
    list: bool = Field(default=False, description="Say which checks there are, and run none")
    fix: bool = Field(
        default=False, description="Make missing directories (0700), close files with secrets (0600), build the locale"
    )


@dataclass(frozen=True, slots=True)
class DoctorAction:
    """Exit codes: 0 ok, 1 warnings only, 2 errors. ``details`` is the report, as ``--json`` prints it."""

    files: Files

    async def __call__(self, context: ActionContext, parameters: DoctorParameters, /) -> ActionResult:
        """Of the settings in use."""
        checks = chosen(MACHINE_CHECKS, parameters.only)
        if parameters.list:
            return listing(checks)
        fix = parameters.fix and not context.request.dry_run
        return await inspected(context, self.files.inspection(context), checks, fix=fix, error=Exit.ERROR)


class DoctorActions:
    """For a command that was given files with settings: register this object in place of the module."""

    def __init__(self, config: Path | None = None, env_files: Sequence[Path] = ()) -> None:
        self._action = DoctorAction(Files(config, tuple(env_files)))

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        """The action ``doctor``."""
        return (
            ActionKind(
                name="doctor",
                title="Examine the machine",
                build=lambda: self._action,
                parameters=DoctorParameters,
                changes=False,
                exclusive=False,
            ),
        )


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``doctor``."""
    return DoctorActions().runbook_actions()
