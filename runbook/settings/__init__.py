"""The runbook's settings: the values, and the way they are read. The gateway's own are in ``gateway.settings``."""

from runbook.settings.jobs import JobSettings
from runbook.settings.load import load_runbook_settings
from runbook.settings.secrets import secrets_of
from runbook.settings.tokens import ApiToken
from runbook.settings.values import (
    ApiSettings,
    DrillSettings,
    EscalationSettings,
    HealthSettings,
    MetricsSettings,
    NotifySettings,
    RetentionSettings,
    RunbookSettings,
    StartSettings,
    VaultSettings,
)

__all__ = [
    "ApiSettings",
    "ApiToken",
    "DrillSettings",
    "EscalationSettings",
    "HealthSettings",
    "JobSettings",
    "MetricsSettings",
    "NotifySettings",
    "RetentionSettings",
    "RunbookSettings",
    "StartSettings",
    "VaultSettings",
    "load_runbook_settings",
    "secrets_of",
]
