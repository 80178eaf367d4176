"""Settings that worked: copies of the files of each successful start, and the way back to them.

``state_dir/settings/``: ``objects/SHA256`` are contents, ``snapshots/ID.json`` say which files had which. Everything
is for its owner only. No secret is ever kept: contents have marks in the place of secrets, files of nothing but
secrets are not copied at all, and a snapshot names those with their hash. What older versions kept is cleansed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import stat
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from gateway.clock import Clock
from gateway.errors import FeedgateError
from runbook.maintenance.collect import is_secret
from runbook.maintenance.leaving_out import UnreadableError, secrets_in, without_secrets
from runbook.maintenance.placing import place
from runbook.runner.run import run_id, shanghai

log = logging.getLogger(__name__)

_OWNER: Final = 0o600
_OWNER_DIRECTORY: Final = 0o700
KEPT: Final = 50
"""Snapshots of each sort; contents that none of them has are removed."""
RUNTIME: Final = (".env.runtime",)
"""Not copied; an ``.env`` file itself is, because it is what an operator edits and wants back."""
Sort = Literal["good", "replaced"]


class SnapshotError(FeedgateError):
    """Settings cannot be kept or brought back."""

    code = "snapshot"


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a snapshot."""

    path: str
    """Absolute, links resolved."""
    sha256: str
    """Of the copy without secrets; of the file itself where there is no copy. Empty: there was no such file."""
    mode: int
    copied: bool
    """False: a file of secrets, or one whose secrets cannot be told from the rest; only the hash is kept."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files at one moment."""

    id: str
    at: str
    sort: Sort
    files: tuple[Kept, ...]
    image: str = ""
    """Tag of the image that ran on them; empty: none, or not known."""

    @property
    def content(self) -> frozenset[tuple[str, str]]:
        """What distinguishes it."""
        return frozenset((file.path, file.sha256) for file in self.files) | {("", self.image)}


class SettingsHistory:
    """The snapshots in ``state_dir``. All methods block; the runner's lock keeps two rollbacks apart."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._root = state_dir / "settings"
        self._clock = clock

    @property
    def pending(self) -> Path:
        """There while files are being brought back; left behind by a crash in the middle of it."""
        return self._root / "pending"

    def remember(
        self, files: Iterable[Path], secret_files: Collection[Path] = (), *, sort: Sort = "good", image: str = ""
    ) -> Snapshot:
        """Keep these files as they are now: call it after each start that succeeded. Raises SnapshotError or OSError.

        ``image`` is the tag of the image that runs. The same as the newest snapshot of its sort makes no new one.
        """
        secret = {path.resolve() for path in secret_files}
        given = set(files) | secret
        known = frozenset(one for path in given for one in secrets_in(path, _there(path)))
        self._cleanse(known)
        kept = tuple(sorted((self._keep(path, secret, known) for path in given), key=lambda one: one.path))
        now = self._clock.wall_ns()
        snapshot = Snapshot("", shanghai(now), sort, kept, image)
        if sort == "good":
            self.pending.unlink(missing_ok=True)  # whatever a rollback left undone, these settings work
        newest = next(iter(self.snapshots(sort)), None)
        if newest is not None and newest.content == snapshot.content:
            return newest
        digest = hashlib.sha256(json.dumps(sorted(snapshot.content)).encode()).hexdigest()[:8]
        snapshot = replace(snapshot, id=f"{now:020d}-{run_id(now, digest)}")
        self._make()
        place(self._root / "snapshots" / f"{snapshot.id}.json", _json(snapshot), mode=_OWNER)
        self._forget()
        return snapshot

    def snapshots(self, sort: Sort = "good") -> list[Snapshot]:
        """Newest first. A damaged one is left out and logged."""
        found = sorted((self._root / "snapshots").glob("*.json"), reverse=True)
        return [one for one in map(_read, found) if one is not None and one.sort == sort]

    def content(self, file: Kept) -> bytes:
        """What a file held. Raises SnapshotError when the copy is gone or not what it was."""
        path = self._root / "objects" / file.sha256
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SnapshotError(f"the kept copy of {file.path} cannot be read: {error.strerror} ({path})") from None
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise SnapshotError(f"the kept copy of {file.path} was changed ({path}); nothing is brought back from it")
        return data

    def _cleanse(self, known: Collection[str]) -> None:
        """Rewrite what an older version kept with its secrets; a file in which that cannot be done is no more kept."""
        if not self._root.exists():
            return
        for path in (self._root / "snapshots").glob("*.json"):
            if (old := _read(path)) is None:
                continue
            new = replace(old, files=tuple(self._cleansed(file, known) for file in old.files))
            if new != old:
                place(path, _json(new), mode=_OWNER)
        self._forget()

    def _cleansed(self, file: Kept, known: Collection[str]) -> Kept:
        if not file.copied or not file.sha256:
            return file
        try:
            data = (self._root / "objects" / file.sha256).read_bytes()
        except OSError:
            return file  # there is nothing of it to cleanse
        try:
            clean = without_secrets(Path(file.path), data, known)
        except UnreadableError:
            return replace(file, copied=False)
        if clean == data:
            return file
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return replace(file, copied=False)  # somebody changed it: nothing is to be brought back from it
        sha256 = hashlib.sha256(clean).hexdigest()
        place(self._root / "objects" / sha256, clean, mode=_OWNER)
        return replace(file, sha256=sha256)

    def _keep(self, given: Path, secret: Collection[Path], known: Collection[str]) -> Kept:
        path = given.resolve()
        by_reference = path in secret or given.name in RUNTIME or (is_secret(path.name) and ".env" not in path.name)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise SnapshotError(f"{path} is no regular file; name the settings files themselves")
            data = path.read_bytes()
        except FileNotFoundError:
            return Kept(str(path), "", 0, copied=not by_reference)
        if not by_reference:
            try:
                data = without_secrets(path, data, known)
            except UnreadableError as error:
                log.warning("%s cannot be kept to go back to: %s", path, error)
                by_reference = True
        sha256 = hashlib.sha256(data).hexdigest()
        if not by_reference:
            self._make()
            place(self._root / "objects" / sha256, data, mode=_OWNER)
        return Kept(str(path), sha256, stat.S_IMODE(status.st_mode), copied=not by_reference)

    def _make(self) -> None:
        for path in (self._root, self._root / "objects", self._root / "snapshots"):
            path.mkdir(mode=_OWNER_DIRECTORY, parents=True, exist_ok=True)

    def _forget(self) -> None:
        keep = [*self.snapshots("good")[:KEPT], *self.snapshots("replaced")[:KEPT]]
        ids = {one.id for one in keep}
        for path in (self._root / "snapshots").glob("*.json"):
            if path.stem not in ids and _read(path) is not None:
                path.unlink()
        used = {file.sha256 for one in keep for file in one.files if file.copied}
        for path in (self._root / "objects").glob("*"):
            if path.name not in used:
                path.unlink()


def remember(
    state_dir: Path, clock: Clock, files: Iterable[Path], secret_files: Collection[Path] = (), *, image: str = ""
) -> str:
    """For the supervisor, after a successful start: keep the settings files; gives the snapshot's id. Blocks.

    Never raises for a disk that takes nothing: a start does not fail because of it. Then the id is empty.
    """
    try:
        return SettingsHistory(state_dir, clock).remember(files, secret_files, image=image).id
    except (OSError, SnapshotError) as error:
        log.error("the settings of this start cannot be kept to go back to: %s", error)  # noqa: TRY400 - one line
        return ""


def _there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # whoever keeps the file says so


def _json(snapshot: Snapshot) -> bytes:
    return (json.dumps(asdict(snapshot), indent=1) + "\n").encode()


def _read(path: Path) -> Snapshot | None:
    try:
        value: Any = json.loads(path.read_bytes())
        files = tuple(Kept(**file) for file in value.pop("files"))
        return Snapshot(**value, files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        log.warning("%s is no snapshot of settings and is passed over", path)
        return None
