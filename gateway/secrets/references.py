"""Secrets by reference: a password of ``secret:STORE:PATH#KEY`` is looked up in a secret store at the start."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from gateway.errors import FeedgateError, SettingsError
from gateway.loader import Plugins
from gateway.settings import AccountSettings, Settings

_SCHEME = "secret:"
_FIELDS = ("password", "auth_code")
SECRET_FIELDS = frozenset(_FIELDS)


def resolve(settings: Settings, plugins: Plugins) -> Settings:
    """The settings with every reference replaced by its secret. Blocking. Raises SettingsError with all findings."""
    findings: list[str] = []
    read: dict[tuple[str, str], Mapping[str, str]] = {}
    feeds = {}
    for feed_name, feed in settings.feeds.items():
        accounts = {}
        for name, account in feed.accounts.items():
            where = f"feeds.{feed_name}.accounts.{name}"
            accounts[name] = _account(where, account, plugins, read, findings)
        feeds[feed_name] = feed.model_copy(update={"accounts": accounts})
    if findings:
        raise SettingsError(findings)
    return settings.model_copy(update={"feeds": feeds})


def look_up(reference: str, plugins: Plugins) -> str:
    """One secret, read anew. Blocking. Raises SettingsError or PluginError, without any value in it."""
    return _look_up(reference, plugins, {})


def is_reference(text: str) -> bool:
    """Whether it has the form ``secret:STORE:PATH#KEY``."""
    store, _, rest = text.removeprefix(_SCHEME).partition(":")
    path, _, key = rest.rpartition("#")
    return text.startswith(_SCHEME) and bool(store and path and key)


def _account(
    where: str,
    account: AccountSettings,
    plugins: Plugins,
    read: dict[tuple[str, str], Mapping[str, str]],
    findings: list[str],
) -> AccountSettings:
    found = {}
    for field in _FIELDS:
        text = getattr(account, field).get_secret_value()
        if text.startswith(_SCHEME):
            try:
                found[field] = SecretStr(_look_up(text, plugins, read))
            except SettingsError as error:
                findings += (f"{where}.{field}: {finding}" for finding in error.findings)
            except FeedgateError as error:
                findings.append(f"{where}.{field}: {error}")
    return account.model_copy(update=found) if found else account


def _look_up(reference: str, plugins: Plugins, read: dict[tuple[str, str], Mapping[str, str]]) -> str:
    store, _, rest = reference.removeprefix(_SCHEME).partition(":")
    path, _, key = rest.rpartition("#")
    if not (store and path and key):
        raise SettingsError(["a reference is written secret:STORE:PATH#KEY, for example secret:file:/etc/fg.toml#ctp"])
    if (store, path) not in read:
        read[store, path] = plugins.secret_store(store).build({}).read(path)
    values = read[store, path]
    if key not in values:
        raise SettingsError([f"{path} has no {key}; it has: {', '.join(sorted(values)) or 'nothing'}"])
    return values[key]
