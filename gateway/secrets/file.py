"""Secrets in a file of one's own: ``secret:file:/etc/feedgate/secrets.toml#ctp_password``."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import SettingsError
from gateway.hookspecs import SecretStoreKind, hookimpl


class FileStore:
    """A TOML file of ``key = "value"`` that only its owner may read. Blocking; read anew at every call."""

    def read(self, path: str) -> Mapping[str, str]:
        """All keys. Raises SettingsError, without any value in it, also for a file that others may read."""
        try:
            # the open file is judged, not the name: nobody can swap it in between
            with Path(path).open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise SettingsError([f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}"])
                values = tomllib.load(file)
        except OSError as error:
            raise SettingsError([f"{path} cannot be read: {error.strerror}"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # the parser's words may quote the line, and the line may be a secret
            raise SettingsError([f'{path} is not TOML; write lines such as ctp_password = "..."']) from None
        except ValueError:  # a NUL
            raise SettingsError([f"{path!r} cannot be the name of a file"]) from None
        wrong = [key for key, value in values.items() if not isinstance(value, str)]
        if wrong:
            raise SettingsError([f"{path}: {', '.join(wrong)} must be text in quotes"])
        return values


def _build(_options: Mapping[str, Any]) -> FileStore:
    return FileStore()


@hookimpl
def gateway_secret_stores() -> Sequence[SecretStoreKind]:
    """The store ``file``."""
    return (SecretStoreKind(name="file", build=_build),)
