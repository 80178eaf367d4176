"""What a rotation of credentials needs to know: what changed between two versions in Vault, and for which line.

Everything here is names, versions and references. The gateway looks the secrets up itself, so none travels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.settings import names
from runbook.secrets.errors import VaultError
from runbook.secrets.place import Place
from runbook.secrets.session import VaultSession

SECRET_FIELDS: Final = ("password", "auth_code")
"""What a running line can take anew. Everything else of an account needs a new gateway."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of keys, in alphabetical order."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredentials:
    """What is new for one line."""

    feed: str
    account: str
    version: int
    """The version that the references are pinned to: what was verified on one line is what the next one gets."""
    since: int
    references: Mapping[str, str]
    """``password`` and ``auth_code``, those that changed, as references to that version."""
    restart: tuple[str, ...]
    """Variables of the account that changed too, and that only a new start of the gateway takes in."""

    @property
    def line(self) -> str:
        return f"{self.feed}:{self.account}"

    def __bool__(self) -> bool:
        return bool(self.references)


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> Difference:
    """What became of the keys."""
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(key for key in new.keys() & old.keys() if new[key] != old[key])),
    )


def new_credentials(session: VaultSession, place: Place, feed: str, account: str, *, since: int) -> NewCredentials:
    """What the current version has that version ``since`` (of the runtime file: ``origin_of``) had not, for one line.

    Blocks. Raises VaultError, also when a secret of the line is gone in the current version, and when ``since`` can no
    longer be read (then restart the gateway after a ``pull``, or keep more versions: ``vault kv metadata put``).
    """
    current = session.read(Place(place.mount, place.path))
    here = Place(place.mount, place.path, current.version)
    if current.version == since:
        return NewCredentials(feed=feed, account=account, version=since, since=since, references={}, restart=())
    before = session.read(Place(place.mount, place.path, since))
    difference = compare(before.values, current.values)
    variables = {field: variable_of(feed, account, field) for field in names.COUNTER_FIELDS}
    lost = [variables[field] for field in SECRET_FIELDS if variables[field] in difference.removed]
    if lost:
        raise VaultError("key", f"{here} in Vault has no {', '.join(lost)} any more; write it, and rotate again")
    fresh = {*difference.added, *difference.changed}
    return NewCredentials(
        feed=feed,
        account=account,
        version=current.version,
        since=since,
        references={field: here.reference(variables[field]) for field in SECRET_FIELDS if variables[field] in fresh},
        restart=tuple(
            variable
            for field, variable in variables.items()
            if field not in SECRET_FIELDS and variable in {*fresh, *difference.removed}
        ),
    )


def variable_of(feed: str, account: str, field: str) -> str:
    """The operators' name of a setting of one account, or else its general variable."""
    loc = ("feeds", feed, "accounts", account, field)
    general = names.PREFIX + "__".join(loc).upper()
    return next((name for name, known in names.OPERATORS.items() if known == loc), general)
