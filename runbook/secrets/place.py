"""Where a secret is in Vault: ``secret/ctp/live``, or one version of it, ``secret/ctp/live?version=3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from runbook.secrets.errors import VaultError

_VERSION: Final = re.compile(r"version=([1-9]\d{0,8})")
_SEGMENT: Final = re.compile(r"[^\s/?#%\\\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a KV version 2 engine."""

    mount: str
    path: str
    """Below the mount."""
    version: int = 0
    """0: the current one."""

    def __str__(self) -> str:
        return f"{self.mount}/{self.path}" + (f"?version={self.version}" if self.version else "")

    def reference(self, key: str) -> str:
        """What a setting says in place of the secret: ``secret:vault:secret/ctp/live#CTP_PRIMARY_PASSWORD``."""
        return f"secret:vault:{self}#{key}"


def place_of(text: str, mount: str) -> Place:
    """Read ``MOUNT/PATH``, with or without ``?version=N``. Raises VaultError.

    ``mount`` is the one of the settings, which may have several parts; under any other the first part is the mount.
    """
    whole, mark, query = text.partition("?")
    version = _VERSION.fullmatch(query)
    if mark and not version:
        raise VaultError("settings", f"{text}: after ? only version=N is understood, for example {whole}?version=3")
    mount = mount.strip("/")
    head, path = (
        (mount, whole.removeprefix(f"{mount}/")) if whole.startswith(f"{mount}/") else whole.partition("/")[::2]
    )
    for segment in (*head.split("/"), *path.split("/")):
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise VaultError("settings", f"{text!r} is not a path in Vault; write MOUNT/PATH, such as secret/ctp/live")
    return Place(head, path, int(version[1]) if version else 0)
