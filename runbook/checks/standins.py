"""Lines whose counter is a stand-in (``native_module = "standin"``): for demonstrations and tests, no market."""

from __future__ import annotations

from gateway.settings import FeedSettings
from gateway.thost.standin import STANDIN


def is_standin(feed: FeedSettings, account: str) -> bool:
    """Whether this line would log in at a stand-in."""
    return feed.options_of(account).get("native_module") == STANDIN
