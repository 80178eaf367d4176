"""The locale that the vendor library needs, built without root.

The library calls for ``zh_CN.GB18030`` while it is imported and aborts the process when the C library does not
have it. ``localedef`` can write it into any directory, and a process started with ``LOCPATH`` set to that directory
finds it. Building takes some seconds, once per user and C library version.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import PluginError

NAME = "zh_CN.GB18030"
_SOURCES = ("locales/zh_CN", "charmaps/GB18030")
_FIX = "install the package `locales` (Debian, Ubuntu: apt-get install locales)"
_TIMEOUT_S = 120.0
_LC_ALL_MASK = 0x1FBF


def directory_of(options: Mapping[str, Any]) -> Path:
    """Where the built locale lives: option ``locale_dir``, else a per-user cache directory."""
    chosen = options.get("locale_dir")
    if chosen:
        return Path(str(chosen))
    return Path.home() / ".cache" / "feedgate" / f"locale-{'-'.join(platform.libc_ver())}"


def environment(options: Mapping[str, Any]) -> dict[str, str]:
    """``{"LOCPATH": …}`` for the line's process, or nothing when the system has the locale. Blocking, seconds.

    Raises PluginError that names the package to install.
    """
    directory = directory_of(options)
    if not is_built(directory):
        if in_system_archive():
            return {}
        build(directory)
    return {"LOCPATH": str(directory)}


def findings(options: Mapping[str, Any], *, i18n: Path = Path("/usr/share/i18n")) -> list[str]:
    """What is missing to have the locale, each with its fix. Builds nothing."""
    if is_built(directory_of(options)) or in_system_archive():
        return []
    if shutil.which("localedef") is None:
        return [f"the vendor library needs the locale {NAME} and `localedef` is not there to build it: {_FIX}"]
    return [_missing(i18n)] if not has_sources(i18n) else []


def is_built(directory: Path) -> bool:
    """Whether ``directory`` holds the locale."""
    return (directory / NAME / "LC_CTYPE").is_file()


def in_system_archive(localedef: str = "localedef") -> bool:
    """Whether the C library has the locale already."""
    try:
        listing = subprocess.run(
            [localedef, "--list-archive"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return NAME.lower().replace("-", "") in listing.stdout.lower()


def build(directory: Path, *, localedef: str = "localedef", i18n: Path = Path("/usr/share/i18n")) -> None:
    """Write the locale into ``directory``. Safe when several processes do it at once. Raises PluginError."""
    if not has_sources(i18n):
        raise PluginError(_missing(i18n), fix=_FIX)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=directory) as scratch:
            made = Path(scratch) / NAME
            _run_localedef(localedef, made)
            try:
                made.rename(directory / NAME)
            except OSError:
                if not is_built(directory):  # otherwise another process was faster, and its result is the same
                    raise
    except OSError as error:
        raise PluginError(
            f"cannot write the locale {NAME} to {directory}: {error.strerror}; "
            "set the option locale_dir to a writable directory",
        ) from None


def is_loadable() -> bool:
    """Whether this process finds the locale now. Changes nothing: no locale of the process is touched."""
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    libc.freelocale.argtypes = [ctypes.c_void_p]
    libc.freelocale.restype = None
    handle = libc.newlocale(_LC_ALL_MASK, NAME.encode(), None)
    if handle is None:
        return False
    libc.freelocale(handle)
    return True


def _run_localedef(localedef: str, target: Path) -> None:
    command = [localedef, "-i", "zh_CN", "-f", "GB18030", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise PluginError(f"`{localedef}` is not there to build the locale {NAME}: {_FIX}", fix=_FIX) from None
    except subprocess.TimeoutExpired:
        raise PluginError(f"`{localedef}` did not build the locale {NAME} within {_TIMEOUT_S:.0f} s") from None
    # localedef ends with 1 after mere warnings, so the result decides
    if done.returncode > 1 or not (target / "LC_CTYPE").is_file():
        words = " ".join(done.stderr.split())[-300:]
        raise PluginError(f"`{localedef}` could not build the locale {NAME} ({words}): {_FIX}", fix=_FIX)


def has_sources(i18n: Path) -> bool:
    """Whether ``localedef`` finds there what it builds from."""
    return all((i18n / name).exists() or (i18n / f"{name}.gz").exists() for name in _SOURCES)


def _missing(i18n: Path) -> str:
    return f"the vendor library needs the locale {NAME}, and its sources are not in {i18n}: {_FIX}"
