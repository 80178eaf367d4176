"""Settings: the values, and the only reader of the environment in the project."""

from gateway.settings.load import load_settings
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
    "CatalogueSettings",
    "FeedSettings",
    "LineSettings",
    "MetricsSettings",
    "PublishSettings",
    "Settings",
    "SubscriptionSettings",
    "load_settings",
]
