"""There are feeds, and a backup where one is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.errors import FeedgateError
from gateway.settings import FeedSettings, names
from runbook.checks.inspection import Inspection
from runbook.checks.live_profile import synthetic
from runbook.checks.model import Check, Finding

_BACKUP: Final = "backup"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Feeds and the accounts that they have, by name; what is in the accounts is another check's."""
    return tuple(_findings(inspection))


def _findings(inspection: Inspection) -> Iterator[Finding]:
    settings = inspection.settings
    if not settings.feeds:
        yield inspection.lacking(
            "no feed is configured", "fill in CTP_PRIMARY_* (.env.example lists them), or [feeds.NAME] in the TOML file"
        )
        return
    if inspection.live:
        yield from synthetic(settings)
    for name, feed in settings.feeds.items():
        kind = settings.kind_of(name)
        if settings.active not in feed.accounts:
            yield Finding.warning(
                f"ACTIVE_FEED is {settings.active}, and feed {name} has no such account",
                f"set ACTIVE_FEED to one of: {', '.join(feed.accounts)}",
            )
        yield from _backup(inspection, name, kind, feed)


def _backup(inspection: Inspection, name: str, kind: str, feed: FeedSettings) -> Iterator[Finding]:
    accounts = ", ".join(feed.accounts)
    if len(feed.accounts) > 1 and (_BACKUP in feed.accounts or not inspection.require_backup):
        yield Finding.ok(f"feed {name} ({kind}) has the accounts {accounts}")
        yield from _independence(inspection, name, kind, feed)
        return
    fix = f"set {_variable(name, _BACKUP, 'user_id')} and the others beside it (.env.example lists them)"
    what = f"feed {name} ({kind}) has no account {_BACKUP} (it has: {accounts}), so there is nothing to fail over to"
    if inspection.require_backup:
        yield Finding.error(what, fix)
    elif inspection.live:
        yield Finding.warning(what, fix)
    else:
        yield Finding.info(what)


def _independence(inspection: Inspection, name: str, kind: str, feed: FeedSettings) -> Iterator[Finding]:
    """Two lines that share something fall together."""
    try:
        if not inspection.plugins.feed_kind(kind).needs_account:
            return
    except FeedgateError:
        return  # the check of accounts says so
    fronts: dict[str, str] = {}
    logins: dict[tuple[str, str], str] = {}
    for account, settings in feed.accounts.items():
        other = fronts.setdefault(settings.md_address, account)
        if settings.md_address and other != account:
            yield Finding.warning(
                f"the accounts {other} and {account} of feed {name} use the same front, and fail together",
                f"give {account} another front: {_variable(name, account, 'md_address')}",
            )
        login = logins.setdefault((settings.broker_id, settings.user_id), account)
        if settings.user_id and login != account:
            yield Finding.warning(
                f"the accounts {login} and {account} of feed {name} are the same login, which a counter may log out",
                f"use a login of its own: {_variable(name, account, 'user_id')}",
            )


def _variable(feed: str, account: str, field: str) -> str:
    return names.variable_of(("feeds", feed, "accounts", account, field))


CHECK = Check(name="feeds", title="Feeds and backup accounts", run=check, needs_accounts=True)
