"""Orders: what the gateway is told to do with its lines, and what became of it. A switch is answered by its event."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.control.messages.fields import Operator, Words


class FailoverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leave the preferred line. Answered by the Switch event when done or failed, which may take 20 s."""

    reason: Words
    feed: str | None = None
    """None: the only feed."""
    to: str | None = None
    """Name of a line, ``ctp:backup``. None: the one that the router would take next."""
    operator: Operator = ""


class FailbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Back to the first line of the feed's settings. Answered as :class:`FailoverRequest`."""

    reason: Words
    feed: str | None = None
    operator: Operator = ""


class RequireRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``failover_required``: the gateway is to leave the preferred line as soon as its rules allow."""

    reason: Words = ""
    """Must say something when ``value`` is above 0."""
    feed: str | None = None
    value: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Above 0 asks; 0 takes it back if it has not been done. The operators' contract, §4."""


class RestartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``restart_line``: end one line in an orderly way and start it anew."""

    line: str
    reason: Words
    operator: Operator = ""


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``rotate``: one line logs in anew with credentials that the gateway looks up. No secret travels in it."""

    line: str
    references: dict[str, str]
    """``password`` and ``auth_code``, one or both, each as ``secret:STORE:PATH#KEY``."""
    reason: Words
    operator: Operator = ""


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rotation."""

    line: str
    ok: bool
    """False: the new credentials were refused, and the line has the old ones again."""
    verified: bool = False
    """Whether the counter accepted them. A parked line takes them unverified, until it is woken."""
    error: str = ""
    """In the vendor's words."""
    back: bool = False
    """After a refusal: whether the line is logged in with the old ones."""
    took_ms: float = 0.0
    wanted: int = 0
    confirmed: int = 0


class Done(msgspec.Struct, frozen=True):
    """An order was taken over; nothing else is to be said."""
