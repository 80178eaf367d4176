"""``runbook secrets pull`` and ``runbook secrets clear``: what the actions of these names do. Both block."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.clock import Clock
from runbook.model import ActionResult, Exit
from runbook.secrets.place import Place, place_of
from runbook.secrets.runtime_file import clear_runtime, write_runtime
from runbook.secrets.session import VaultSession
from runbook.secrets.variables import check_lines, variables_of
from runbook.settings import VaultSettings

_NO_GUARANTEE: Final = (
    "its bytes were overwritten first, which flash storage, journals, snapshots and backups may not follow: "
    "rotate the credentials if the disk leaves your hands"
)


def operators_place(settings: VaultSettings) -> Place:
    """Where the operators' variables are: ``secret/ctp/live``, unless the settings say otherwise. Raises VaultError."""
    return place_of(f"{settings.mount.strip('/')}/{settings.path.strip('/')}", settings.mount)


def pull(settings: VaultSettings, clock: Clock, *, dry_run: bool = False, version: int = 0) -> ActionResult:
    """Write the variables that Vault has to the runtime file, mode 0600; a dry run reads and checks only.

    ``version``: of the secret; 0: the current one.
    The result names variables, never values. Raises VaultError or RuntimeFileError (exit code 11); the file that was
    there before is then still there, whole.
    """
    place = operators_place(settings)
    with VaultSession(settings, clock) as session:
        secret = session.read(Place(place.mount, place.path, version))
    found = variables_of(secret.values, str(place))
    check_lines(found.values)
    path = settings.runtime_file
    if not dry_run:
        write_runtime(path, found.values, source=str(place), version=secret.version)
    verb = "would be written" if dry_run else "written"
    count = f"{len(found.values)} variable{'' if len(found.values) == 1 else 's'}"
    message = f"{count} of {place} version {secret.version} {verb} to {path}"
    if found.foreign:
        message += f"; left out, no setting has the name: {', '.join(found.foreign)}"
    if found.empty:
        message += f"; left out, empty: {', '.join(found.empty)}"
    details = {
        "file": str(path),
        "source": str(place),
        "version": secret.version,
        "created": secret.created,
        "variables": sorted(found.values),
        "left_out": [*found.foreign, *found.empty],
        "dry_run": dry_run,
    }
    return ActionResult(exit_code=Exit.OK, message=message, details=details)


def clear(path: Path, *, dry_run: bool = False) -> ActionResult:
    """Remove the runtime file (``settings.vault.runtime_file``). A second time it has nothing to do, and is fine.

    Raises RuntimeFileError (exit code 11) for a file or directory that cannot be touched safely.
    """
    if dry_run:
        there = path.is_file()
        message = f"{path} would be removed" if there else f"{path} is not there"
        return ActionResult(exit_code=Exit.OK, message=message, details={"file": str(path), "removed": False})
    removed = clear_runtime(path)
    message = f"{path} is removed; {_NO_GUARANTEE}" if removed else f"{path} is not there, nothing to remove"
    return ActionResult(exit_code=Exit.OK, message=message, details={"file": str(path), "removed": removed})
