"""Forms for typed parameters: from an action's model to fields, and from what a browser sends back to parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

PREFIX: Final = "p."
"""Before the names of parameters in a form, so that none can be taken for a field of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One parameter."""

    name: str
    """With the prefix."""
    label: str
    """Its name in words."""
    help: str
    kind: Literal["text", "number", "check", "choice", "list"]
    required: bool
    value: str
    """As a form writes it; ``on`` for a checked one."""
    choices: Sequence[str] = ()


def fields_of(model: type[BaseModel], given: Mapping[str, str]) -> list[FormField]:
    """All parameters of an action; ``given`` are values by plain name, in place of the defaults."""
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    return [_field(name, part, given.get(name), required) for name, part in schema.get("properties", {}).items()]


def parameters_from(model: type[BaseModel], sent: Mapping[str, str]) -> dict[str, Any]:
    """What a form says; an empty field is left to its default. The runner checks it."""
    found: dict[str, Any] = {}
    for name, part in model.model_json_schema().get("properties", {}).items():
        kind, written = _kind(part), sent.get(PREFIX + name, "").strip()
        if kind == "check":
            if (written == "on") != (part.get("default") is True):
                found[name] = written == "on"
        elif written:
            found[name] = [one.strip() for one in written.split(",") if one.strip()] if kind == "list" else written
    return found


def _field(name: str, part: Mapping[str, Any], given: str | None, required: set[str]) -> FormField:
    kind = _kind(part)
    value = given if given is not None else _written(part.get("default"))
    return FormField(
        name=PREFIX + name,
        label=name.replace("_", " "),
        help=str(part.get("description", "")),
        kind=kind,
        required=name in required,
        value=value,
        choices=tuple(map(str, _plain(part).get("enum", ()))),
    )


def _kind(part: Mapping[str, Any]) -> Literal["text", "number", "check", "choice", "list"]:
    plain = _plain(part)
    if "enum" in plain:
        return "choice"
    match plain.get("type"):
        case "boolean":
            return "check"
        case "integer" | "number":
            return "number"
        case "array":
            return "list"
        case _:
            return "text"


def _plain(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without ``| None``."""
    options = [one for one in part.get("anyOf", ()) if one.get("type") != "null"]
    return options[0] if options else part


def _written(default: object) -> str:
    if default is None or default is False:
        return ""
    if default is True:
        return "on"
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)
