"""The contract list from the trader API. The market-data API cannot list instruments."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.errors import CatalogueError, LineError
from gateway.model import Account, Contract, Instrument
from gateway.thost.family import Family
from gateway.thost.fronts import parse_fronts
from gateway.thost.options import option_terms, whole
from gateway.thost.query import Job, Outcome
from gateway.thost.trader import Row

log = logging.getLogger(__name__)

TIMERS: Final = {"connect_timeout": 15.0, "login_timeout": 15.0, "query_timeout": 60.0}
"""Seconds, by the option that changes them."""
OPTIONS: Final = frozenset({"native_module", "locale_dir", *TIMERS})

_SPARE_S: Final = 15.0
"""For starting the process and letting go of the library, on top of the timers inside."""
_STDERR_LIMIT: Final = 4_000
_LIMIT: Final = 1e150


def build_catalogue(family: Family, account: Account | None, options: Mapping[str, Any]) -> TraderCatalogue:
    """Raises CatalogueError when the account or an option cannot work."""
    if account is None:
        raise CatalogueError(f"the {family.name} catalogue logs in at the trader front: name an account for it")
    return TraderCatalogue(family, account, options)


class TraderCatalogue:
    """Asks the counter for its instruments, each time in a fresh process."""

    def __init__(self, family: Family, account: Account, options: Mapping[str, Any]) -> None:
        if not account.td_address:
            raise CatalogueError(
                f"account {account.name} has no trader front, and only that lists the contracts: set its TD_ADDRESS, "
                "APP_ID and AUTH_CODE, or name the contracts "
                f"(FEEDGATE_FEEDS__{family.name.upper()}__INSTRUMENTS={family.example},...)"
            )
        try:
            parse_fronts(account.td_address)
            library = family.library(options)
            timers = {key.removesuffix("_timeout"): float(options.get(key, value)) for key, value in TIMERS.items()}
        except (LineError, ValueError, TypeError) as error:
            raise CatalogueError(f"the {family.name} catalogue cannot use account {account.name}: {error}") from None
        self._options = options
        self._family = family
        self._job = Job(account, library.trader, timers, family.columns, library.needs_locale)

    async def contracts(self) -> Sequence[Contract]:
        """All contracts of the counter. Seconds; raises CatalogueError with the vendor's words."""
        environment = await asyncio.to_thread(self._environment)
        limit = 2 * self._job.timers["login"] + self._job.timers["connect"] + self._job.timers["query"] + _SPARE_S
        outcome = await self._run_child(environment, limit)
        if outcome.error:
            raise CatalogueError(outcome.error)
        contracts = list(contracts_of(self._family, outcome.rows))
        if not contracts:
            raise CatalogueError("the counter sent an empty contract list: ask again in its service hours")
        return contracts

    def _environment(self) -> dict[str, str]:
        try:
            return self._family.environment(self._options)
        except Exception as error:
            raise CatalogueError(str(error)) from error

    async def _run_child(self, environment: Mapping[str, str], limit: float) -> Outcome:
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        with os.fdopen(reading, "rb") as pipe:
            try:
                # `env` adds to the inherited environment without reading it here
                child = await asyncio.create_subprocess_exec(
                    "env",
                    *(f"{name}={value}" for name, value in environment.items()),
                    sys.executable,
                    "-m",
                    "gateway.thost.query_child",
                    str(writing),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(writing,),
                    start_new_session=True,  # the terminal's Ctrl-C is for the gateway, which ends the query
                )
            finally:
                os.close(writing)
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            try:
                async with asyncio.timeout(limit):
                    # concurrently, because a full pipe stops the child
                    payload, (_, stderr) = await asyncio.gather(
                        reader.read(), child.communicate(msgspec.json.encode(self._job))
                    )
            except TimeoutError:
                raise CatalogueError(
                    f"the instrument query did not end within {limit:.0f} s; try again later"
                ) from None
            finally:
                transport.close()
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode or not payload:
            log.warning("instrument query: %s", stderr[-_STDERR_LIMIT:].decode("utf-8", "replace"))
            raise CatalogueError(f"the instrument query's process died ({_end(child.returncode)}); see the log")
        try:
            return msgspec.json.decode(payload, type=Outcome)
        except msgspec.DecodeError as error:
            raise CatalogueError(f"the instrument query's answer cannot be read: {error}") from None


def contracts_of(family: Family, rows: Iterable[Row]) -> Iterable[Contract]:
    """The vendor's rows as contracts; rows without a code or an exchange are left out."""
    for row in rows:
        code, exchange = str(row["InstrumentID"]), str(row["ExchangeID"])
        if not code or not exchange:
            continue
        price_tick = float(row["PriceTick"])
        kind = family.product_kinds.get(str(row["ProductClass"]), "other")
        yield Contract(
            instrument=Instrument(family.exchanges.get(exchange, exchange), code),
            name=str(row["InstrumentName"]),
            product=str(row["ProductID"]),
            kind=kind,
            multiplier=int(row["VolumeMultiple"]) or None,
            price_tick=price_tick if 0 < price_tick < _LIMIT else None,
            expire_date=whole(row["ExpireDate"]),
            **(option_terms(row) if kind == "option" else {}),
        )


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
