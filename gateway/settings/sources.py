"""Where the gateway's settings come from: the environment, ``.env`` files, a TOML file. Each becomes a layer."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from gateway.settings import names
from gateway.settings.files import DEEPEST, leaves, toml_of, variables_of, warn_if_open
from gateway.settings.layers import Given, Layer

logger = logging.getLogger(__name__)

_EXAMPLE = "FEEDGATE_BUS__KIND"
_SECRETS = ("password", "auth_code", "token")
_OTHERS_TABLE = "runbook"
"""Gateway and runbook may share a file."""


def environment(environ: Mapping[str, str] | None) -> Layer:
    """The process's environment, or the mapping that stands in for it."""
    layer = Layer()
    found = os.environ if environ is None else environ
    # Account sets in the operators' order, primary first, because the order of accounts is their preference.
    for name in [*(name for name in names.OPERATORS if name in found), *sorted(set(found) - set(names.OPERATORS))]:
        _variable(layer, name, found[name], "environment")
    return layer


def env_file(path: Path) -> Layer:
    """A ``.env`` file: see :func:`~gateway.settings.files.variables_of`."""
    layer = Layer()
    found = variables_of(path, layer)
    for name in [*(name for name in names.OPERATORS if name in found), *(found.keys() - names.OPERATORS.keys())]:
        _variable(layer, name, *found[name])
    _warn_of_secrets(path, layer)
    return layer


def toml_file(path: Path) -> Layer:
    """A TOML file with the names of the model. Its table ``[runbook]`` belongs to the runbook and is passed over."""
    layer = Layer()
    content = toml_of(path, layer)
    content.pop(_OTHERS_TABLE, None)
    if any(len(loc) > DEEPEST for loc, _ in leaves(content)):
        layer.findings.append(f"{path}: tables are nested more than {DEEPEST} deep; flatten them")
    else:
        for loc, value in leaves(content):
            layer.given[loc] = Given(".".join(loc), str(path), is_variable=False, value=value)
    _warn_of_secrets(path, layer)
    return layer


def _variable(layer: Layer, name: str, text: str, where: str) -> None:
    """Take a variable if it is ours."""
    known = names.resolve(name)
    if known is None:
        _unknown(layer, name, where)
    elif text.strip() and names.is_section(known[1]):
        layer.findings.append(f"{name} ({where}): is a group of settings, not one; set its members, as {_EXAMPLE} does")
    else:
        layer.take(*known, name, text, where)


def _unknown(layer: Layer, name: str, where: str) -> None:
    shown = name.encode("ascii", "backslashreplace").decode()
    if name.startswith((names.PREFIX, *names.OWN_FAMILIES)) and name not in names.NOT_SETTINGS:
        guess = names.meant(name)
        hint = f"did you mean {guess}?" if guess else "remove it, or see docs/settings.md for the names"
        layer.findings.append(f"{shown} ({where}): no such setting; {hint}")
    elif guess := names.slip(name):
        if name.startswith("NATS_"):
            logger.warning("%s (%s) is not a setting of the gateway; did you mean %s?", shown, where, guess)
        else:
            layer.findings.append(f"{shown} ({where}): no such setting; did you mean {guess}?")


def _warn_of_secrets(path: Path, layer: Layer) -> None:
    if any(loc[-1] in _SECRETS and given.value for loc, given in layer.given.items()):
        warn_if_open(path)
