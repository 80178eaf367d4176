"""``gateway new-plugin NAME``: checks the name, writes the project, says what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from gateway.terminal.new_plugin.names import check_name, installed_plugins, package_of
from gateway.terminal.new_plugin.project import files, write

_NEXT = """
Next:

  cd {target}
  pip install -e .
  pytest
  gateway check {name}
  cat README.md
"""


def new_plugin(name: str, directory: Path, out: TextIO) -> int:
    """Write the project and return 0. Raises NewPluginRefusedError or NewPluginError, and then wrote nothing."""
    check_name(name, installed_plugins())
    target = write(name, directory)
    out.write(f"wrote {target}: the feed {name}, package {package_of(name)}\n\n")
    out.writelines(f"  {path}\n" for path in files(name))
    out.write(_NEXT.format(target=target, name=name))
    return 0
