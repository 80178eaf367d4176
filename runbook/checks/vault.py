"""Vault: reachable, unsealed, the token alive, the operators' path readable. Names only, never a value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.errors import SettingsError
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.secrets import VaultSession, operators_place
from runbook.secrets.variables import variables_of

_REFERENCE: Final = "secret:vault:"
_SHORT_S: Final = 3600.0


def check(inspection: Inspection) -> Sequence[Finding]:
    """Logs in, asks after the token, reads the path, and gives an AppRole's token back."""
    settings = inspection.runbook.vault
    if settings.addr is None:
        return (_unset(inspection),)
    found: list[Finding] = []
    try:
        place = operators_place(settings)
        with VaultSession(settings, inspection.clock) as session:
            found += _token(inspection, session.look())
            secret = session.read(place)
        variables = variables_of(secret.values, str(place))
    except SettingsError as error:
        return [*found, *(Finding.of_text(inspection.serious, text, "correct it in Vault") for text in error.findings)]
    names = ", ".join(sorted(variables.values))
    found.append(Finding.ok(f"{place} version {secret.version} in Vault at {settings.addr} has {names}"))
    if variables.foreign:
        found.append(Finding.info(f"{place} also has names that no setting has: {', '.join(variables.foreign)}"))
    if variables.empty:
        found.append(
            Finding.warning(
                f"{place} has no value for {', '.join(variables.empty)}",
                f"vault kv patch {place.mount}/{place.path} {variables.empty[0]}=…, or remove the key",
            )
        )
    return found


def _unset(inspection: Inspection) -> Finding:
    feeds = inspection.gateway_settings.feeds.values() if inspection.gateway_settings else ()
    for feed in feeds:
        for account in feed.accounts.values():
            if any(one.get_secret_value().startswith(_REFERENCE) for one in (account.password, account.auth_code)):
                return Finding.error(
                    "secrets are to come from Vault, and VAULT_ADDR is not set", "set VAULT_ADDR and VAULT_TOKEN"
                )
    what = "VAULT_ADDR is not set: secrets come from variables and files, and cannot be pulled or rotated"
    if inspection.live:
        return Finding.warning(what, "set VAULT_ADDR with VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID")
    return Finding.info(what)


def _token(inspection: Inspection, left_s: float) -> Iterator[Finding]:
    where = f"the token for Vault at {inspection.runbook.vault.addr}"
    if left_s == math.inf:
        yield Finding.ok(f"{where} is valid, without end")
    elif left_s < _SHORT_S and inspection.runbook.vault.secret_id is None:
        yield Finding(Severity.WARNING, f"{where} ends in {left_s:.0f} s", "vault token renew, or log in again")
    else:
        yield Finding.ok(f"{where} is valid for {left_s:.0f} s")


CHECK = Check(name="vault", title="Vault", run=check)
