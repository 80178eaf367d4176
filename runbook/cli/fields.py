"""From an action's typed parameters to flags and back: field → ``--flag``, description → help."""

from __future__ import annotations

import argparse
import operator
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from runbook.hookspecs import ActionKind

_LISTS = (list, tuple, set, frozenset, Sequence)


class WrongValueError(ValueError):
    """A flag's value that its parameter does not take."""


def flag_of(name: str) -> str:
    """``lag_warning`` → ``--lag-warning``."""
    return f"--{name.replace('_', '-')}"


def add_fields(parser: argparse._ActionsContainer, kind: ActionKind, *, taken: Iterable[str]) -> None:
    """A flag for each field, except those that a common flag already means (``taken``)."""
    served = frozenset(taken)
    for name, info in kind.parameters.model_fields.items():
        if name not in served:
            _add(parser, name, info)


def parameters_from(kind: ActionKind, args: argparse.Namespace) -> dict[str, Any]:
    """What was given, as JSON values. Raises WrongValueError that names the flag."""
    given: dict[str, Any] = {}
    for name, info in kind.parameters.model_fields.items():
        value = getattr(args, name, None)
        if value is None:
            continue
        annotation = _inner(info.annotation)
        if _is_list(annotation):
            value = [part for text in value for part in _parts(text, info)]
        elif get_origin(annotation) is dict or annotation is dict:
            value = dict(_pair(name, text) for text in value)
        given[name] = _read(kind.parameters, name, value)
    return given


def default_text(info: FieldInfo) -> str:
    """A default as help and documents write it; empty: there is none to show."""
    if info.is_required():
        return ""
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value is False or value in ("", [], (), {}):
        return ""
    if value is True:
        return "on"
    return ",".join(map(str, value)) if isinstance(value, _LISTS) and not isinstance(value, str) else str(value)


def _add(parser: argparse._ActionsContainer, name: str, info: FieldInfo) -> None:
    flag, annotation = flag_of(name), _inner(info.annotation)
    said, shown = (info.description or "").replace("%", "%%"), default_text(info).replace("%", "%%")
    text = f"{said} (default: {shown})" if shown else said
    if annotation is bool and info.default is True:
        parser.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif annotation is bool:
        parser.add_argument(flag, dest=name, action="store_const", const=True, help=text)
    elif get_origin(annotation) is Literal:
        choices = [str(choice) for choice in get_args(annotation)]
        parser.add_argument(flag, dest=name, choices=choices, required=info.is_required(), help=text)
    elif _is_list(annotation) or get_origin(annotation) is dict or annotation is dict:
        metavar = "NAME=VALUE" if get_origin(annotation) is dict else _metavar(name)
        text = f"{text}; may be repeated"
        parser.add_argument(flag, dest=name, action="append", metavar=metavar, required=info.is_required(), help=text)
    else:
        parser.add_argument(flag, dest=name, metavar=_metavar(name), required=info.is_required(), help=text)


def _metavar(name: str) -> str:
    return name.rpartition("_")[2].upper()


def _inner(annotation: Any) -> Any:
    """Without ``| None`` and ``Annotated``."""
    while True:
        origin = get_origin(annotation)
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif origin in (Union, types.UnionType):
            rest = [one for one in get_args(annotation) if one is not type(None)]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation


def _parts(text: str, info: FieldInfo) -> list[str]:
    """``SHFE.rb*,DCE.m*`` is two; a sentence stays whole, unless the parameter says that commas separate."""
    if "comma separated" in (info.description or "") or not any(map(str.isspace, text)):
        return [part.strip() for part in text.split(",") if part.strip()]
    return [text.strip()] if text.strip() else []


def _is_list(annotation: Any) -> bool:
    return annotation in _LISTS or get_origin(annotation) in _LISTS


def _pair(name: str, text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise WrongValueError(f"{flag_of(name)}: write NAME=VALUE")
    return key, value


def _read(model: type[BaseModel], name: str, value: Any) -> Any:
    """One field alone, checked as the model will check it, as a JSON value. The refusal does not repeat the value."""
    info = model.model_fields[name]
    kind: Any = info.annotation
    if info.metadata:
        kind = operator.getitem(Annotated, (kind, *info.metadata))
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    problems: Sequence[Mapping[str, Any]] = ()
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        problems = [dict(one) for one in error.errors(include_url=False, include_input=False, include_context=False)]
    said = "; ".join(_texts(problems))
    raise WrongValueError(f"{flag_of(name)}: {said}")


def _texts(problems: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for problem in problems:
        text = str(problem["msg"]).removeprefix("Value error, ")
        yield text[:1].lower() + text[1:]
