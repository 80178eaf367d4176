"""Cards of a plugin as a whole: what the gateway needs of it before any feed is started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from gateway.assembly import LineWiring, assemble
from gateway.clock import SystemClock
from gateway.errors import FeedgateError, SettingsError
from gateway.hookspecs import FeedKind, Observer, hookimpl
from gateway.loader import Plugins, factory_path
from gateway.loader.kinds import HOOKS, check_kind, shown
from gateway.model import Account
from gateway.settings import AccountSettings, FeedSettings, Settings
from gateway.testing import loaded_plugin
from gateway.testing.cards import Card, CardFailed, card, expect
from gateway.testing.counter import AUTH_CODE, PASSWORD
from gateway.testing.leaks import Footprint, left_since
from gateway.testing.loaded_plugin import WANTED, LoadedPlugin, ask_hooks, at_once, registered

_STRANGE: Final = "no_such_option"

Make = Callable[[], LoadedPlugin]


@card("LOAD-01", "It can be imported", fix="run the import by itself: python -c 'import MODULE' shows the traceback")
async def _imports(make: Make) -> None:
    try:
        make().candidate.get()
    except (Exception, SystemExit) as error:
        raise CardFailed(f"importing it raised {type(error).__name__}: {error}") from error


@card(
    "LOAD-02",
    "It implements hooks that exist, with their parameters, and at least one",
    needs=("imports",),
    fix="decorate the hooks with gateway.hookimpl; their names and parameters are in docs/hooks.md",
)
async def _has_hooks(make: Make) -> None:
    registered(make().candidate.get())


@card(
    "LOAD-03",
    "Its hooks return at once, raise nothing, and say the same twice",
    needs=("hooks",),
    fix="hooks only register kinds; connect and read files in what the kinds build",
)
async def _answers(make: Make) -> None:
    plugin = make().candidate.get()
    try:
        answers = [at_once(lambda: ask_hooks(plugin), "a hook") for _ in range(2)]
    except CardFailed:
        raise
    except Exception as error:
        raise CardFailed(f"a hook raised {type(error).__name__}: {error}") from error
    first, second = ([(hook, _names(answer)) for hook, answer in each_time] for each_time in answers)
    expect(first == second, f"asked twice, its hooks brought {first} and then {second}")


def _names(answer: object) -> object:
    return [getattr(thing, "name", thing) for thing in answer] if isinstance(answer, list | tuple) else repr(answer)


@card(
    "LOAD-04",
    "What it brings is of the right kind, with usable names",
    needs=("answers",),
    fix="return sequences of the kinds in gateway.hookspecs; names are lower-case words",
)
async def _is_valid(make: Make) -> None:
    for hook, thing in make().brought():
        wanted = WANTED[hook]
        expect(isinstance(thing, wanted), f"{hook} returned {shown(thing)} in place of {wanted.__name__}")
        # whether a child process finds the factory is a card of its own
        judged = replace(thing, native=False) if isinstance(thing, FeedKind) else thing
        try:
            check_kind(hook, judged)
        except FeedgateError as error:
            raise CardFailed(str(error)) from error


@card(
    "LOAD-05",
    "Its names are free: nothing else that is installed brings the same",
    needs=("loads",),
    fix="choose another name, or block the other plugin in the settings (plugins_blocked)",
)
async def _is_alone(make: Make) -> None:
    plugin = make()
    record = plugin.candidate.record
    others = [
        one for one in Plugins.load().records() if (one.distribution, one.name) != (record.distribution, record.name)
    ]
    taken = {thing: one for one in others for thing in one.provides}
    seen: set[str] = set()
    for hook, thing in plugin.brought():
        sort = next(sort for name, sort, _ in HOOKS if name == hook)
        words = f"{sort} {thing.name}"
        expect(words not in seen, f"it brings the {words} twice")
        expect(isinstance(thing, Observer) or words not in taken, f"the {words} is also brought by {taken.get(words)}")
        seen.add(words)


@card(
    "LOAD-06",
    "The factory of each feed can be imported by a child process, as module:name",
    needs=("feeds",),
    fix="use a function or class at the top of a module; no lambda, no method of an object",
)
async def _is_importable(make: Make) -> None:
    for kind in make().feeds:
        try:
            factory_path(kind)
        except FeedgateError as error:
            raise CardFailed(str(error)) from error


@card(
    "LOAD-07",
    "An option that a feed does not know is refused by its name",
    needs=("feeds",),
    fix="FeedKind.options is the frozenset of the names that [feeds.NAME.options] may use",
)
async def _knows_its_options(make: Make) -> None:
    for kind in make().feeds:
        strange = [name for name in kind.options if not isinstance(name, str)]
        expect(not strange, f"feed {kind.name}: the option {strange[0]!r} is not a name" if strange else "")
        findings = _assembled(kind, {_STRANGE: 1})
        refused = any(f"options.{_STRANGE}" in finding for finding in findings)
        expect(refused, f"feed {kind.name} takes the option {_STRANGE}, which nobody reads")


class _Only:
    """A plugin with this kind alone."""

    def __init__(self, kind: FeedKind) -> None:
        self._kind = kind

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        return (self._kind,)


def _assembled(kind: FeedKind, options: Mapping[str, Any]) -> Sequence[str]:
    """The gateway's findings about a feed with these options."""
    alone = replace(kind, name="checked", native=False, needs_account=False, check=lambda *_: ())
    feed = FeedSettings(
        kind="checked", instruments=["SHFE.rb2510"], options=dict(options), accounts={"primary": AccountSettings()}
    )
    plugins = Plugins.load(extra=[_Only(alone)], entry_points=False)
    wiring = LineWiring(slot_of=lambda *_: None, deliver=lambda *_: None, changed=lambda _: None)
    try:
        assemble(Settings(feeds={"checked": feed}), plugins, wiring, SystemClock())
    except SettingsError as error:
        return error.findings
    return ()


@card(
    "LOAD-08",
    "environment() and check() answer with text for any account, raise nothing, and tell no secret",
    needs=("feeds",),
    fix="check() returns findings for what is missing or wrong, it does not raise; no finding quotes a secret",
)
async def _explains(make: Make) -> None:
    empty = Account(name="primary")
    full = Account(
        name="primary", user_id="16021988", broker_id="9999", secrets={"password": PASSWORD, "auth_code": AUTH_CODE}
    )
    for kind in make().feeds:
        for account in (empty, full):
            _check_one(kind, account)
        await asyncio.sleep(0)


def _findings(kind: FeedKind, account: Account, options: Mapping[str, Any]) -> Sequence[str]:
    return list(kind.check(account, options))


def _check_one(kind: FeedKind, account: Account) -> None:
    for options in ({}, dict.fromkeys(kind.options, ""), dict.fromkeys(kind.options, 1)):
        try:
            findings = at_once(partial(_findings, kind, account, options), "check()")
        except CardFailed:
            raise
        except Exception as error:
            raise CardFailed(f"check() of feed {kind.name} raised {type(error).__name__}: {error}") from error
        expect(all(isinstance(one, str) for one in findings), f"check() of feed {kind.name} returned {findings!r}")
        told = any(secret in finding for secret in account.secrets.values() for finding in findings)
        expect(not told, f"check() of feed {kind.name} tells a secret")
    try:
        variables = at_once(lambda: dict(kind.environment({})), "environment()")
    except CardFailed:
        raise
    except FeedgateError:
        return  # it cannot be had here, and says why
    except Exception as error:
        raise CardFailed(f"environment() of feed {kind.name} raised {type(error).__name__}: {error}") from error
    texts = all(isinstance(one, str) for pair in variables.items() for one in pair)
    expect(texts, f"environment() of feed {kind.name} returned {variables!r}; names and values are text")


@card(
    "LOAD-09",
    "Importing it and asking its hooks leaves no thread, task, child process or descriptor",
    needs=("loads",),
    fix="start nothing at import time or in a hook",
)
async def _leaves_nothing(make: Make) -> None:
    Footprint.lend_pool()
    plugin = make().candidate.get()
    before = Footprint.take()
    ask_hooks(plugin)
    left = await left_since(before, loaded_plugin.AT_ONCE_S)
    expect(not left, f"after its hooks were asked there is still: {'; '.join(left)}")


LOAD_CARDS: Sequence[Card] = (
    _imports,
    _has_hooks,
    _answers,
    _is_valid,
    _is_alone,
    _is_importable,
    _knows_its_options,
    _explains,
    _leaves_nothing,
)
