"""The two ways to write a setting's name, a variable and a TOML key, and the way from each to the model.

Every setting has a general variable, ``FEEDGATE_`` and its path in capitals with ``__`` between the parts. Some have
the operators' names too (``NATS_URL``, ``CTP_PRIMARY_PASSWORD``), which mean exactly the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.settings.values import Settings

Loc = tuple[str, ...]
"""Where a setting is in the model: ``("bus", "connect_timeout_s")``."""

PREFIX = "FEEDGATE_"
NOT_SETTINGS = frozenset({"FEEDGATE_REQUIRE_TOOLS"})
"""Variables with our prefix that belong to the test run, not to the gateway."""
COUNTERS = ("ctp", "sopt")
COUNTER_ACCOUNTS = ("primary", "backup")
COUNTER_FIELDS = ("broker_id", "user_id", "password", "md_address", "td_address", "app_id", "auth_code")

OPERATORS: dict[str, Loc] = {
    "ACTIVE_FEED": ("active",),
    "RATE_LIMIT_LOGIN_PER_MINUTE": ("subscriptions", "login_per_minute"),
    "RATE_LIMIT_SUBSCRIBE_PER_SECOND": ("subscriptions", "per_second"),
    "SUBSCRIBE_BATCH_SIZE": ("subscriptions", "batch_size"),
    "MD_FAILOVER_THRESHOLD_SECONDS": ("watch", "bound_s"),
    "NATS_URL": ("bus", "urls"),
    "NATS_USER": ("bus", "user"),
    "NATS_PASSWORD": ("bus", "password"),
    "NATS_TOKEN": ("bus", "token"),
    "NATS_CREDS": ("bus", "creds_file"),
    "NATS_TLS_CA": ("bus", "tls_ca"),
    "NATS_TLS_CERT": ("bus", "tls_cert"),
    "NATS_TLS_KEY": ("bus", "tls_key"),
} | {
    f"{feed}_{account}_{field}".upper(): ("feeds", feed, "accounts", account, field)
    for feed in COUNTERS
    for account in COUNTER_ACCOUNTS
    for field in COUNTER_FIELDS
}
"""The operators' variables. Later parts of the contract (``OPS_``, ``DRILL_``, ``VAULT_`` …) have their own readers."""

OWN_FAMILIES = tuple(f"{feed}_{account}_".upper() for feed in COUNTERS for account in COUNTER_ACCOUNTS)
"""Whatever begins like this is ours: an unknown one is an error."""
SHARED_FAMILIES = ("CTP_", "SOPT_", "RATE_LIMIT_", "SUBSCRIBE_", "ACTIVE_", "NATS_", "MD_FAILOVER_")
"""Other programs use such names too, so only what looks like a slip of the pen is pointed out."""

_OPERATORS_NAME = {loc: name for name, loc in OPERATORS.items()}
_PART = re.compile(r"[a-z0-9-]+(_[a-z0-9-]+)*")
_SLIP = 0.86
_CLOSE = 0.7


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the documentation."""

    loc: Loc
    """With ``<feed>`` and ``<account>`` where the user's own names go."""
    field: FieldInfo

    @property
    def key(self) -> str:
        """The TOML key."""
        return ".".join(self.loc)

    @property
    def variable(self) -> str:
        """The general variable."""
        return PREFIX + "__".join(self.loc).upper()

    @property
    def operators_variables(self) -> list[str]:
        """The operators' names for it, if any."""
        pattern = [None if part.startswith("<") else part for part in self.loc]
        return [
            name
            for name, loc in OPERATORS.items()
            if len(loc) == len(pattern) and all(p in (None, part) for p, part in zip(pattern, loc, strict=True))
        ]

    @property
    def default(self) -> object:
        """The value when nobody sets it; ``...`` when it must be set."""
        if self.field.is_required():
            return ...
        return self.field.get_default(call_default_factory=True, validated_data={})

    @property
    def unit(self) -> str:
        """What the number counts, or nothing."""
        name = self.loc[-1]
        extra = self.field.json_schema_extra
        if isinstance(extra, dict) and isinstance(unit := extra.get("unit"), str):
            return unit
        return "milliseconds" if name.endswith("_ms") else "seconds" if name.endswith("_s") else ""


def bare(annotation: object) -> Any:
    """The annotation without ``Annotated`` and ``| None``."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            options = [option for option in get_args(annotation) if option is not type(None)]
            if len(options) != 1:
                return annotation
            annotation = options[0]
        else:
            return annotation


def model_of(annotation: object) -> type[BaseModel] | None:
    """The model that this is, if it is one."""
    kind = bare(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def is_section(annotation: object) -> bool:
    """Whether this holds further settings: a model, or a table of models by name."""
    annotation = bare(annotation)
    if get_origin(annotation) is dict:
        return is_section(get_args(annotation)[1])
    return model_of(annotation) is not None


def member(annotation: object, name: str) -> Any:
    """The annotation of a part of a section or table, or None when it has no such part."""
    annotation = bare(annotation)
    if annotation is Any:
        return Any
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    model = model_of(annotation)
    field = model.model_fields.get(name) if model else None
    return field.annotation if field else None


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of the model."""
    yield from _below(Settings, ())


def _below(model: Any, loc: Loc) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        kind = bare(field.annotation)
        here = (*loc, name)
        if not is_section(kind):
            yield Setting(here, field)
        elif get_origin(kind) is dict:
            yield from _below(bare(get_args(kind)[1]), (*here, f"<{name.removesuffix('s')}>"))
        else:
            yield from _below(kind, here)


def variable_of(loc: Loc) -> str:
    """The name that an operator would look for."""
    return _OPERATORS_NAME.get(loc) or PREFIX + "__".join(loc).upper()


def resolve(variable: str) -> tuple[Loc, Any] | None:
    """Where a variable belongs and what type it has; None when no setting has this name."""
    loc = OPERATORS.get(variable)
    if loc is None:
        parts = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        if not variable.startswith(PREFIX) or not all(map(_PART.fullmatch, parts)):
            return None
        loc = parts
    annotation: Any = Settings
    for name in loc:
        annotation = member(annotation, name)
        if annotation is None:
            return None
    return loc, annotation


def nearest(name: str, names: Iterable[str], cutoff: float = _CLOSE) -> str | None:
    """The best guess at what somebody meant."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return found[0] if found else None


def slip(variable: str) -> str | None:
    """The operators' variable that this foreign one was probably meant to be."""
    if variable in OPERATORS or not variable.startswith(SHARED_FAMILIES):
        return None
    return nearest(variable, OPERATORS, _SLIP)


def meant(variable: str) -> str | None:
    """The known variable that comes nearest to an unknown one of ours."""
    if not variable.startswith(PREFIX):
        return nearest(variable, OPERATORS)
    parts = variable.removeprefix(PREFIX).lower().split("__")
    known = {setting.variable for setting in settings() if "<" not in setting.key}
    annotation: Any = Settings
    for index, part in enumerate(parts):
        below = member(annotation, part)
        if below is None:
            model = model_of(annotation)
            for other in model.model_fields if model else ():
                known.add(PREFIX + "__".join([*parts[:index], other, *parts[index + 1 :]]).upper())
            break
        annotation = below
    known = {name for name in known if (found := resolve(name)) and not is_section(found[1])}
    guess = nearest(variable.removeprefix(PREFIX), (name.removeprefix(PREFIX) for name in known))
    return guess and PREFIX + guess
