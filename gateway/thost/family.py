"""How a plugin describes its counter: libraries, the tick struct, the parser."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import LineError, PluginError
from gateway.thost import locales
from gateway.thost.layout import Depth
from gateway.thost.parse import Parser
from gateway.thost.trader import COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library that speaks the API: where its two modules are, and what installs it.

    A module is named ``package.module``, or ``package.module:name`` for a callable that makes one (a stand-in, which
    has its state in an object of its own and not in a module).
    """

    distribution: str
    """What ``pip install`` wants."""
    market_data: str
    trader: str
    needs_locale: bool = True
    """Whether importing it aborts a process without the locale :data:`gateway.thost.locales.NAME`."""

    @property
    def is_installed(self) -> bool:
        """Whether Python finds it. Imports nothing of it."""
        return importlib.util.find_spec(self.market_data.partition(".")[0]) is not None

    def load_market_data(self) -> Any:
        """The market-data module. Blocking, up to a second.

        Raises LineError where the import would abort the process for want of its locale, PluginError when it is not
        installed.
        """
        return load(self.market_data, self.distribution, needs_locale=self.needs_locale)


def load(path: str, distribution: str = "", *, needs_locale: bool = True) -> Any:
    """The module at ``path``, as in :class:`Library`; errors as :meth:`Library.load_market_data`."""
    name, _, maker = path.partition(":")
    if needs_locale and not locales.is_loadable():
        raise LineError(
            f"importing {name} would abort this process, because it does not find the locale {locales.NAME}: "
            "run the line in a child process, which is started with LOCPATH set",
        )
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        fix = f": pip install {distribution}" if distribution else ""
        raise PluginError(f"cannot import {name} ({error}){fix}") from None
    return getattr(module, maker)() if maker else module


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A counter system. A constant of its plugin."""

    name: str
    """The kind of its feeds, ``ctp``."""
    label: str
    """For people: ``CTP``."""
    libraries: Mapping[str, Library]
    """By the value of the option ``native_module``; the first is the default."""
    depth: Depth
    parser: type[Parser]
    columns: tuple[str, ...] = COLUMNS
    """What is read of each contract in the trader front's list."""
    product_kinds: Mapping[str, str]
    """ProductClass → kind of a contract; anything else is ``other``."""
    exchanges: Mapping[str, str]
    """How the counter spells an exchange → how Feedgate does, where they differ."""
    example: str
    """A contract's name in messages: ``SHFE.rb2601``."""
    exchanges_example: str
    """What the option ``exchanges`` may look like, in TOML."""
    brokerless: frozenset[str] = frozenset()
    """Libraries whose accounts need no broker id."""

    @property
    def default_library(self) -> str:
        """What is used when ``native_module`` is not set."""
        return next(iter(self.libraries))

    def library_name(self, options: Mapping[str, Any]) -> str:
        """The option ``native_module``, checked. Raises LineError that lists the choices."""
        name = str(options.get("native_module", self.default_library))
        if name not in self.libraries:
            raise LineError(f"native_module {name!r} is unknown: choose one of {', '.join(self.libraries)}")
        return name

    def library(self, options: Mapping[str, Any]) -> Library:
        """The library that the options choose. Raises LineError that lists the choices."""
        return self.libraries[self.library_name(options)]

    def environment(self, options: Mapping[str, Any]) -> dict[str, str]:
        """The hook ``FeedKind.environment``: the locale's place for a child. Blocking; raises PluginError."""
        library = self.libraries.get(str(options.get("native_module", self.default_library)))
        return locales.environment(options) if library is None or library.needs_locale else {}


KINDS: Final[Mapping[str, str]] = {"1": "future", "2": "option", "6": "option", "3": "combination"}
"""CTP's ProductClass: 1 futures, 2 options, 3 combinations, 6 spot options (CFFEX index options)."""
