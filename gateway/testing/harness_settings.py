"""The settings of a harness's gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import SecretStr

from gateway.model import Account
from gateway.settings import AccountSettings, BusSettings, FeedSettings, MetricsSettings, Settings
from gateway.testing.counter import Counter
from gateway.testing.scripted import ScriptedFeed

_PATIENT: Final[Mapping[str, Any]] = {
    # lines go down because the test says so, never because the machine is busy or the test says nothing for a while
    "lines": {"restart_initial_s": 0.05, "hung_after_s": 10.0, "kill_after_s": 30.0, "start_timeout_s": 60.0},
    "subscriptions": {"login_per_minute": 600},
    "watch": {"line_silent_s": 3600.0, "floor_s": 3600.0, "bound_s": 3600.0},
}


def harness_settings(
    counters: Sequence[Counter], *, nats: bool, host: Literal["inline", "child"], given: Mapping[str, Any]
) -> Settings:
    """For counters that have been started. ``given`` wins. Raises pydantic's ValidationError for what cannot be."""
    own: dict[str, Any] = {
        **_PATIENT,
        "feeds": {counter.kind.name: _feed(counter, host) for counter in counters},
        "bus": BusSettings(kind="nats" if nats else "memory"),
        "metrics": MetricsSettings(enabled=False),
    }
    return Settings(**_merged(own, given))


def _merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given wins, name by name where both are tables."""
    merged = dict(own)
    for name, value in given.items():
        mine = own.get(name)
        merged[name] = {**mine, **value} if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return merged


def kind_name(feed: str) -> str:
    """Another name than the kind's own, which an installed plugin may have taken."""
    return f"harness-{feed}"


def _feed(counter: Counter, host: Literal["inline", "child"]) -> FeedSettings:
    names = counter.accounts if isinstance(counter, ScriptedFeed) else ("primary",)
    return FeedSettings(
        kind=kind_name(counter.kind.name),
        host=host,
        instruments=[str(instrument) for instrument in counter.instruments],
        options=counter.options(),
        accounts={name: _account(counter.account(name)) for name in names},
        sessions="always",
    )


def _account(account: Account) -> AccountSettings:
    return AccountSettings(
        user_id=account.user_id,
        broker_id=account.broker_id,
        md_address=account.md_address,
        td_address=account.td_address,
        app_id=account.app_id,
        password=SecretStr(account.secrets.get("password", "")),
        auth_code=SecretStr(account.secrets.get("auth_code", "")),
    )
