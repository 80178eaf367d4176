"""The demo of two feeds: the plugins CTP and SOPT, each with two accounts at a stand-in for its counter."""

from __future__ import annotations

from typing import Final

from gateway.settings import AccountSettings, BusSettings, FeedSettings, MetricsSettings, Settings

STANDINS: Final = "Feedgate demo: CTP and SOPT, whose counters are stand-ins (no broker, no real price)"

_FRONT: Final = "tcp://standin:1"


def standin_settings() -> Settings:
    """Two feeds, four lines in processes of their own, on a bundled server and free ports.

    The gateway refuses it with the reason where a plugin is not installed.
    """
    account = AccountSettings(
        broker_id="9999",
        user_id="160219",
        password="standin",  # noqa: S106 - any will do there
        md_address=_FRONT,
        td_address=_FRONT,
    )
    backup = account.model_copy(update={"user_id": "160220"})
    feed = FeedSettings(
        accounts={"primary": account, "backup": backup},
        instruments=["*"],
        sessions="always",  # the stand-ins trade around the clock
        options={"native_module": "standin"},
    )
    return Settings(feeds={"ctp": feed, "sopt": feed}, bus=BusSettings(urls=[]), metrics=MetricsSettings(port=0))
