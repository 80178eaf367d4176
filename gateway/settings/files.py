"""Settings files, before anybody knows which of their names are settings: ``.env`` files and TOML.

All functions block on the file. What is wrong with one becomes a finding of the layer, with its name and line.
"""

from __future__ import annotations

import io
import logging
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream

from gateway.settings.layers import Layer
from gateway.settings.names import Loc

logger = logging.getLogger(__name__)

DEEPEST: Final = 16
"""Tables within tables."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def variables_of(path: Path, layer: Layer) -> dict[str, tuple[str, str]]:
    """The variables of a ``.env`` file, each with its text and where it stands; of two of one name the later.

    ``NAME=value``, quotes and comments as usual; ``$`` is an ordinary character.
    """
    found: dict[str, tuple[str, str]] = {}
    for binding in parse_stream(io.StringIO(_read(path, layer) or "")):
        original = binding.original.string
        blank_lines = original[: len(original) - len(original.lstrip())].count("\n")
        where = f"{path} line {binding.original.line + blank_lines}"
        if binding.error or (binding.key is not None and binding.value is None):
            layer.findings.append(f"{where}: not NAME=value; write one variable a line, or begin it with #")
        elif binding.key is not None and binding.value is not None:
            found[binding.key] = (binding.value, where)
    return found


def toml_of(path: Path, layer: Layer) -> dict[str, Any]:
    """What a TOML file holds; nothing when it cannot be read."""
    text = _read(path, layer)
    if text is None:
        return {}
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError) as wrong:
        # ValueError: an impossible date, or an integer with thousands of digits; its text may show the value.
        said = str(wrong) if isinstance(wrong, tomllib.TOMLDecodeError) else "a value that cannot be read"
        layer.findings.append(f"{path}: not TOML: {said}; correct that line")
    except RecursionError:
        layer.findings.append(f"{path}: not TOML: nested too deeply; flatten it")
    return {}


def leaves(table: Mapping[str, Any], loc: Loc = ()) -> Iterator[tuple[Loc, Any]]:
    """Each value of a table and its place. What lies more than DEEPEST deep stays a table."""
    for key, value in table.items():
        if isinstance(value, dict) and value and len(loc) <= DEEPEST:
            yield from leaves(value, (*loc, key))
        else:
            yield (*loc, key), value


def warn_if_open(path: Path) -> None:
    """Log a warning when others than its owner can read the file: for files that hold secrets."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & _OTHERS:
        logger.warning("%s holds secrets and other users can read it; run: chmod 600 %s", path, path)


def _read(path: Path, layer: Layer) -> str | None:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        said = (isinstance(wrong, OSError) and wrong.strerror) or "not a usable path"
        layer.findings.append(f"{path}: cannot be read ({said}); give the path of a readable file")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        layer.findings.append(f"{path} line {line}: not UTF-8; save the file as UTF-8")
        return None
