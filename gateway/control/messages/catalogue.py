"""The list of contracts, taken anew while the gateway runs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.control.messages.fields import Operator, Words

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``reload_catalogue``: ask the catalogue again. Answered when that is over: a counter takes seconds to minutes."""

    reason: Words
    feed: str | None = None
    """None: every feed."""
    min_share: Share = 0.5
    """A list with less than this share of the one before is not believed."""
    accept_smaller: bool = False
    """Believe it this time."""
    operator: Operator = ""


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one feed's list. Names may be cut (``truncated``); the counts are always whole."""

    feed: str
    ok: bool
    """False: the list before is kept, and nothing was subscribed or unsubscribed."""
    error: str = ""
    """Why it is kept."""
    total: int = 0
    """Contracts of the list that is good from now on."""
    added: int = 0
    """Listed now and not before."""
    expired: int = 0
    """Past their last day. They are no longer in the list, and not wanted any more."""
    removed: int = 0
    """Not listed any more before their last day, or without one on record. They stay, wanted as they were."""
    subscribed: int = 0
    """Of the added ones, those that the settings want: they were given to the lines, not yet confirmed."""
    unsubscribed: int = 0
    """Expired ones that were wanted."""
    added_names: list[str] = []
    expired_names: list[str] = []
    removed_names: list[str] = []
    truncated: bool = False


class ReloadReply(msgspec.Struct, frozen=True, kw_only=True):
    """One row a feed, in the order of the settings."""

    feeds: list[Reloaded]
