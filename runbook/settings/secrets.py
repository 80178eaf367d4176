"""Which texts inside settings are secret; the gateway's settings and the runbook's are searched alike."""

from gateway.settings.secret_texts import secrets_of

__all__ = ["secrets_of"]
