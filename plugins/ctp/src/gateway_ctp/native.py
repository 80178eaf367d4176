"""The vendor modules. The only place that imports them, and only when a line or a query needs one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import LineError, PluginError
from gateway_ctp import locales

DEFAULT_MODULE: Final = "openctp_ctp"
MODULES: Final = {DEFAULT_MODULE: "openctp-ctp", "openctp_tts": "openctp-tts"}
"""Native module → the distribution that carries it. openctp_tts has the same API and its own wire protocol."""


def module_name(options: Mapping[str, Any]) -> str:
    """The option ``native_module``, checked. Raises LineError that lists the choices."""
    name = str(options.get("native_module", DEFAULT_MODULE))
    if name not in MODULES:
        raise LineError(f"native_module {name!r} is unknown: choose one of {', '.join(MODULES)}")
    return name


def load_market_data(name: str) -> Any:
    """The market-data module. Blocking, up to a second.

    Raises LineError where the import would abort the process for want of its locale, PluginError when it is not
    installed.
    """
    return _load(name, "thostmduserapi")


def load_trader(name: str) -> Any:
    """The trader module; as :func:`load_market_data`."""
    return _load(name, "thosttraderapi")


def _load(name: str, part: str) -> Any:
    if not locales.is_loadable():
        raise LineError(
            f"importing {name} would abort this process, because it does not find the locale {locales.NAME}: "
            "run the line in a child process, which is started with LOCPATH set",
        )
    try:
        return importlib.import_module(f"{name}.{part}")
    except ImportError as error:
        distribution = MODULES.get(name, name)
        raise PluginError(f"cannot import {name} ({error}): pip install {distribution}") from None
