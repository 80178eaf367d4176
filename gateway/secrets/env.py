"""Secrets in variables of one's own: ``secret:env:BROKER#PASSWORD`` is the variable ``BROKER_PASSWORD``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.errors import SettingsError
from gateway.hookspecs import SecretStoreKind, hookimpl
from gateway.settings.process import process_environment

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Variables(dict[str, str]):
    """Its repr has the names only."""

    def __repr__(self) -> str:
        return f"_Variables({', '.join(sorted(self))})"


class EnvStore:
    """The variables of the process. The path is what the names begin with, up to an underscore."""

    def __init__(self, environment: Callable[[], Mapping[str, str]] = process_environment) -> None:
        self._environment = environment

    def read(self, path: str) -> Mapping[str, str]:
        """The filled variables that begin with ``path`` and ``_``, by the rest of their names.

        Raises SettingsError when there are none, and for a path that no variable can begin with. Empty ones count as
        unset.
        """
        if not _PREFIX.fullmatch(path):
            raise SettingsError(
                [f"{path!r} cannot begin a variable's name; write secret:env:BROKER#PASSWORD for BROKER_PASSWORD"]
            )
        start = path if path.endswith("_") else f"{path}_"
        found = _Variables(
            (name.removeprefix(start), value)
            for name, value in self._environment().items()
            if name.startswith(start) and name != start and value.strip()
        )
        if not found:
            raise SettingsError(
                [f"no variable {start}… is set in the environment of this process; set it, or correct the name"]
            )
        return found

    def __repr__(self) -> str:
        return "EnvStore()"


def _build(_options: Mapping[str, Any]) -> EnvStore:
    return EnvStore()


@hookimpl
def gateway_secret_stores() -> Sequence[SecretStoreKind]:
    """The store ``env``."""
    return (SecretStoreKind(name="env", build=_build),)
