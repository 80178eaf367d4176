"""Secrets from Vault: the store ``vault``, the runtime file, and what a rotation needs to know.

The library hvac is imported when a connection is made, not before.
"""

from runbook.secrets.errors import RuntimeFileError, VaultError
from runbook.secrets.hidden import HiddenValues, Secret
from runbook.secrets.place import Place, place_of
from runbook.secrets.pull import clear, operators_place, pull
from runbook.secrets.rotation import Difference, NewCredentials, compare, new_credentials
from runbook.secrets.runtime_file import origin_of
from runbook.secrets.session import VaultSession, Version
from runbook.secrets.vault import VaultPlugin, VaultStore

__all__ = [
    "Difference",
    "HiddenValues",
    "NewCredentials",
    "Place",
    "RuntimeFileError",
    "Secret",
    "VaultError",
    "VaultPlugin",
    "VaultSession",
    "VaultStore",
    "Version",
    "clear",
    "compare",
    "new_credentials",
    "operators_place",
    "origin_of",
    "place_of",
    "pull",
]
