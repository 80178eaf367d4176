"""Layers of given values: what somebody wrote, in one place each, and the way they lie on top of each other.

pydantic-settings puts the layers on top of each other. Its own environment and dotenv sources are not used: they
drop the name and line of what they read, stop at the first bad value, ignore unknown names, and expand ``$`` inside
passwords. A value travels inside :class:`Given`, whose repr does not show it, so that no log can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway.settings.names import Loc, bare


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

    def take(self, loc: Loc, annotation: object, name: str, text: str, where: str) -> None:
        """The text of a variable, for the setting at ``loc``. An empty one counts as unset."""
        if not text.strip():
            return
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


def read_text(annotation: object, text: str) -> object:
    """A variable's text as what its setting wants; numbers and words are left to the model.

    Lists are comma separated or a JSON array, tables of options a JSON object, single options a JSON scalar or else
    text. Raises ValueError, without the text.
    """
    kind = bare(annotation)
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
