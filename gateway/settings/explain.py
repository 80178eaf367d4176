"""From what pydantic refuses to what a person can act on: the name as written, what is wrong, the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.settings import names
from gateway.settings.layers import Given
from gateway.settings.names import COUNTERS, Loc
from gateway.settings.section import DISAGREE, Section
from gateway.settings.values import DEFAULT_ACCOUNT, AccountSettings, Settings

_LOGIN = ("user_id", "password", "md_address", "broker_id")
_TRADER = ("td_address", "app_id", "auth_code")
_FILES = ("creds_file", "tls_ca", "tls_cert", "tls_key")

_FOLLOWS = "default_factory_not_called"
"""A default that another, refused setting decides: the other one is the finding."""

_TEXTS = {
    "missing": "is missing; set it",
    "string_type": "must be text; write it in quotes",
    "string_unicode": "is not valid Unicode; write it as UTF-8",
    "dict_type": "must be a table; write it as [section] with its own keys",
    "model_type": "must be a table; write it as [section] with its own keys",
    "model_attributes_type": "must be a table; write it as [section] with its own keys",
    "list_type": "must be a list; write it as [...], or comma separated in a variable",
    "bool_parsing": "is neither true nor false; write one of them",
    "bool_type": "is neither true nor false; write one of them",
    "int_parsing": "is not a whole number; write one",
    "int_parsing_size": "is not a whole number of sensible size; write one",
    "int_from_float": "is not a whole number; write one",
    "int_type": "is not a whole number; write one",
    "float_parsing": "is not a number; write one",
    "float_type": "is not a number; write one",
    "finite_number": "is not a finite number; write one",
    "path_type": "is not a path; write it as text",
    "too_short": "is empty; name at least one, or leave it out",
}
_LIMITS = {
    "greater_than": ("gt", "is too small; write more than {}"),
    "greater_than_equal": ("ge", "is too small; write {} or more"),
    "less_than": ("lt", "is too large; write less than {}"),
    "less_than_equal": ("le", "is too large; write {} or less"),
}


def refusals(error: ValidationError, given: Mapping[Loc, Given]) -> Iterator[str]:
    """A finding for each thing that the model refused, but for disagreements (:func:`disagreements` has them)."""
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] not in (DISAGREE, _FOLLOWS):
            loc = tuple(part for part in detail["loc"] if part != "[key]")
            yield f"{written(loc, given)}: {_text(detail['type'], detail.get('ctx', {}), loc)}"


def _text(kind: str, context: Mapping[str, Any], loc: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind == "literal_error":
        return f"is none of the choices; write {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        return text.format(f"{context[name]:.15g}")
    return _TEXTS.get(kind, f"cannot be used ({kind.replace('_', ' ')}); see docs/settings.md")


def _unknown_key(loc: tuple[int | str, ...]) -> str:
    annotation: Any = Settings
    for part in loc[:-1]:
        annotation = names.member(annotation, str(part))
    model = names.model_of(annotation)
    known = list(model.model_fields) if model else []
    if guess := names.nearest(str(loc[-1]), known):
        return f"no such key; did you mean {'.'.join([*map(str, loc[:-1]), guess])}?"
    return f"no such key; the keys here are: {', '.join(known)}"


def written(loc: tuple[int | str, ...], given: Mapping[Loc, Given]) -> str:
    """A setting's name as its author wrote it, with the place; else the name that would set it."""
    for length in range(len(loc), 0, -1):
        source = given.get(tuple(map(str, loc[:length])))
        if source is not None:
            rest = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc[length:])
            name = source.name + rest
            return f"{name.encode('ascii', 'backslashreplace').decode()} ({source.where})"
    plain = tuple(map(str, loc))
    beside = [source for place, source in given.items() if place[: len(plain) - 1] == plain[:-1]]
    below = [source for place, source in given.items() if place[: len(plain)] == plain]
    if near := [source for source in below or beside if not source.is_variable]:
        return f"{'.'.join(plain)} ({near[0].where})"
    return names.variable_of(plain)


def disagreements(values: Mapping[str, Any], given: Mapping[Loc, Given]) -> Iterator[str]:
    """Findings on values that do not fit each other, whether or not each is fine by itself."""
    for loc, section, inside in _sections(Settings, values, ()):
        for field, text in section.problems(inside):
            yield f"{written((*loc, field), given)}: {text}"
    feeds = values.get("feeds")
    for name, feed in feeds.items() if isinstance(feeds, dict) else ():
        if isinstance(feed, dict) and feed.get("kind", name) in COUNTERS:
            yield from _incomplete_accounts(name, feed, given)
    yield from _missing_files(values, given)


def _sections(model: Any, values: object, loc: Loc) -> Iterator[tuple[Loc, type[Section], dict[str, Any]]]:
    if not isinstance(values, dict):
        return
    kind = names.bare(model)
    if isinstance(kind, type) and issubclass(kind, Section):
        yield loc, kind, values
    for name, value in values.items():
        below = names.member(kind, name)
        if below is not None and names.is_section(below):
            yield from _sections(below, value, (*loc, name))


def _incomplete_accounts(feed: str, values: Mapping[str, Any], given: Mapping[Loc, Given]) -> Iterator[str]:
    """A counter's login needs four things, and its trader login three more or none (contract, section 3)."""
    accounts = values.get("accounts", {DEFAULT_ACCOUNT: {}})
    for account, fields in accounts.items() if isinstance(accounts, dict) else ():
        if not isinstance(fields, dict):
            continue
        at = ("feeds", feed, "accounts", account)
        filled = [field for field in AccountSettings.model_fields if fields.get(field) and field != "options"]
        lacking = [field for field in _LOGIN if field not in filled]
        trader = [field for field in _TRADER if field in filled]
        for field in lacking:
            name = names.variable_of((*at, field))
            if filled:
                have = written((*at, filled[0]), given)
                yield f"{name}: is missing, while {have} is set; fill the whole set, or remove the rest of it"
            else:
                yield f"{name}: is missing, and feed {feed} cannot log in without it; set it"
        for field in _TRADER if trader else ():
            if field not in filled:
                name, have = names.variable_of((*at, field)), written((*at, trader[0]), given)
                yield f"{name}: is missing, while {have} is set; the trader login takes all three or none"


def _missing_files(values: Mapping[str, Any], given: Mapping[Loc, Given]) -> Iterator[str]:
    bus = values.get("bus")
    for field in _FILES if isinstance(bus, dict) else ():
        path = bus.get(field) if isinstance(bus, dict) else None
        if isinstance(path, str) and "\0" not in path and not _is_file(path):
            yield f"{written(('bus', field), given)}: no such file; give the path of a readable file"


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
