"""The runbook put together: settings in, something that runs actions out."""

from runbook.app.loading import ACTIVE, Files, Loaded, load
from runbook.app.runbook import Runbook

__all__ = ["ACTIVE", "Files", "Loaded", "Runbook", "load"]
