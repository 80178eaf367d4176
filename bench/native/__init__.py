"""Builds and loads the C++ feeder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.load import Load

SOURCE = Path(__file__).with_name("feeder.cpp")
BUILD = Path(__file__).parent.parent / "build"


class NoCompilerError(RuntimeError):
    """The native feeder cannot be had on this machine."""


def build() -> Path:
    """The shared library, compiled when its source has changed. Raises NoCompilerError with the next step."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = BUILD / f"feeder-{digest}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise NoCompilerError(
            "the native feeder needs a C++ compiler and there is no g++ here; "
            "install it (Debian: apt install g++) or measure with --source sim"
        )
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as work:
        out = Path(work) / "feeder.so"
        command = [compiler, "-std=c++17", "-O2", "-Wall", "-shared", "-fPIC", "-pthread", str(SOURCE)]
        done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoCompilerError(f"{compiler} could not build {SOURCE.name}:\n{done.stderr.strip()}")
        os.replace(out, library)  # noqa: PTH105 - atomic: two measurements may build at once
    return library


class NativeFeeder:
    """The C++ thread. Keeps ``spi`` alive: a director that is collected while it is called ends the process."""

    def __init__(self, spi: Any, load: Load) -> None:
        self._spi = spi
        library = ctypes.CDLL(str(build()))
        u64 = ctypes.c_uint64
        library.feeder_start.restype = ctypes.c_void_p
        library.feeder_start.argtypes = [ctypes.c_void_p, ctypes.c_char_p, *[u64] * 7]
        library.feeder_stop.restype = None
        library.feeder_stop.argtypes = [ctypes.c_void_p]
        self._stop = library.feeder_stop
        self._handle: int | None = library.feeder_start(
            int(spi.this),
            load.control.encode(),
            load.instruments,
            load.warm,
            load.total,
            load.rate,
            load.window,
            load.lines,
            load.place,
        )
        if self._handle is None:
            raise RuntimeError(f"the feeder could not map {load.control}")

    def stop(self) -> None:
        """Blocks until the thread has ended. Idempotent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._stop(handle)
