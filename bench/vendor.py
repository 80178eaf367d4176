"""The library whose callback the feeder calls, by the name of the source."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Protocol

from bench.load import Load

PLUGIN = Path(__file__).parent.parent / "plugins" / "ctp" / "src"


class Stoppable(Protocol):
    """A feeder under way."""

    def stop(self) -> None: ...


def use_ctp_plugin() -> None:
    """Make ``gateway_ctp`` importable from the checkout when it is not installed."""
    if PLUGIN.is_dir() and str(PLUGIN) not in sys.path:
        sys.path.append(str(PLUGIN))


def environment(load: Load) -> dict[str, str]:
    """What a process needs in its environment before it imports the vendor library. Blocking, seconds at first."""
    if load.source == "sim":
        return {}
    use_ctp_plugin()
    from gateway.thost import locales  # noqa: PLC0415 - only the native source needs the plugin

    return locales.environment({})


def module_of(load: Load) -> Any:
    """What has ``CThostFtdcMdSpi``: the SWIG module, or the stand-in. Needs LOCPATH for the former."""
    if load.source == "sim":
        return importlib.import_module("bench.simulated")
    return importlib.import_module(f"{load.module}.thostmduserapi")


def start_feeder(spi: Any, load: Load) -> Stoppable:
    """Begin to wait for the phases of the control block; ticks come on another thread."""
    if load.source == "sim":
        from bench.simulated import Feeder  # noqa: PLC0415 - one of two

        return Feeder(spi, load)
    from bench.native import NativeFeeder  # noqa: PLC0415 - one of two

    return NativeFeeder(spi, load)
