"""What can be wrong with Vault or the runtime file. No text of these errors holds a secret."""

from __future__ import annotations

from typing import Literal

from gateway.errors import SettingsError

Reason = Literal[
    "settings",
    "unreachable",
    "timeout",
    "tls",
    "redirect",
    "uninitialised",
    "sealed",
    "namespace",
    "login",
    "token",
    "denied",
    "kv1",
    "mount",
    "path",
    "version",
    "deleted",
    "key",
    "content",
    "answer",
]
"""Stable words for programs; the message is for people."""


class VaultError(SettingsError):
    """Vault did not give what was asked for. The one finding names the thing and the next step."""

    code = "vault"

    def __init__(self, reason: Reason, finding: str) -> None:
        super().__init__([finding])
        self.reason = reason


class RuntimeFileError(SettingsError):
    """The runtime file cannot be written or removed safely."""

    code = "runtime_file"

    def __init__(self, finding: str) -> None:
        super().__init__([finding])
