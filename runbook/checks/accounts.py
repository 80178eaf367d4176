"""What each account needs: its secrets can be read, and its plugin has nothing against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.errors import FeedgateError, SettingsError
from gateway.secrets.references import resolve
from gateway.settings import Settings
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

_FIX: Final = "correct it in the account's settings"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Reads every secret reference, then asks the plugin of each feed. Blocks on the secret stores."""
    settings = inspection.settings
    refused: list[Finding] = []
    resolved: Settings | None = None
    try:
        resolved = resolve(settings, inspection.plugins)
    except SettingsError as error:
        # what a store says is about names and paths; a reference is no secret
        refused = [_of(inspection, text) for text in error.findings]
    if resolved is None:
        return refused
    masker = Masker(secrets_of(resolved))
    return [
        Finding(finding.severity, masker.text(finding.what), masker.text(finding.fix))
        for finding in _by_plugin(inspection, resolved)
    ]


def _by_plugin(inspection: Inspection, settings: Settings) -> Iterator[Finding]:
    for name, feed in settings.feeds.items():
        try:
            kind = inspection.plugins.feed_kind(settings.kind_of(name))
        except FeedgateError as error:
            first, _, rest = str(error).partition("\n")
            fix = " ".join(rest.split()) or "install the plugin that brings it, then: gateway plugins"
            yield Finding.error(f"feed {name}: {first}", fix)
            continue
        for account, given in feed.accounts.items():
            where = f"{name}:{account}"
            try:
                said = list(kind.check(given.account(account), feed.options_of(account)))
            except Exception as error:  # noqa: BLE001 - a plugin's code; its text may quote a secret, so only the type
                said = [f"its plugin failed while it checked the account ({type(error).__name__}); report it there"]
            for text in said:
                yield _of(inspection, f"{where}: {text}")
            if not said:
                yield Finding.ok(f"{where} has all that its plugin asks for")


def _of(inspection: Inspection, text: str) -> Finding:
    """Plugins write ``what: fix`` or ``what; fix``."""
    what, mark, fix = text.rpartition("; ")
    if not mark:
        what, mark, fix = text.rpartition(": ")
        if what.count(": ") == 0:  # only the place stands before it
            what, fix = text, _FIX
    return Finding(inspection.serious, what, fix)


CHECK = Check(name="accounts", title="Accounts and their secrets", run=check, needs_accounts=True)
