"""Cards of a contract list."""

from __future__ import annotations

import math
from collections import Counter as Count
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from gateway.errors import CatalogueError
from gateway.hookspecs import CatalogueKind
from gateway.model import Account, Contract
from gateway.ports import Catalogue
from gateway.testing.cards import CardFailed, card, expect
from gateway.testing.counter import AUTH_CODE, PASSWORD
from gateway.testing.leaks import Footprint, left_since

_KINDS = frozenset({"future", "option", "combination", "other"})


class CataloguePlace:
    """Where a contract list comes from, steered by the cards. Override what yours can do."""

    kind: CatalogueKind
    """The catalogue kind under test. Required."""
    patience_s: float = 5.0
    """How long a card waits until what is given back is gone."""

    def start(self) -> None:
        """Open it."""

    def stop(self) -> None:
        """Close it. Idempotent."""

    def account(self) -> Account | None:
        """The login that the list is asked for with."""
        return Account(name="primary", user_id="16021988", secrets={"password": PASSWORD, "auth_code": AUTH_CODE})

    def options(self) -> dict[str, Any]:
        """Options of the list. Asked for after :meth:`start`."""
        return {}

    def build(self) -> Catalogue:
        """The list. The default calls the kind."""
        return self.kind.build(self.account(), self.options())

    def break_it(self) -> None:
        """Capability ``break_it``: from now on the list cannot be had."""
        raise NotImplementedError

    def capabilities(self) -> frozenset[str]:
        """What is overridden."""
        return frozenset({"break_it"} if type(self).break_it is not CataloguePlace.break_it else ())


@contextmanager
def _open(make: Callable[[], CataloguePlace]) -> Iterator[CataloguePlace]:
    place = make()
    place.start()
    try:
        yield place
    finally:
        place.stop()


@card(
    "CATALOGUE-01",
    "Every contract is named once and holds sound values or None",
    fix="give None for what the source does not say; upper-case exchanges; YYYYMMDD for dates",
)
async def _sound(make: Callable[[], CataloguePlace]) -> None:
    with _open(make) as place:
        contracts = await place.build().contracts()
    expect(contracts, "the list is empty")
    for contract in contracts:
        wrong = next(_problems(contract), "")
        expect(not wrong, f"{contract.instrument} has {wrong}")
    twice = [name for name, times in Count(one.instrument for one in contracts).items() if times > 1]
    expect(not twice, f"{twice[0]} is listed more than once" if twice else "")


def _problems(contract: Contract) -> Iterator[str]:
    instrument = contract.instrument
    if not (instrument.exchange and instrument.exchange == instrument.exchange.upper() and instrument.code):
        yield f"no upper-case exchange and a code: {instrument!r}"
    if contract.kind not in _KINDS:
        yield f"kind = {contract.kind!r}: one of {', '.join(sorted(_KINDS))}"
    if contract.multiplier is not None and contract.multiplier <= 0:
        yield f"multiplier = {contract.multiplier!r}: above 0, or None"
    step = contract.price_tick
    if step is not None and not (math.isfinite(step) and 0 < step < 1e300):  # noqa: PLR2004 - DBL_MAX means none
        yield f"price_tick = {step!r}: a finite number above 0, or None"
    if contract.expire_date is not None:
        try:
            datetime.strptime(f"{contract.expire_date:08d}", "%Y%m%d")  # noqa: DTZ007 - only asks whether it is a day
        except (ValueError, TypeError):
            yield f"expire_date = {contract.expire_date!r}: a date as the integer YYYYMMDD, or None"


@card(
    "CATALOGUE-02",
    "Asked twice, it gives the same list, and leaves no thread, task, child process or descriptor",
    fix="contracts() opens what it needs and closes it again, also the process that it asked",
)
async def _again(make: Callable[[], CataloguePlace]) -> None:
    Footprint.lend_pool()
    with _open(make) as place:
        first = await place.build().contracts()
        before = Footprint.take()
        expect(list(await place.build().contracts()) == list(first), "the second list is another one")
        left = await left_since(before, place.patience_s)
        expect(not left, f"after contracts() there is still: {'; '.join(left)}")


@card(
    "CATALOGUE-03",
    "A list that cannot be had is a CatalogueError without a secret in it",
    needs=("break_it",),
    fix="turn what your source raises into CatalogueError, with what failed and the next step",
)
async def _broken(make: Callable[[], CataloguePlace]) -> None:
    with _open(make) as place:
        catalogue, account = place.build(), place.account()
        place.break_it()
        try:
            await catalogue.contracts()
        except CatalogueError as error:
            text = f"{error} {error.fields}"
            secrets = account.secrets.values() if account is not None else ()
            expect(not any(secret and secret in text for secret in secrets), "the error's text holds a secret")
            return
        except Exception as error:
            raise CardFailed(f"it raised {type(error).__name__} ({error}) in place of CatalogueError") from error
        raise CardFailed("it gave a list from a place that is broken")


CATALOGUE_CARDS = (_sound, _again, _broken)
