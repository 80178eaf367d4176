"""Findings about an account and its options, before anything is started. No finding contains a secret."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.errors import FeedgateError
from gateway.model import Account
from gateway_ctp import locales, native
from gateway_ctp.front import parse_fronts

FEED_OPTIONS: Final = frozenset({"native_module", "flow_dir", "locale_dir", "exchanges"})

_LONGEST: Final = {"broker id": 10, "user id": 15, "password": 40}
"""The vendor's fields, without the terminating zero; longer texts raise inside the login callback."""


def check(account: Account, options: Mapping[str, Any]) -> Sequence[str]:
    """What keeps this account from working, each with its fix. Touches no network."""
    found: list[str] = []
    for attempt in (lambda: parse_fronts(account.md_address), lambda: native.module_name(options)):
        try:
            attempt()
        except FeedgateError as error:
            found.append(str(error))
    values = {
        "broker id": account.broker_id,
        "user id": account.user_id,
        "password": account.secrets.get("password", ""),
    }
    name = str(options.get("native_module", native.DEFAULT_MODULE))
    for what, value in values.items():
        if not value and (what != "broker id" or name == native.DEFAULT_MODULE):
            found.append(f"account {account.name} has no {what}: set it")
        if len(value.encode()) > _LONGEST[what]:
            found.append(f"the {what} of account {account.name} is longer than CTP's {_LONGEST[what]} bytes")
    if name in native.MODULES and importlib.util.find_spec(name) is None:
        found.append(f"{name} is not installed: pip install {native.MODULES[name]}")
    exchanges = options.get("exchanges", {})
    if not isinstance(exchanges, Mapping) or not all(isinstance(v, str) and v.isupper() for v in exchanges.values()):
        found.append('the option exchanges is a table of codes or product letters: { rb = "SHFE", IF = "CFFEX" }')
    found.extend(locales.findings(options))
    return found
