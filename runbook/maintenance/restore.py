"""Brings settings files back to a snapshot, all of them or none, and says what has to be restarted then."""

from __future__ import annotations

import hashlib
import io
import stat
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from dotenv import dotenv_values

from runbook.maintenance.leaving_out import UnreadableError, with_secrets
from runbook.maintenance.placing import draft, place, settle, sync
from runbook.maintenance.snapshots import Kept, SettingsHistory, Snapshot, SnapshotError
from runbook.settings import names

GATEWAY: Final = "gateway (`runbook restart`)"
RUNBOOK: Final = "runbook (`runbook serve`)"
IMAGE: Final = "FEEDGATE_IMAGE_TAG"
"""The variable that ``docker-compose.yml`` takes the image's tag from."""
_OWNER: Final = 0o600
_PUBLIC: Final = 0o644
"""A tag is no secret, and whoever starts the containers reads it."""
_Before = dict[str, tuple[bytes | None, int]]
"""Contents and modes of files, secrets included: in memory only."""


@dataclass(slots=True)
class Restored:
    """What was brought back, or in a dry run would be."""

    snapshot: Snapshot
    changed: dict[str, list[str]] = field(default_factory=dict)
    """By file, the names of settings that differ; never their values."""
    secrets_changed: list[str] = field(default_factory=list)
    """Files of secrets that are not what they were; they are not kept and cannot be brought back."""
    secrets_missing: dict[str, list[str]] = field(default_factory=dict)
    """By file, secrets that it had then and has not now; they are empty in what was brought back."""
    restart: list[str] = field(default_factory=list)
    replaced: Snapshot | None = None
    """What was there before, to go forward again."""
    image: str = ""
    """Tag of the image to go back to; empty: the one that runs, or none is known."""
    interrupted: bool = False
    """A rollback before this one did not come to its end."""


def restore(
    history: SettingsHistory,
    snapshot: Snapshot,
    *,
    dry_run: bool = False,
    image: str = "",
    image_file: Path | None = None,
) -> Restored:
    """Replace the files that differ. Blocks. Raises SnapshotError or OSError; then everything is as it was.

    Secrets stay those of the files as they are now. These are kept first, without their secrets, as a snapshot of the
    sort ``replaced``. New contents lie ready and synced beside all files before the first one is replaced. A crash
    between two replacements is finished by the next rollback. ``image`` is the tag of the image that runs: where the
    snapshot has another one, that one is written to ``image_file``.
    """
    result = Restored(snapshot, interrupted=history.pending.exists())
    wanted = {file: _whole(history, file, result) for file in snapshot.files if file.copied}
    changed = {file: data for file, data in wanted.items() if _now(file) != data}
    result.secrets_changed = [
        file.path for file in snapshot.files if not file.copied and _digest(Path(file.path)) != file.sha256
    ]
    for file, data in changed.items():
        result.changed[file.path] = sorted(_differing(file.path, _now(file) or b"", data or b""))
    result.restart = _restart(result)
    result.image = snapshot.image if snapshot.image != image else ""
    if dry_run:
        return result
    if changed or result.image:
        before = {file.path: (_now(file), _mode(file)) for file in changed}
        result.replaced = history.remember([Path(file.path) for file in wanted], sort="replaced", image=image)
        with _image_written(image_file, result.image):
            place(history.pending, snapshot.id.encode(), mode=_OWNER)
            _replace(history, changed, before)
    history.pending.unlink(missing_ok=True)
    return result


@contextmanager
def _image_written(path: Path | None, tag: str) -> Iterator[None]:
    """The tag in its file; as it was when the block fails. Raises OSError."""
    if path is None or not tag:
        yield
        return
    before = path.read_bytes() if path.exists() else None
    place(path, f"{IMAGE}={tag}\n".encode(), mode=_PUBLIC)
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            place(path, before, mode=_PUBLIC)
        raise


def _whole(history: SettingsHistory, file: Kept, result: Restored) -> bytes | None:
    """What the file is to hold: what was kept, with the secrets that it has now."""
    if not file.sha256:
        return None
    try:
        data, missing = with_secrets(Path(file.path), history.content(file), _now(file))
    except UnreadableError as error:
        raise SnapshotError(str(error)) from None
    if missing:
        result.secrets_missing[file.path] = missing
    return data


def _replace(history: SettingsHistory, changed: dict[Kept, bytes | None], before: _Before) -> None:
    done: list[str] = []
    with ExitStack() as stack:
        ready: list[tuple[Kept, IO[bytes], Path]] = []
        for file, data in changed.items():
            if data is not None:
                opened, temporary = stack.enter_context(draft(Path(file.path).parent, mode=file.mode))
                opened.write(data)
                opened.flush()
                ready.append((file, opened, temporary))
        try:
            for file, opened, temporary in ready:
                settle(opened, temporary, Path(file.path))
                done.append(file.path)
            for file, data in changed.items():
                if data is None:
                    Path(file.path).unlink()
                    done.append(file.path)
                    sync(Path(file.path).parent)
        except OSError as error:
            _undo(before, done)
            history.pending.unlink(missing_ok=True)
            raise SnapshotError(
                f"{error.filename or 'a settings file'} cannot be replaced: {error.strerror}; all are as they were"
            ) from error


def _undo(before: _Before, done: list[str]) -> None:
    for path in done:
        data, mode = before[path]
        if data is None:
            Path(path).unlink(missing_ok=True)
        else:
            place(Path(path), data, mode=mode)


def _mode(file: Kept) -> int:
    try:
        return stat.S_IMODE(Path(file.path).stat().st_mode)
    except FileNotFoundError:
        return file.mode


def _now(file: Kept) -> bytes | None:
    try:
        return Path(file.path).read_bytes()
    except FileNotFoundError:
        return None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _differing(path: str, now: bytes, then: bytes) -> set[str]:
    """Names of settings, or of tables of a TOML file, whose values differ."""
    before, after = _settings(path, now), _settings(path, then)
    if before is None or after is None:
        return {"(cannot be read)"}
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _settings(path: str, data: bytes) -> dict[str, Any] | None:
    try:
        text = data.decode("utf-8-sig")
        return tomllib.loads(text) if path.endswith(".toml") else dict(dotenv_values(stream=io.StringIO(text)))
    except (ValueError, RecursionError):
        return None


def _restart(result: Restored) -> list[str]:
    """Comments alone ask for no restart; what cannot be told apart asks for both."""
    found: set[str] = set()
    for path, changed in result.changed.items():
        for name in changed:
            toml = path.endswith(".toml")
            ours = name == names.TABLE if toml else names.resolve(name) is not None
            found |= {GATEWAY, RUNBOOK} if name.startswith("(") else {RUNBOOK if ours else GATEWAY}
    return sorted(found)
