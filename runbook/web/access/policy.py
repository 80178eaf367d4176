"""Everything that decides who may come in, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.errors import SettingsError
from runbook.model import Role
from runbook.settings import ApiSettings
from runbook.web.access.keeper import Holder, TokenKeeper
from runbook.web.access.places import LOOPBACK_NAMES, is_elsewhere, is_loopback
from runbook.web.access.sessions import Session, Sessions
from runbook.web.access.throttle import PerMinute, Tries
from runbook.web.console import Principal

LOCAL: Final = Principal(name="local", role=Role.OPERATOR, via="open")
"""Whoever is at a console without tokens."""
_REFUSAL: Final = (
    "runbook.api.host {host}: other machines reach this address, and nobody needs a token; set OPS_API_TOKENS "
    "(role:name:token), or listen on 127.0.0.1. If everybody who reaches the address really is to operate the gateway, "
    "say so: RUNBOOK_API__ALLOW_PUBLIC=true"
)


class Access:
    """The rules of one console. One for each application, on its event loop."""

    def __init__(self, api: ApiSettings, directory: Path, clock: Clock, *, listens_on: str | None = None) -> None:
        """``directory`` keeps the sessions' key. ``listens_on``: the address, None when somebody else's server listens.

        Raises SettingsError for a public address without tokens, unless the settings allow it in words.
        """
        self.keeper = TokenKeeper(api.access())
        self.tries = Tries(api.logins_per_minute, clock)
        self.actions = PerMinute(api.actions_per_minute, clock)
        self.sessions = Sessions(directory, self.keeper, clock, lifetime_s=api.session_s)
        self.secure_cookies: Final = api.secure_cookies
        self.session_s: Final = api.session_s
        self._public = api.allow_public
        self.origins: Final = frozenset(api.cors_origins)
        self.hosts: Final = self._hosts(api, listens_on)
        """Names that requests may ask for; None: any."""
        if listens_on is not None and not is_loopback(listens_on) and not self.keeper and not api.allow_public:
            raise SettingsError([_REFUSAL.format(host=listens_on)])

    def _hosts(self, api: ApiSettings, listens_on: str | None) -> frozenset[str] | None:
        local = listens_on is None or is_loopback(listens_on)
        if not api.hosts and (not local or (listens_on is None and self.keeper)):
            return None
        own = (listens_on,) if listens_on else ()
        return LOOPBACK_NAMES | {name.lower() for name in (*api.hosts, *own)}

    @property
    def is_open(self) -> bool:
        """Nobody has to log in."""
        return not self.keeper

    def in_words(self) -> str:
        """Who may do what, for the one who starts the console."""
        if self.is_open:
            where = "whoever reaches it" if self._public else "everybody on this machine"
            return f"no token is set: {where} may operate"
        count = len(self.keeper)
        return f"{count} token{'s' if count > 1 else ''}: log in, or send Authorization: Bearer"

    def unasked(self, address: str) -> Principal | None:
        """Who somebody is that shows nothing."""
        if not self.is_open or (is_elsewhere(address) and not self._public):
            return None
        return LOCAL

    def by_token(self, token: str, address: str) -> tuple[Principal | None, float]:
        """Who has the token, or None and the seconds to wait before the next try (0: it is simply wrong)."""
        holder, wait = self.holder(token, address)
        return (None, wait) if holder is None else (_principal(holder, "token"), 0.0)

    def holder(self, token: str, address: str) -> tuple[Holder | None, float]:
        """As :meth:`by_token`, for a login."""
        if wait := self.tries.wait_s(address):
            return None, wait
        holder = self.keeper.find(token)
        if holder is None:
            self.tries.failed(address)
            return None, 0.0
        self.tries.succeeded(address)
        return holder, 0.0

    @staticmethod
    def of_session(session: Session) -> Principal:
        """Who a login is."""
        return _principal(session.holder, "session")


def _principal(holder: Holder, via: str) -> Principal:
    return Principal(name=holder.name, role=holder.role, via="session" if via == "session" else "token")
