"""Reads both sets of settings from the same files, and decides which files those are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from gateway.settings.process import process_environment
from runbook.model import Config
from runbook.secrets import RuntimeFileError, origin_of
from runbook.settings import RunbookSettings, load_runbook_settings

ACTIVE: Final = "active.env"
"""In the state directory: the account that ``start --config`` chose, from then until the stop."""

_MOCK: Final = """\
# Written by the runbook: the mock environment, a synthetic market on two accounts. It logs in nowhere.
name = "feedgate-mock"

[feeds.sim]
instruments = ["*"]

[feeds.sim.options]
contracts = 200
rate = 500

[feeds.sim.accounts.primary]
[feeds.sim.accounts.backup]

[metrics]
port = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What somebody named. Relative paths start at the working directory."""

    settings: Path | None = None
    """TOML file, of gateway and runbook."""
    env_files: tuple[Path, ...] = ()
    log_dir: Path | None = None
    """In place of the settings' one."""
    mock: bool = False
    """The mock environment: a synthetic market with a state directory of its own, and the same audit and lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where they came from."""

    settings: Settings
    """Defaults when they were refused."""
    runbook: RunbookSettings
    config: Path | None = None
    """The TOML file."""
    env_files: tuple[Path, ...] = ()
    """Those named, the runtime file of ``secrets pull``, and the chosen account: each only if it is there."""
    refusal: SettingsError | None = None
    """Why the gateway's settings cannot be used; what needs them then ends with 11, on record."""
    mock: bool = False
    views_dir: Path
    """Directory of the log files that are views of the audit."""

    @property
    def active_file(self) -> Path:
        """Where ``start`` writes the chosen account."""
        return self.runbook.state_dir / ACTIVE

    @property
    def config_in_use(self) -> Config:
        """What a request without a choice means."""
        return "backup" if self.settings.active == "backup" else "primary"


def load(files: Files, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read everything. Blocks. ``environ`` stands in for the process's environment, which wins over the files.

    Raises SettingsError when the runbook's own settings cannot be used: without them there is no place for a record.
    """
    environ = process_environment() if environ is None else environ
    env_files, findings = files.env_files, []
    runbook = load_runbook_settings(files.settings, env_files, environ)
    runtime = runbook.vault.runtime_file
    if runtime not in env_files and (runtime.is_symlink() or runtime.exists()):
        try:
            origin_of(runtime)
        except RuntimeFileError as unsafe:
            findings += unsafe.findings
        else:
            env_files = (*env_files, runtime)
            runbook = load_runbook_settings(files.settings, env_files, environ)
    if files.log_dir is not None:
        runbook = runbook.model_copy(update={"log_dir": files.log_dir})
    loaded = Loaded(
        settings=Settings(),
        runbook=runbook,
        config=files.settings,
        env_files=env_files,
        views_dir=runbook.log_dir,
    )
    if files.mock:
        loaded = _mock(loaded, log_dir=files.log_dir)
    if loaded.active_file.is_file():
        loaded = replace(loaded, env_files=(*loaded.env_files, loaded.active_file))
    try:
        settings = load_settings(loaded.config, loaded.env_files, environ)
    except SettingsError as refused:
        return replace(loaded, refusal=SettingsError([*findings, *refused.findings]))
    findings += _not_mock(settings) if files.mock else []
    if findings:
        return replace(loaded, refusal=SettingsError(findings))
    return replace(loaded, settings=settings)


def _mock(loaded: Loaded, *, log_dir: Path | None) -> Loaded:
    """The same runbook on other settings: no file with accounts is read."""
    real = loaded.runbook
    state_dir = real.state_dir / "mock"
    changes = {
        "state_dir": state_dir,
        "log_dir": log_dir or real.log_dir / "mock",
        "audit_dir": real.audit_directory,
        "lock_path": real.lock_file,
    }
    path = state_dir / "mock.toml"
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.is_file() or path.read_text(encoding="utf-8") != _MOCK:
            path.write_text(_MOCK, encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}; correct its permissions, or name another state_dir"]) from None
    return replace(loaded, runbook=real.model_copy(update=changes), config=path, env_files=(), mock=True)


def _not_mock(settings: Settings) -> list[str]:
    """What the process's own environment would bring into the mock environment."""
    findings = []
    others = sorted(set(settings.feeds) - {"sim"})
    if others:
        named = ", ".join(others)
        findings.append(
            f"--mock: the environment itself configures the feed {named}; unset its variables, mock never logs in"
        )
    if settings.bus.urls:
        findings.append("--mock: NATS_URL is set in the environment; unset it, mock has a NATS server of its own")
    return findings
