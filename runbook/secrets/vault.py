"""The secret store ``vault``: ``secret:vault:secret/ctp/live#CTP_PRIMARY_PASSWORD``, also ``…live?version=3#…``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.clock import Clock, SystemClock
from gateway.hookspecs import SecretStoreKind, hookimpl
from runbook.secrets.place import place_of
from runbook.secrets.session import VaultSession
from runbook.settings import VaultSettings, load_runbook_settings


class VaultStore:
    """KV version 2. Blocking; each read logs in, reads and gives an AppRole's token back."""

    def __init__(self, settings: VaultSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def read(self, path: str) -> Mapping[str, str]:
        """All keys of ``MOUNT/PATH``, or of one version of it. Raises VaultError, without any value in it."""
        place = place_of(path, self._settings.mount)
        with VaultSession(self._settings, self._clock) as session:
            return session.read(place).values

    def __repr__(self) -> str:
        return f"VaultStore({self._settings.addr!r})"


class VaultPlugin:
    """The store with settings that the caller has read: ``Plugins.load(extra=[VaultPlugin(settings.vault, clock)])``.

    Block the installed plugin ``vault_secrets`` then, because two stores cannot have one name.
    """

    def __init__(self, settings: VaultSettings, clock: Clock) -> None:
        self._store = VaultStore(settings, clock)

    @hookimpl
    def gateway_secret_stores(self) -> Sequence[SecretStoreKind]:
        """The store ``vault``."""
        return (SecretStoreKind(name="vault", build=lambda _options: self._store),)


def _build(_options: Mapping[str, Any]) -> VaultStore:
    """With the runbook's settings from the environment of the process. Raises SettingsError for wrong ones."""
    return VaultStore(load_runbook_settings().vault, SystemClock())


@hookimpl
def gateway_secret_stores() -> Sequence[SecretStoreKind]:
    """The store ``vault``, set by ``VAULT_ADDR`` and its like in the environment."""
    return (SecretStoreKind(name="vault", build=_build),)
