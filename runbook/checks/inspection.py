"""What the checks are given."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import FeedgateError
from gateway.loader import Plugins
from gateway.settings import AccountSettings, FeedSettings, Settings
from runbook.checks.model import Finding, Severity
from runbook.model import Profile
from runbook.secrets import VaultPlugin
from runbook.settings import RunbookSettings

VAULT_PLUGIN = "vault_secrets"
"""The installed plugin of the same store, with the process's own settings instead of those under inspection."""


class NotReadError(FeedgateError):
    """A check needs settings that could not be read. Their own check says why."""

    code = "not_read"
    exit_code = 11


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Settings under inspection, with secret references unresolved, and how strict to be about them.

    Used by several threads at once; what it holds does not change.
    """

    clock: Clock
    profile: Profile
    gateway_settings: Settings | None
    """None: they cannot be read."""
    runbook_settings: RunbookSettings | None
    refusals: tuple[str, ...] = ()
    """Why settings cannot be read: a text for each thing that is wrong, with its fix."""
    require_backup: bool = False
    config: Path | None = None
    env_files: tuple[Path, ...] = ()
    """Files that the settings were read from."""
    log_dir: Path | None = None
    """Of this run; unset: the settings' own."""
    timeout_s: float = 3.0
    """Each connection must be answered within."""

    @property
    def settings(self) -> Settings:
        """The gateway's. Raises NotReadError."""
        if self.gateway_settings is None:
            raise NotReadError("the gateway's settings cannot be read")
        return self.gateway_settings

    @property
    def runbook(self) -> RunbookSettings:
        """The runbook's. Raises NotReadError."""
        if self.runbook_settings is None:
            raise NotReadError("the runbook's settings cannot be read")
        return self.runbook_settings

    @property
    def live(self) -> bool:
        """Whether what is missing is an error."""
        return self.profile == "live"

    @property
    def serious(self) -> Severity:
        """Of something that live needs and others can do without."""
        return Severity.ERROR if self.live else Severity.WARNING

    def lacking(self, what: str, fix: str) -> Finding:
        """Something is missing: an error in profile live, a warning elsewhere."""
        return Finding(self.serious, what, fix)

    @functools.cached_property
    def plugins(self) -> Plugins:
        """All that are installed. Blocks on importing them; never raises because of one."""
        blocked: list[str] = list(self.gateway_settings.plugins_blocked) if self.gateway_settings else []
        extra: list[object] = []
        if self.runbook_settings is not None:
            extra.append(VaultPlugin(self.runbook_settings.vault, self.clock))
            blocked.append(VAULT_PLUGIN)
        return Plugins.load(extra=extra, blocked=blocked)

    def lines(self) -> Iterable[tuple[str, FeedSettings, str, AccountSettings]]:
        """``(feed, its settings, account, its settings)`` for each line there would be."""
        for name, feed in self.settings.feeds.items():
            for account, settings in feed.accounts.items():
                yield name, feed, account, settings
