"""The built-in actions, and what the composition adds to some of them."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway.errors import SettingsError
from gateway.settings.process import process_environment
from runbook.actions.doctor import DoctorActions
from runbook.actions.start import StartAction, StartActions
from runbook.actions.validate_env import ValidateEnvActions, inspected
from runbook.app.loading import ACTIVE, Loaded
from runbook.checks import CHECKS, MACHINE_CHECKS, chosen, read_inspection
from runbook.checks.live_profile import unfit
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.maintenance.snapshots import remember
from runbook.model import ActionResult, Exit
from runbook.supervisor.launch import Launch
from runbook.supervisor.refused import RefusedStart

log = logging.getLogger(__name__)

MODULES: Final = (
    *("start", "stop", "restart", "failover", "failback", "restart_line", "drill"),
    *("validate_env", "doctor", "check_feed_health", "t5_checkpoint", "subscribe", "refresh_contracts"),
    *("secrets_pull", "secrets_clear", "rotate_credentials", "notify", "alert_smoke"),
    *("archive", "retention", "log_scan", "incident", "rollback", "job_pause", "job_resume"),
)
"""Modules of ``runbook.actions``, in the order of the help."""

_NEED_NO_GATEWAY: Final = frozenset(
    {
        *("stop", "secrets-pull", "secrets-clear", "notify", "archive", "retention", "log-scan", "rollback"),
        *("incident", "job-pause", "job-resume"),
    }
)
"""They work although the gateway's settings are refused."""
MOCK_ANYWHERE: Final = frozenset({"drill"})
"""Changing actions that bring a simulator of their own when the mode is mock."""
_ACTIVE_VARIABLES: Final = ("ACTIVE_FEED", "FEEDGATE_ACTIVE")


def builtin(loaded: Loaded | None) -> tuple[list[object], list[str]]:
    """Plugins with the built-in actions, and a finding for each module that cannot be used. Never raises.

    Without settings the kinds are for looking at, not for running.
    """
    plugins: list[object] = []
    findings: list[str] = []
    for name in MODULES:
        try:
            plugins.append(_plugin(name, loaded))
        except Exception as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == f"runbook.actions.{name}"
            what = "is not there" if absent else f"cannot be used: {type(error).__name__}: {error}"
            findings.append(f"built-in action {name.replace('_', '-')} {what}; install the whole package runbook")
            log.debug("where the built-in action %s failed", name, exc_info=error)
    return plugins, findings


def _plugin(name: str, loaded: Loaded | None) -> object:
    if loaded is not None and name == "start":
        # what start writes comes last, so that it wins over the other files
        named = tuple(file for file in loaded.env_files if file != loaded.active_file)
        return StartActions(Launch(config=loaded.config, env_files=(*named, loaded.active_file)))
    if loaded is not None and name in ("validate_env", "doctor"):
        made = ValidateEnvActions if name == "validate_env" else DoctorActions
        return made(loaded.config, loaded.env_files)
    return importlib.import_module(f"runbook.actions.{name}")


def composed(kind: ActionKind, loaded: Loaded) -> ActionKind:
    """The kind as this runbook runs it."""
    if loaded.refusal is not None:
        if kind.name in ("validate-env", "doctor"):
            return replace(kind, build=lambda: _Unread(kind.build, loaded, of_environment=kind.name == "validate-env"))
        if kind.name not in _NEED_NO_GATEWAY:
            refusal = loaded.refusal
            if kind.name == "start" and not loaded.mock:
                return replace(kind, build=lambda: _refused_start(loaded, refusal))
            return replace(kind, build=lambda: _Refused(kind, refusal))
    if kind.name in ("start", "restart"):
        files = [file for file in (loaded.config, *loaded.env_files) if file not in (None, loaded.active_file)]
        return replace(kind, build=lambda: _WithConfig(kind.build, tuple(filter(None, files))))
    if kind.name == "stop":
        return replace(kind, build=lambda: _ForgetsConfig(kind.build))
    return kind


def _refused_start(loaded: Loaded, refusal: SettingsError) -> Action:
    """A start that reads the settings again; once they can be used it is the usual one, on the files read."""

    def build(files: tuple[Path, ...]) -> Action:
        named = tuple(file for file in files if file != loaded.active_file)
        launch = Launch(config=loaded.config, env_files=(*named, loaded.active_file))
        return _WithConfig(lambda: StartAction(launch), tuple(filter(None, (loaded.config, *named))))

    return RefusedStart(refusal, loaded.config, loaded.env_files, build)


class _Refused:
    """In place of an action that would have to guess at settings; one that simulates everything needs none."""

    def __init__(self, kind: ActionKind, refusal: SettingsError) -> None:
        self._kind = kind
        self._refusal = refusal

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        simulated = context.request.mode == "mock" or getattr(parameters, "self_test", False)
        if simulated and self._kind.name in MOCK_ANYWHERE:
            return await self._kind.build()(context, parameters)
        raise SettingsError(self._refusal.findings)


class _Unread:
    """``validate-env`` and ``doctor`` where settings are refused: that is a finding, the first of several."""

    def __init__(self, build: Callable[[], Action], loaded: Loaded, *, of_environment: bool) -> None:
        self._build = build
        self._loaded = loaded
        self._of_environment = of_environment

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        if parameters.list or getattr(parameters, "source", None) is not None:
            return await self._build()(context, parameters)
        checks = chosen(CHECKS if self._of_environment else MACHINE_CHECKS, parameters.only)
        read = await asyncio.to_thread(
            read_inspection,
            context.clock,
            profile=context.request.profile,
            config=self._loaded.config,
            env_files=self._loaded.env_files,
            require_backup=getattr(parameters, "require_backup", False),
        )
        fix = parameters.fix and not context.request.dry_run
        error = Exit.ENVIRONMENT if self._of_environment else Exit.ERROR
        refused = self._loaded.refusal
        own = tuple(refused.findings) if refused else ()
        read = replace(read, log_dir=context.log_dir, refusals=tuple(dict.fromkeys((*own, *read.refusals))))
        return await inspected(context, read, checks, fix=fix, error=error)


class _WithConfig:
    """``start`` and ``restart`` on the account of the request: the gateway reads the choice from a file.

    The settings of one that succeeded are kept for ``rollback``. A start in profile live has to meet its demands.
    """

    def __init__(self, build: Callable[[], Action], files: tuple[Path, ...]) -> None:
        self._build = build
        self._files = files

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        if context.request.action == "start" and (findings := unfit(context.request, context.settings)):
            raise SettingsError(findings)
        chosen_line = choice(context)
        if not context.request.dry_run:
            await asyncio.to_thread(_write, context.runbook.state_dir / ACTIVE, chosen_line)
        result = await self._build()(context, parameters)
        if not context.request.dry_run and result.exit_code in (Exit.OK, Exit.WARNING):
            image = context.runbook.image_tag or ""
            await asyncio.to_thread(remember, context.runbook.state_dir, context.clock, self._files, image=image)
        return result


def choice(context: ActionContext) -> str:
    """The content of the file. Raises SettingsError for an account that no feed has, or that cannot be chosen."""
    wanted, settings = context.request.config, context.settings
    head = "# Written by the runbook: what start --config chose. Removed by the stop.\n"
    accounts = {account for feed in settings.feeds.values() for account in feed.accounts}
    if settings.active == wanted or (wanted == "primary" and wanted not in accounts):
        # the usual case, or accounts with names of their own, of which none was asked for
        return head + f"ACTIVE_FEED={settings.active}\n"
    if accounts and wanted not in accounts:
        raise SettingsError([f"--config {wanted}: no feed has such an account; give its variables (CTP_BACKUP_…)"])
    fixed = next((name for name in _ACTIVE_VARIABLES if process_environment().get(name, wanted) != wanted), None)
    if fixed is not None:
        raise SettingsError([f"{fixed} (environment): contradicts --config {wanted}, and would win; unset it"])
    return head + f"ACTIVE_FEED={wanted}\n"


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)  # an environment file: the check of secret files asks for it of every one
        new.write_text(content, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}; make room, or correct its permissions"]) from None


class _ForgetsConfig:
    """``stop``: the next start begins with the settings' own account."""

    def __init__(self, build: Callable[[], Action]) -> None:
        self._build = build

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        result = await self._build()(context, parameters)
        if not context.request.dry_run and result.ok:
            await asyncio.to_thread((context.runbook.state_dir / ACTIVE).unlink, missing_ok=True)
        return result


class FiguredT5:
    """A checkpoint that was missed, or could not be made: the figure must say 0, or yesterday's 1 would stand."""

    def __init__(self, kind: ActionKind) -> None:
        self._kind = kind

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        if getattr(parameters, "missed", ""):
            await self._not_ready(context)
        try:
            return await self._kind.build()(context, parameters)
        except Exception:
            await self._not_ready(context)
            raise

    @staticmethod
    async def _not_ready(context: ActionContext) -> None:
        from runbook.actions.t5_checkpoint import push_status  # noqa: PLC0415 - built-in modules may be absent

        if context.request.dry_run:
            return
        if failed := await push_status(context, context.request.window or "none", ready=False):
            context.tell("t5", failed, {})
