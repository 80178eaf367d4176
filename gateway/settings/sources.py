"""Where settings come from: the environment, ``.env`` files, a TOML file. Each becomes a layer of given values.

pydantic-settings puts the layers on top of each other. Its own environment and dotenv sources are not used: they
drop the name and line of what they read, stop at the first bad value, ignore unknown names, and expand ``$`` inside
passwords. A value travels inside :class:`Given`, whose repr does not show it, so that no log can.
"""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway.settings import names
from gateway.settings.names import Loc

logger = logging.getLogger(__name__)

_SECRETS = ("password", "auth_code", "token")
_DEEPEST = 16
_OTHERS_TABLE = "runbook"
"""Gateway and runbook may share a file."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody wrote, and where."""

    name: str
    """The variable or TOML key as written."""
    where: str
    """``environment``, ``.env.live line 3`` or ``feedgate.toml``."""
    is_variable: bool
    value: Any = field(repr=False)


@dataclass(slots=True)
class Layer:
    """What one source gave, and what was wrong with it."""

    given: dict[Loc, Given] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def variable(self, name: str, text: str, where: str) -> None:
        """Take a variable if it is ours. Empty ones count as unset."""
        known = names.resolve(name)
        if known is None:
            self._unknown(name, where)
            return
        if not text.strip():
            return
        loc, annotation = known
        try:
            value = read_text(annotation, text)
        except ValueError as wrong:
            self.findings.append(f"{name} ({where}): {wrong}")
            return
        other = self.given.get(loc)
        if other is not None and other.name != name and other.value != value:
            self.findings.append(f"{name} ({where}): contradicts {other.name}, its other name; keep one of the two")
            return
        self.given[loc] = Given(name, where, is_variable=True, value=value)

    def _unknown(self, name: str, where: str) -> None:
        shown = name.encode("ascii", "backslashreplace").decode()
        if name.startswith((names.PREFIX, *names.OWN_FAMILIES)) and name not in names.NOT_SETTINGS:
            guess = names.meant(name)
            hint = f"did you mean {guess}?" if guess else "remove it, or see docs/settings.md for the names"
            self.findings.append(f"{shown} ({where}): no such setting; {hint}")
        elif guess := names.slip(name):
            if name.startswith("NATS_"):
                logger.warning("%s (%s) is not a setting of the gateway; did you mean %s?", shown, where, guess)
            else:
                self.findings.append(f"{shown} ({where}): no such setting; did you mean {guess}?")


def read_text(annotation: object, text: str) -> object:
    """A variable's text as what its setting wants; numbers and words are left to the model.

    Lists are comma separated or a JSON array, tables of options a JSON object, single options a JSON scalar or else
    text. Raises ValueError, without the text.
    """
    kind = names.bare(annotation)
    if names.is_section(kind):
        raise ValueError("is a group of settings, not one; set its members, as FEEDGATE_BUS__KIND does")
    if kind is Any:
        value = _json(text)
        return text.strip() if value is None else value
    if get_origin(kind) is dict:
        if isinstance(value := _json(text), dict):
            return value
        raise ValueError('must be a JSON object; write for example {"rate": 1000}')
    if get_origin(kind) is list:
        if text.lstrip().startswith("[") and isinstance(value := _json(text), list):
            return value
        return [item.strip() for item in text.split(",") if item.strip()]
    return text if isinstance(kind, type) and kind.__name__ == "SecretStr" else text.strip()


def _json(text: str) -> object:
    """The JSON value, or None when it is none that can be written out again."""

    def refuse(_word: str) -> None:
        raise ValueError

    try:
        value: object = json.loads(text, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # lone surrogates are UnicodeEncodeError, a ValueError
        return None
    return value


def environment(environ: Mapping[str, str] | None) -> Layer:
    """The process's environment, or the mapping that stands in for it."""
    layer = Layer()
    found = os.environ if environ is None else environ
    # Account sets in the operators' order, primary first, because the order of accounts is their preference.
    for name in [*(name for name in names.OPERATORS if name in found), *sorted(set(found) - set(names.OPERATORS))]:
        layer.variable(name, found[name], "environment")
    return layer


def env_file(path: Path) -> Layer:
    """A ``.env`` file: ``NAME=value``, quotes and comments as usual, ``$`` is an ordinary character."""
    layer = Layer()
    text = _read(path, layer)
    if text is None:
        return layer
    found: dict[str, tuple[str, str]] = {}
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        blank_lines = original[: len(original) - len(original.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            layer.findings.append(f"{where}: not NAME=value; write one variable a line, or begin it with #")
        elif binding.key is not None and binding.value is not None:
            found[binding.key] = (binding.value, where)
    for name in [*(name for name in names.OPERATORS if name in found), *(found.keys() - names.OPERATORS.keys())]:
        layer.variable(name, *found[name])
    _warn_if_open(path, layer)
    return layer


def toml_file(path: Path) -> Layer:
    """A TOML file with the names of the model. Its table ``[runbook]`` belongs to the runbook and is passed over."""
    layer = Layer()
    text = _read(path, layer)
    if text is None:
        return layer
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError) as wrong:
        # ValueError: an impossible date, or an integer with thousands of digits; its text may show the value.
        said = str(wrong) if isinstance(wrong, tomllib.TOMLDecodeError) else "a value that cannot be read"
        layer.findings.append(f"{path}: not TOML: {said}; correct that line")
    except RecursionError:
        layer.findings.append(f"{path}: not TOML: nested too deeply; flatten it")
    else:
        content.pop(_OTHERS_TABLE, None)
        if any(len(loc) > _DEEPEST for loc, _ in _leaves(content, ())):
            layer.findings.append(f"{path}: tables are nested more than {_DEEPEST} deep; flatten them")
        else:
            for loc, value in _leaves(content, ()):
                layer.given[loc] = Given(".".join(loc), str(path), is_variable=False, value=value)
    _warn_if_open(path, layer)
    return layer


def _leaves(table: Mapping[str, Any], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value and len(loc) <= _DEEPEST:
            yield from _leaves(value, (*loc, key))
        else:
            yield (*loc, key), value


def _read(path: Path, layer: Layer) -> str | None:
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


def _warn_if_open(path: Path, layer: Layer) -> None:
    if not any(loc[-1] in _SECRETS and given.value for loc, given in layer.given.items()):
        return
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & _OTHERS:
        logger.warning("%s holds secrets and other users can read it; run: chmod 600 %s", path, path)


class _LayerSource(PydanticBaseSettingsSource):
    """One layer, as pydantic-settings wants to see it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self._layer.given, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {"given": self._layer.given}


def stack(layers: Sequence[Layer]) -> dict[Loc, Given]:
    """All layers as one; the first that gives a value wins."""

    class Stack(BaseSettings):
        given: dict[Any, Any] = {}

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del init_settings, env_settings, dotenv_settings, file_secret_settings
            return tuple(_LayerSource(settings_cls, layer) for layer in layers)

    return Stack().given


def nested(given: Mapping[Loc, Given]) -> tuple[dict[str, Any], list[str]]:
    """The values as the model takes them, and a finding for each name that is both a value and a table."""
    values: dict[str, Any] = {}
    findings: list[str] = []
    for loc in sorted(given, key=len):
        here: Any = values
        for depth, part in enumerate(loc[:-1], 1):
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                one, other = given[loc], given[loc[:depth]]
                findings.append(
                    f"{one.name} ({one.where}): cannot be set beside {other.name} ({other.where}), "
                    "which is not a table; remove one of them"
                )
                break
        else:
            value = given[loc].value
            if not (value == {} and isinstance(here.get(loc[-1]), dict)):
                here[loc[-1]] = dict(value) if isinstance(value, dict) else value
    return values, findings
