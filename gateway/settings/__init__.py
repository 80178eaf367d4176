"""Settings: the values, and the only reader of the environment in the project."""

from gateway.settings.load import load_settings
from gateway.settings.log import LogSettings
from gateway.settings.oversight import CalendarSettings, FailoverSettings, LedgerSettings, WatchSettings
from gateway.settings.values import (
    AccountSettings,
    BusSettings,
    CatalogueSettings,
    FeedSettings,
    LineSettings,
    MetricsSettings,
    PublishSettings,
    Settings,
    SubscriptionSettings,
)

__all__ = [
    "AccountSettings",
    "BusSettings",
    "CalendarSettings",
    "CatalogueSettings",
    "FailoverSettings",
    "FeedSettings",
    "LedgerSettings",
    "LineSettings",
    "LogSettings",
    "MetricsSettings",
    "PublishSettings",
    "Settings",
    "SubscriptionSettings",
    "WatchSettings",
    "load_settings",
]
