"""The kit's own fake passes the suite that it is for."""

from __future__ import annotations

from gateway.testing.feed_contract import FeedContract
from gateway.testing.scripted import ScriptedFeed


class TestScripted(FeedContract):
    counter = ScriptedFeed


class TestScriptedWithRecords(FeedContract):
    @staticmethod
    def counter() -> ScriptedFeed:
        return ScriptedFeed(raw=True)
