"""Cards of a secret store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gateway.errors import SettingsError
from gateway.hookspecs import SecretStoreKind
from gateway.ports import SecretStore
from gateway.testing.cards import CardFailed, card, expect
from gateway.testing.counter import AUTH_CODE, PASSWORD

_NONSENSE: Final = ("", " ", "#", "../../../nowhere", "a\0b", "x" * 5000, "?version=none", "口令")
_AT_ONCE = 4


class SecretPlace:
    """Where secrets live, with :attr:`values` in it. Override what yours can do; methods may block."""

    kind: SecretStoreKind
    """The kind under test. Required, unless :meth:`build` is overridden."""
    path: str = ""
    """What :attr:`values` are under. Required, filled at the latest by :meth:`start`."""
    missing: str = ""
    """A path of the right form where nothing is. Required likewise."""
    values: Mapping[str, str] = {"password": PASSWORD, "auth_code": AUTH_CODE}

    def start(self) -> None:
        """Open it and put :attr:`values` under :attr:`path`."""

    def stop(self) -> None:
        """Close it. Idempotent."""

    def build(self) -> SecretStore:
        """The store. The default calls the kind, as the gateway does."""
        return self.kind.build({})

    def change(self, values: Mapping[str, str]) -> None:
        """Capability ``change``: these are the values from now on."""
        raise NotImplementedError

    def break_it(self) -> None:
        """Capability ``break_it``: nothing can be read from now on."""
        raise NotImplementedError

    def capabilities(self) -> frozenset[str]:
        """What is overridden."""
        mine, base = type(self), SecretPlace
        return frozenset(name for name in ("change", "break_it") if getattr(mine, name) is not getattr(base, name))


@contextmanager
def _open(make: Callable[[], SecretPlace]) -> Iterator[SecretPlace]:
    place = make()
    place.start()
    try:
        yield place
    finally:
        place.stop()


async def _read(store: SecretStore, path: str) -> Mapping[str, str]:
    return await asyncio.to_thread(store.read, path)


async def _refusal(store: SecretStore, path: str, why: str) -> str:
    """The text of the SettingsError that reading raises."""
    try:
        found = await _read(store, path)
    except SettingsError as error:
        expect(str(error).strip(), f"{why}: the error says nothing")
        return f"{error} {error.findings} {error.fields} {error.__cause__!r}"
    except Exception as error:
        raise CardFailed(f"{why}: it raised {type(error).__name__} ({error}) in place of SettingsError") from error
    raise CardFailed(f"{why}: it gave {sorted(found)} in place of SettingsError")


async def _said(store: SecretStore, path: str) -> str:
    """The text of whatever reading raises."""
    try:
        await _read(store, path)
    except Exception as error:  # noqa: BLE001 - whether it is the right one is another card's question
        return f"{error!r} {error} {getattr(error, 'fields', '')} {error.__cause__!r}"
    return ""


@card(
    "SECRET-01",
    "Reading a path gives every key under it, as text, from any thread",
    fix="return a mapping of names to text; read() is called in worker threads",
)
async def _reads(make: Callable[[], SecretPlace]) -> None:
    with _open(make) as place:
        store = place.build()
        answers = await asyncio.gather(*(_read(store, place.path) for _ in range(_AT_ONCE)))
        for found in answers:
            expect(
                dict(found) == dict(place.values), f"it gave the keys {sorted(found)}, or other values than are there"
            )


@card(
    "SECRET-02",
    "A path where nothing is, or that is none, is a SettingsError",
    fix="turn what your place raises into SettingsError, with the path and the next step",
)
async def _refuses(make: Callable[[], SecretPlace]) -> None:
    with _open(make) as place:
        store = place.build()
        await _refusal(store, place.missing, f"nothing is under {place.missing!r}")
        for path in _NONSENSE:
            await _refusal(store, path, f"the path {path[:20]!r}")


@card(
    "SECRET-03",
    "No value is in the repr of the store, or in an error",
    fix="give the store a repr, and raise your errors from None: a parser's words may quote the line",
)
async def _discreet(make: Callable[[], SecretPlace]) -> None:
    with _open(make) as place:
        store = place.build()
        await _read(store, place.path)
        texts = [f"{store!r} {store!s}", await _said(store, place.missing)]
        if "break_it" in place.capabilities():
            place.break_it()
            texts.append(await _said(store, place.path))
        shown = [key for key, value in place.values.items() if any(value in text for text in texts)]
        expect(not shown, f"the value of {', '.join(shown)} can be read in a repr or an error")


@card(
    "SECRET-04",
    "A changed secret is read anew, so that it can be rotated without a restart",
    needs=("change",),
    fix="keep no copy between calls of read()",
)
async def _anew(make: Callable[[], SecretPlace]) -> None:
    with _open(make) as place:
        store = place.build()
        await _read(store, place.path)
        changed = {key: f"{value}-2" for key, value in place.values.items()}
        place.change(changed)
        old = [key for key, value in (await _read(store, place.path)).items() if value != changed.get(key)]
        expect(not old, f"it still gives the old value of {', '.join(old)}")


@card(
    "SECRET-05",
    "A place that cannot be reached is a SettingsError with words, not a wait",
    needs=("break_it",),
    fix="give connections a time-out, and turn what they raise into SettingsError",
)
async def _broken(make: Callable[[], SecretPlace]) -> None:
    with _open(make) as place:
        store = place.build()
        place.break_it()
        await _refusal(store, place.path, "the place is broken")


SECRET_CARDS = (_reads, _refuses, _discreet, _anew, _broken)
