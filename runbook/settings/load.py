"""Reads the runbook's settings from where operators keep them: the same places, order and findings as the gateway's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gateway.errors import SettingsError
from gateway.settings import explain
from gateway.settings.files import leaves, toml_of, variables_of, warn_if_open
from gateway.settings.layers import Given, Layer, nested, stack
from gateway.settings.names import Loc, bare, is_section
from gateway.settings.process import process_environment
from gateway.settings.section import Section
from runbook.settings import names
from runbook.settings.values import RunbookSettings

logger = logging.getLogger(__name__)

_EXAMPLE: Final = "RUNBOOK_HEALTH__LAG_WARNING_S"
DOCUMENT: Final = "docs/runbook-settings.md"


def load_runbook_settings(
    config: Path | None = None,
    env_files: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> RunbookSettings:
    """Settings from the environment, ``.env`` files (a later one wins), ``[runbook]`` of a TOML file, and defaults.

    ``environ`` stands in for the process's environment. The gateway's variables and tables in the same places are
    passed over. Blocks on reading the files. Raises SettingsError with a finding for everything that is wrong, each
    naming the variable or key as it was written and the fix; no finding, and nothing chained to it, holds a value.
    """
    layers = [_environment(process_environment() if environ is None else environ)]
    layers += [_env_file(path) for path in reversed(env_files)]
    if config is not None:
        layers.append(_toml_file(config))
    findings = [finding for layer in layers for finding in layer.findings]
    given = stack(layers)
    values, clashes = nested(given)
    findings += clashes
    settings: RunbookSettings | None = None
    try:
        settings = RunbookSettings.model_validate(values)
    except ValidationError as refused:
        findings += explain.refusals(refused, given)
    findings += _disagreements(RunbookSettings, values, (), given)
    if settings is None or findings:
        # Raised outside the except block: a chained ValidationError would carry the values.
        raise SettingsError(list(dict.fromkeys(findings)) or [f"settings: do not fit together; see {DOCUMENT}"])
    return settings


def _disagreements(model: Any, values: object, loc: Loc, given: Mapping[Loc, Given]) -> Iterator[str]:
    """Findings on values that do not fit each other, whether or not each is fine by itself."""
    kind = bare(model)
    if not isinstance(values, dict) or not issubclass(kind, Section):
        return
    for name, text in kind.problems(values):
        source = given.get((*loc, name))
        written = f"{source.name} ({source.where})" if source else names.variable_of((*loc, name))
        yield f"{written}: {text}"
    for name, inside in values.items():
        if (below := names.annotation_of((*loc, name))) is not None and is_section(below):
            yield from _disagreements(below, inside, (*loc, name), given)


def _environment(environ: Mapping[str, str]) -> Layer:
    layer = Layer()
    for name in sorted(environ):
        _variable(layer, name, environ[name], "environment")
    return layer


def _env_file(path: Path) -> Layer:
    """A ``.env`` file: see :func:`~gateway.settings.files.variables_of`."""
    layer = Layer()
    for name, (value, where) in variables_of(path, layer).items():
        _variable(layer, name, value, where)
    _warn_of_secrets(path, layer)
    return layer


def _variable(layer: Layer, name: str, text: str, where: str) -> None:
    """Take a variable if it is the runbook's."""
    known = names.resolve(name)
    if known is None:
        _unknown(layer, name, where)
    elif text.strip() and is_section(known[1]):
        layer.findings.append(f"{name} ({where}): is a group of settings, not one; set its members, as {_EXAMPLE} does")
    else:
        layer.take(*known, name, text, where)


def _unknown(layer: Layer, name: str, where: str) -> None:
    shown = name.encode("ascii", "backslashreplace").decode()
    if names.is_ours(name):
        guess = names.meant(name)
        hint = f"did you mean {guess}?" if guess else f"remove it, or see {DOCUMENT} for the names"
        layer.findings.append(f"{shown} ({where}): no such setting; {hint}")
    elif guess := names.slip(name):
        logger.warning("%s (%s) is not a setting of the runbook; did you mean %s?", shown, where, guess)


def _toml_file(path: Path) -> Layer:
    """The table ``[runbook]`` of a TOML file; the rest belongs to the gateway."""
    layer = Layer()
    table = toml_of(path, layer).get(names.TABLE, {})
    if not isinstance(table, dict):
        layer.findings.append(f"{names.TABLE} ({path}): must be a table; write it as [{names.TABLE}] with its own keys")
        return layer
    for loc, value in leaves(table):
        key = ".".join((names.TABLE, *loc)).encode("ascii", "backslashreplace").decode()
        annotation = names.annotation_of(loc)
        if annotation is None:
            layer.findings.append(f"{key} ({path}): no such key; {names.meant_key(loc)}")
        elif is_section(annotation) and value != {}:
            layer.findings.append(f"{key} ({path}): must be a table; write it as [{key}] with its own keys")
        elif not is_section(annotation):
            layer.given[loc] = Given(key, str(path), is_variable=False, value=value)
    _warn_of_secrets(path, layer)
    return layer


def _warn_of_secrets(path: Path, layer: Layer) -> None:
    if names.secret_locs() & layer.given.keys():
        warn_if_open(path)
