"""Reads the settings to inspect. What cannot be read becomes findings, not an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from gateway.settings.process import process_environment
from runbook.checks.inspection import Inspection
from runbook.model import Profile
from runbook.settings import RunbookSettings, load_runbook_settings


def read_inspection(
    clock: Clock,
    *,
    profile: Profile | None = None,
    config: Path | None = None,
    env_files: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
    require_backup: bool = False,
) -> Inspection:
    """Read the gateway's and the runbook's settings from the same places. Blocks on reading the files; never raises.

    ``environ`` stands in for the process's environment, which wins over the files. ``profile``: unset is the one that
    the settings say, live if they cannot be read.
    """
    environ = process_environment() if environ is None else environ
    refusals: list[str] = []
    gateway: Settings | None = None
    runbook: RunbookSettings | None = None
    try:
        gateway = load_settings(config, env_files, environ)
    except SettingsError as refused:
        refusals += refused.findings
    try:
        runbook = load_runbook_settings(config, env_files, environ)
    except SettingsError as refused:
        refusals += refused.findings
    return Inspection(
        clock=clock,
        profile=profile or (gateway.profile if gateway else "live"),
        gateway_settings=gateway,
        runbook_settings=runbook,
        refusals=tuple(dict.fromkeys(refusals)),  # a file that nobody can read is refused by both
        require_backup=require_backup,
        config=config,
        env_files=tuple(env_files),
    )
