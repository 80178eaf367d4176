"""Reads the runbook's settings from where operators keep them: the same places, order and findings as the gateway's."""

from __future__ import annotations

import io
import logging
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream
from pydantic import ValidationError

from gateway.errors import SettingsError
from gateway.settings import explain
from gateway.settings.names import Loc, bare, is_section
from gateway.settings.process import process_environment
from gateway.settings.section import Section
from gateway.settings.sources import Given, nested, read_text, stack
from runbook.settings import names
from runbook.settings.values import RunbookSettings

logger = logging.getLogger(__name__)

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_DEEPEST: Final = 8
DOCUMENT: Final = "docs/runbook-settings.md"


@dataclass(slots=True)
class _Layer:
    """What one source gave, and what was wrong with it."""

    given: dict[Loc, Given] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


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
    # stack() asks for layers of the gateway's class; it reads nothing but ``given``
    given = stack(layers)  # type: ignore[arg-type]  # same shape
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


def _environment(environ: Mapping[str, str]) -> _Layer:
    layer = _Layer()
    for name in sorted(environ):
        _variable(layer, name, environ[name], "environment")
    return layer


def _env_file(path: Path) -> _Layer:
    """A ``.env`` file: ``NAME=value``, quotes and comments as usual, ``$`` is an ordinary character."""
    layer = _Layer()
    text = _read(path, layer)
    found: dict[str, tuple[str, str]] = {}
    for binding in parse_stream(io.StringIO(text or "")):
        original = binding.original.string
        blank_lines = original[: len(original) - len(original.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            layer.findings.append(f"{where}: not NAME=value; write one variable a line, or begin it with #")
        elif binding.key is not None and binding.value is not None:
            found[binding.key] = (binding.value, where)
    for name, (value, where) in found.items():
        _variable(layer, name, value, where)
    _warn_if_open(path, layer)
    return layer


def _variable(layer: _Layer, name: str, text: str, where: str) -> None:
    """Take a variable if it is the runbook's. Empty ones count as unset."""
    known = names.resolve(name)
    if known is None:
        shown = name.encode("ascii", "backslashreplace").decode()
        if names.is_ours(name):
            guess = names.meant(name)
            hint = f"did you mean {guess}?" if guess else f"remove it, or see {DOCUMENT} for the names"
            layer.findings.append(f"{shown} ({where}): no such setting; {hint}")
        elif guess := names.slip(name):
            logger.warning("%s (%s) is not a setting of the runbook; did you mean %s?", shown, where, guess)
        return
    if not text.strip():
        return
    loc, annotation = known
    if is_section(annotation):
        layer.findings.append(f"{name} ({where}): is a group of settings, not one; set its members, as {_EXAMPLE} does")
        return
    try:
        value = read_text(annotation, text)
    except ValueError as wrong:
        layer.findings.append(f"{name} ({where}): {wrong}")
        return
    other = layer.given.get(loc)
    if other is not None and other.value != value:
        layer.findings.append(f"{name} ({where}): contradicts {other.name}, its other name; keep one of the two")
        return
    layer.given[loc] = Given(name, where, is_variable=True, value=value)


_EXAMPLE: Final = "RUNBOOK_HEALTH__LAG_WARNING_S"


def _toml_file(path: Path) -> _Layer:
    """The table ``[runbook]`` of a TOML file; the rest belongs to the gateway."""
    layer = _Layer()
    text = _read(path, layer)
    if text is None:
        return layer
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        layer.findings.append(f"{path}: not TOML: {wrong}; correct that line")
        return layer
    except (ValueError, RecursionError):  # an impossible date, an absurd number, absurd nesting
        layer.findings.append(f"{path}: not TOML: a value that cannot be read; correct it")
        return layer
    table = content.get(names.TABLE, {})
    if not isinstance(table, dict):
        layer.findings.append(f"{names.TABLE} ({path}): must be a table; write it as [{names.TABLE}] with its own keys")
        return layer
    for loc, value in _leaves(table, ()):
        key = ".".join((names.TABLE, *loc)).encode("ascii", "backslashreplace").decode()
        annotation = names.annotation_of(loc)
        if annotation is None:
            layer.findings.append(f"{key} ({path}): no such key; {names.meant_key(loc)}")
        elif is_section(annotation) and value != {}:
            layer.findings.append(f"{key} ({path}): must be a table; write it as [{key}] with its own keys")
        elif not is_section(annotation):
            layer.given[loc] = Given(key, str(path), is_variable=False, value=value)
    _warn_if_open(path, layer)
    return layer


def _leaves(table: Mapping[str, Any], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value and len(loc) <= _DEEPEST:
            yield from _leaves(value, (*loc, key))
        else:
            yield (*loc, key), value


def _read(path: Path, layer: _Layer) -> str | None:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        said = (isinstance(wrong, OSError) and wrong.strerror) or "not a usable path"
        layer.findings.append(f"{path}: cannot be read ({said}); give the path of a readable file")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        layer.findings.append(f"{path} line {line}: not UTF-8; save the file as UTF-8")
        return None


def _warn_if_open(path: Path, layer: _Layer) -> None:
    if not names.secret_locs() & layer.given.keys():
        return
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & _OTHERS:
        logger.warning("%s holds secrets and other users can read it; run: chmod 600 %s", path, path)
