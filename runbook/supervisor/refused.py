"""A start whose settings were refused: they are read again, then secrets are refreshed. Source: contract, §9."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from runbook.context import ActionContext
from runbook.hookspecs import Action
from runbook.model import ActionResult, Exit
from runbook.secrets import origin_of
from runbook.supervisor.escalation import escalation_of
from runbook.supervisor.remedies import refreshed_secrets
from runbook.supervisor.stages import Remedy, Stage, StageFailed, StageRunner
from runbook.supervisor.timers import Timers


@dataclass(frozen=True, slots=True)
class RefusedStart:
    """In place of ``start`` where the gateway's settings cannot be used.

    It is the stage ``environment`` of :class:`StageRunner`: each try reads the files anew, failures are counted over
    starts, after too many of them secrets are pulled from Vault and somebody is told. Once the settings can be used,
    the start goes on; otherwise it ends with 11.
    """

    refusal: SettingsError
    config: Path | None
    env_files: tuple[Path, ...]
    build: Callable[[tuple[Path, ...]], Action]
    """The start itself, on these files."""

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        """As :class:`runbook.hookspecs.Action`. A dry run reads nothing again. Raises SettingsError."""
        if context.request.dry_run:
            raise self.refusal
        vault = context.runbook.vault
        found: list[tuple[Settings, tuple[Path, ...]]] = []

        def read() -> tuple[Settings, tuple[Path, ...]]:
            files = self.env_files
            if vault.runtime_file not in files and (vault.runtime_file.is_symlink() or vault.runtime_file.exists()):
                origin_of(vault.runtime_file)
                files = (*files, vault.runtime_file)
            return load_settings(self.config, files), files

        async def do(attempt: int, _limit_s: float) -> str:
            if attempt == 1:
                raise self.refusal
            found.append(await asyncio.to_thread(read))
            return "the settings can be used now"

        async def at_once() -> str:
            return "reading the settings anew and verifying them"

        async def remedy() -> Remedy:
            return await refreshed_secrets(vault, context.clock, read=True, profile=context.request.profile)

        stage = Stage(
            name="environment",
            exit_code=Exit.ENVIRONMENT,
            do=do,
            next_step="correct the settings that are named (`runbook validate-env` shows all), then start again",
            at_once=at_once,
            remedy=remedy,
        )
        escalation = escalation_of(context.runbook, context.runbook.state_dir, context.clock, context.request.profile)
        runner = StageRunner(Timers(context.clock), context.runbook, escalation, context.tell)
        try:
            await runner.run(stage)
        except StageFailed as failed:
            details = {"stages": [], "failed_stage": "environment", "left_running": []}
            return ActionResult(exit_code=failed.exit_code, message=str(failed), details=details)
        settings, files = found[0]
        return await self.build(files)(replace(context, settings=settings), parameters)
