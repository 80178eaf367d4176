"""Names of the runbook's settings: the operators' variables, ``RUNBOOK_…`` for the rest, and TOML keys.

``RUNBOOK_`` and the path in capitals with ``__`` between its parts sets anything (``RUNBOOK_HEALTH__LAG_WARNING_S``).
It is a prefix of its own, not below ``FEEDGATE_``, so that the gateway reads the same ``.env`` file undisturbed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.settings.names import Loc, bare, is_section, member, nearest
from runbook.settings.values import RunbookSettings

PREFIX: Final = "RUNBOOK_"
TABLE: Final = "runbook"
"""The table of the TOML file; everything else in it is the gateway's."""

OPERATORS: Final[dict[str, Loc]] = {
    "OPS_API_TOKENS": ("api", "tokens"),
    "OPS_API_TOKEN": ("api", "token"),
    "OPS_API_CORS_ORIGINS": ("api", "cors_origins"),
    "OPS_API_CORS_METHODS": ("api", "cors_methods"),
    "OPS_API_PORT": ("api", "port"),
    "OPS_RUNBOOK_SCRIPT": ("api", "script"),
    "OPS_PROMETHEUS_URL": ("metrics", "prometheus_url"),
    "PUSHGATEWAY_URL": ("metrics", "pushgateway_url"),
    "DRILL_EXPECT_FEED": ("drill", "expect_feed"),
    "DRILL_EXPECT_ACCOUNT": ("drill", "expect_account"),
    "DRILL_HEALTH_CMD": ("drill", "health_cmd"),
    "DRILL_METRICS_SOURCE": ("drill", "metrics_source"),
    "DRILL_CONSUMER_BACKLOG_THRESHOLD": ("drill", "consumer_backlog_threshold"),
    "VAULT_ADDR": ("vault", "addr"),
    "VAULT_TOKEN": ("vault", "token"),
    "VAULT_ROLE_ID": ("vault", "role_id"),
    "VAULT_SECRET_ID": ("vault", "secret_id"),
    "VAULT_NAMESPACE": ("vault", "namespace"),
    "VAULT_CACERT": ("vault", "cacert"),
    "SESSION_CONFIG": ("session_config",),
}
"""The operators' variables. Source: the operators' contract, §3; ``VAULT_CACERT`` is Vault's own name."""

OWN_FAMILIES: Final = (PREFIX, "OPS_API_", "OPS_RUNBOOK_", "OPS_PROMETHEUS_", "DRILL_")
"""Whatever begins like this is ours: an unknown one is an error."""
SHARED_FAMILIES: Final = ("OPS_", "VAULT_", "PUSHGATEWAY", "SESSION_CONF")
"""Other programs use such names too, so only what looks like a slip of the pen is pointed out."""
FOREIGN: Final = frozenset({"VAULT_CAPATH", "VAULT_TOKENS", "VAULT_FORMAT"})
"""Names of other programs that are near one of ours."""

_OPERATORS_NAME: Final = {loc: name for name, loc in OPERATORS.items()}
_PART: Final = re.compile(r"[a-z0-9-]+(_[a-z0-9-]+)*")
_SLIP: Final = 0.86


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the document."""

    loc: Loc
    field: FieldInfo

    @property
    def key(self) -> str:
        """The TOML key."""
        return ".".join((TABLE, *self.loc))

    @property
    def variable(self) -> str:
        """The general variable."""
        return PREFIX + "__".join(self.loc).upper()

    @property
    def operators_variable(self) -> str | None:
        """The operators' name for it, if it has one."""
        return _OPERATORS_NAME.get(self.loc)

    @property
    def default(self) -> object:
        """The value when nobody sets it; every setting of the runbook has one."""
        return self.field.get_default(call_default_factory=True, validated_data={})

    @property
    def unit(self) -> str:
        """What the number counts, or nothing."""
        name = self.loc[-1]
        extra = self.field.json_schema_extra
        if isinstance(extra, dict) and isinstance(unit := extra.get("unit"), str):
            return unit
        units = {"_ms": "milliseconds", "_s": "seconds", "_days": "days"}
        return next((unit for ending, unit in units.items() if name.endswith(ending)), "")


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of the model."""
    yield from _below(RunbookSettings, ())


def _below(model: Any, loc: Loc) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        kind = bare(field.annotation)
        if is_section(kind):
            yield from _below(kind, (*loc, name))
        else:
            yield Setting((*loc, name), field)


def secret_locs() -> frozenset[Loc]:
    """The settings that hold secrets."""
    return frozenset(setting.loc for setting in settings() if SecretStr.__name__ in repr(setting.field.annotation))


def variable_of(loc: Loc) -> str:
    """The name that an operator would look for."""
    return _OPERATORS_NAME.get(loc) or PREFIX + "__".join(loc).upper()


def annotation_of(loc: Loc) -> Any:
    """What a setting takes, or None when there is no such setting."""
    annotation: Any = RunbookSettings
    for name in loc:
        annotation = member(annotation, name)
        if annotation is None:
            return None
    return annotation


def resolve(variable: str) -> tuple[Loc, Any] | None:
    """Where a variable belongs and what type it has; None when no setting of the runbook has this name."""
    loc = OPERATORS.get(variable)
    if loc is None:
        parts = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        if not variable.startswith(PREFIX) or not all(map(_PART.fullmatch, parts)):
            return None
        loc = parts
    annotation = annotation_of(loc)
    return None if annotation is None else (loc, annotation)


def is_ours(variable: str) -> bool:
    """Whether nobody else has such a name."""
    return variable.startswith(OWN_FAMILIES)


def meant(variable: str) -> str | None:
    """The variable that comes nearest to an unknown one of ours."""
    return nearest(variable, [*OPERATORS, *(setting.variable for setting in settings())])


def slip(variable: str) -> str | None:
    """The variable that this foreign one was probably meant to be."""
    if variable in FOREIGN or not variable.startswith(SHARED_FAMILIES):
        return None
    return nearest(variable, OPERATORS, _SLIP)


def meant_key(loc: Loc) -> str:
    """What to write in place of an unknown TOML key: the nearest, or all there are."""
    above: Any = RunbookSettings
    for depth, name in enumerate(loc):
        below = member(above, name)
        if below is None:
            known = list(bare(above).model_fields) if is_section(above) else []
            if guess := nearest(name, known):
                return f"did you mean {'.'.join((TABLE, *loc[:depth], guess))}?"
            return f"the keys here are: {', '.join(known)}" if known else "it is a single value; remove the table"
        above = below
    return "remove it"
