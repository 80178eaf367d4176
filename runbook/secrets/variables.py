"""What Vault has under the operators' path, as variables of a ``.env`` file that the settings read back exactly."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dotenv.parser import parse_stream

from gateway.settings import names as gateway_names
from runbook.secrets.errors import VaultError
from runbook.secrets.hidden import HiddenValues
from runbook.settings import names as runbook_names

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_NEVER: Final = ("VAULT_",)
"""The way into Vault does not come out of Vault."""


@dataclass(frozen=True, slots=True)
class Variables:
    """What goes into the file, and what does not."""

    values: HiddenValues
    foreign: tuple[str, ...]
    """Names that no setting has; they may belong to other programs and are left out."""
    empty: tuple[str, ...]
    """Left out too: an empty variable counts as unset."""


def variables_of(values: HiddenValues, where: str) -> Variables:
    """Sort out what Vault has. Raises VaultError for misspelt names, and values that do not fit a line."""
    # values in the clear are in frames that no traceback shows, here and below
    findings = [finding for name in sorted(values) if (finding := _finding(name, values))]
    if findings:
        raise VaultError("content", f"{where} in Vault: {'; '.join(findings)}")
    foreign = tuple(_shown(name) for name in sorted(values) if not _is_setting(name))
    empty = tuple(name for name in sorted(values) if _is_setting(name) and not values[name].strip())
    taken = HiddenValues({name: values[name] for name in values if _is_setting(name) and name not in empty})
    if not taken:
        there = ", ".join((*foreign, *empty)) or "nothing"
        raise VaultError("key", f"{where} in Vault has no setting with a value; it has: {there}")
    return Variables(taken, foreign, empty)


def check_lines(values: HiddenValues) -> None:
    """Raises VaultError if the lines would not be read back as the values are."""
    if _parsed(lines_of(values)) != dict(values):
        raise VaultError("content", "the variables do not fit together into one .env file; look for odd backslashes")


def lines_of(values: HiddenValues) -> str:
    """``NAME='value'`` lines in alphabetical order."""
    return "".join(f"{line}\n" for name in sorted(values) if (line := _line(name, values[name])) is not None)


def _finding(name: str, values: Mapping[str, str]) -> str:
    """What is wrong with one of them; nothing when it is fine, or nobody's."""
    value = values[name]
    if not _is_setting(name):
        guess = _slip(name)
        return f"{_shown(name)} is no setting; did you mean {guess}?" if guess else ""
    if not value.isprintable():
        return f"{name} has a line end or control character; write it to Vault on one line"
    if value.strip() and _line(name, value) is None:
        return f"{name} cannot be written to a .env file (a backslash at its end?); change the secret"
    return ""


def _shown(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()


def _line(name: str, value: str) -> str | None:
    """The first way of quoting that the parser of the settings undoes, whatever line comes next."""
    escaped = value.replace("\\", "\\\\")
    ways = (f"'{value}'", "'" + escaped.replace("'", "\\'") + "'", '"' + escaped.replace('"', '\\"') + '"', value)
    for way in ways:
        line = f"{name}={way}"
        if _parsed(f"{line}\nNEXT='\"x\\\\'\n") == {name: value, "NEXT": '"x\\'}:
            return line
    return None


def _parsed(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            return {}
        if binding.key is not None:
            found[binding.key] = binding.value
    return found


def _is_setting(name: str) -> bool:
    if name.startswith(_NEVER) or not _NAME.fullmatch(name):
        return False
    return (gateway_names.resolve(name) or runbook_names.resolve(name)) is not None


def _slip(name: str) -> str | None:
    if name.startswith(_NEVER):
        return None
    ours = name.startswith((gateway_names.PREFIX, *gateway_names.OWN_FAMILIES))
    guess = gateway_names.meant(name) if ours else gateway_names.slip(name)
    if guess is None and runbook_names.is_ours(name):
        guess = runbook_names.meant(name)
    upper = name.upper()
    return guess or (upper if upper != name and _is_setting(upper) else None)
