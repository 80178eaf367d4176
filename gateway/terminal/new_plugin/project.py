"""The files of a new plugin project, written whole or not at all."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from gateway.errors import FeedgateError
from gateway.hookspecs import PROJECT
from gateway.terminal.new_plugin.names import NewPluginRefusedError, distribution_of, package_of

_SUFFIX: Final = ".template"
_EXAMPLE: Final = "acme"
"""The templates are a plugin of this name: what they say is what is checked, with another name in its place."""


class NewPluginError(FeedgateError):
    """The disk refused; nothing was left behind."""

    code = "new_plugin"


def files(name: str) -> Mapping[str, str]:
    """Path inside the project → text, for a checked name."""
    package = package_of(name)
    found = {f"src/{package}/py.typed": ""}
    for path, text in _templates(resources.files(__package__) / "templates", ""):
        place = path.removesuffix(_SUFFIX).replace("src/package/", f"src/{package}/")
        found[".gitignore" if place == "gitignore" else place] = _renamed(text, name)
    return dict(sorted(found.items()))


def _templates(directory: Traversable, prefix: str) -> list[tuple[str, str]]:
    found = []
    for entry in directory.iterdir():
        if entry.is_dir():
            found += _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            found.append((prefix + entry.name, entry.read_text(encoding="utf-8")))
    return found


def _renamed(text: str, name: str) -> str:
    words = {
        f"{PROJECT}-{_EXAMPLE}": distribution_of(name),
        _EXAMPLE: name,
        _EXAMPLE.upper(): name.upper(),
        _EXAMPLE.capitalize(): "".join(part.capitalize() for part in name.split("_")),
    }
    # in one go: the new name may contain the old one
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def write(name: str, directory: Path) -> Path:
    """Make ``directory/name``. Raises NewPluginRefusedError when it is there, NewPluginError when the disk refuses."""
    target = directory / name
    if not directory.is_dir():
        raise NewPluginRefusedError(f"{directory} is no directory; make it first, or name another with --directory")
    if target.exists() or target.is_symlink():
        raise NewPluginRefusedError(
            f"{target} is there already and stays as it is; choose another name, or another place with --directory"
        )
    try:
        # made beside its place and then moved there: a project is never seen, or left, half-written
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=directory) as staging:
            project = Path(staging) / name
            for path, text in files(name).items():
                file = project / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            project.rename(target)
    except OSError as error:
        raise NewPluginError(
            f"{target} cannot be written: {error.strerror or error}; name a directory that you may write to with "
            "--directory",
            path=str(target),
        ) from error
    return target
