"""The last good list of contracts: kept when its source fails, compared when it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.model import SHANGHAI, Contract
from runbook.health.files import replace_file

_FORMAT: Final = 1


class UnreadableListError(Exception):
    """The kept list is there and is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractList:
    """A list that was good when it was taken."""

    taken_at: str
    """RFC 3339 with +08:00."""
    source: str
    """``gateway feedgate``, or the path of a file."""
    contracts: tuple[Contract, ...]

    def by_name(self) -> dict[str, Contract]:
        """``SHFE.rb2510`` → contract."""
        return {str(contract.instrument): contract for contract in self.contracts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Between two lists, by name."""

    added: tuple[str, ...]
    expired: tuple[str, ...]
    """Gone, and past their last day."""
    removed: tuple[str, ...]
    """Gone before their last day, or without one on record: somebody should know why."""
    overdue: tuple[str, ...]
    """Still listed although their last day has passed."""


class ContractStore:
    """One file. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> ContractList | None:
        """The last good list, None when there is none yet. Raises OSError and UnreadableListError."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            document = json.loads(data)
            if document["format"] != _FORMAT:
                raise UnreadableListError(f"{self.path} has format {document['format']!r}, not {_FORMAT}")
            return ContractList(
                taken_at=str(document["taken_at"]),
                source=str(document["source"]),
                contracts=tuple(msgspec.convert(document["contracts"], list[Contract])),
            )
        except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
            raise UnreadableListError(f"{self.path} is no list of contracts: {error}") from None

    def keep(self, taken: ContractList) -> None:
        """Make this the last good one; whole or not at all. Raises OSError."""
        document: dict[str, Any] = {
            "format": _FORMAT,
            "taken_at": taken.taken_at,
            "source": taken.source,
            "contracts": msgspec.to_builtins(list(taken.contracts)),
        }
        replace_file(self.path, json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


def changes(old: ContractList | None, new: Sequence[Contract], today: int) -> Changes:
    """``today`` is ``YYYYMMDD``. A contract is past its last day from the day after it on."""
    before = old.by_name() if old else {}
    after = {str(contract.instrument): contract for contract in new}
    gone = [name for name in before if name not in after]
    past = {name for name in gone if _past(before[name], today)}
    return Changes(
        added=tuple(name for name in after if name not in before),
        expired=tuple(name for name in gone if name in past),
        removed=tuple(name for name in gone if name not in past),
        overdue=tuple(name for name, contract in after.items() if _past(contract, today)),
    )


def day_of(wall_ns: int) -> int:
    """``20261121``: the date in Shanghai."""
    return int(datetime.fromtimestamp(wall_ns / 1e9, SHANGHAI).strftime("%Y%m%d"))


def _past(contract: Contract, today: int) -> bool:
    return contract.expire_date is not None and contract.expire_date < today
