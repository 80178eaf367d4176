"""``.env.runtime``: whole or not at all, 0600 from its first byte, and nobody else's hand in it."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.secrets import HiddenValues, RuntimeFileError, clear, origin_of
from runbook.secrets import runtime_file as module
from runbook.secrets.runtime_file import MARK, clear_runtime, write_runtime


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    return directory / ".env.runtime"


def write(path: Path, value: str = "x", version: int = 3) -> None:
    write_runtime(path, HiddenValues({"A": value}), source="secret/ctp/live", version=version)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_the_file_has_the_lines_and_says_where_they_are_from(path: Path) -> None:
    write(path)
    assert path.read_text() == f"{MARK}# from secret/ctp/live version 3\nA='x'\n"
    assert origin_of(path) == ("secret/ctp/live", 3)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.usefixtures("umask")
def test_the_mode_is_0600_whatever_the_umask(path: Path) -> None:
    write(path)
    assert mode_of(path) == 0o600
    path.chmod(0o644)
    write(path)
    assert mode_of(path) == 0o600


def test_no_byte_is_written_before_the_mode_is_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = os.write

    def watch(descriptor: int, data: bytes) -> int:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        assert [stat.S_IMODE(os.stat(path.parent / name).st_mode) for name in os.listdir(path.parent)] == [0o600]
        return real(descriptor, data[:3])  # short writes happen, too

    monkeypatch.setattr(module.os, "write", watch)
    write(path)
    assert set(seen) == {0o600}
    assert path.read_text().endswith("A='x'\n")


def test_it_is_created_with_0600_and_not_changed_to_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = os.open

    def watch(name: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if flags & os.O_CREAT:
            made.append((mode, bool(flags & os.O_EXCL), bool(flags & os.O_NOFOLLOW)))
        return real(name, flags, mode, **options)

    monkeypatch.setattr(module.os, "open", watch)
    write(path)
    assert made == [(0o600, True, True)]


def test_file_and_directory_are_synced_before_it_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync
    monkeypatch.setattr(module.os, "fsync", lambda fd: (synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)), real(fd)))
    write(path)
    assert synced == [False, True]


def test_a_failed_write_leaves_the_old_file_and_no_draft(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path)
    before = path.read_text()

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(RuntimeFileError, match="No space left on device"):
        write(path, "y")
    assert path.read_text() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_reader_sees_the_old_or_the_new_file_never_half_of_one(path: Path) -> None:
    values = [letter * 20_000 for letter in "xy"]
    write(path, values[0])
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text().partition("version 3\n")[2])

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(60):
        write(path, values[turn % 2])
    stop.set()
    thread.join()
    assert seen <= {f"A='{value}'\n" for value in values}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_can_write_is_refused_with_the_command(path: Path, mode: int) -> None:
    path.parent.chmod(mode)
    with pytest.raises(RuntimeFileError, match=f"chmod go-w {path.parent}"):
        write(path)
    assert os.listdir(path.parent) == []


def test_a_directory_above_that_others_can_write_is_refused_unless_sticky(path: Path) -> None:
    above = path.parent.parent
    above.chmod(0o777)
    with pytest.raises(RuntimeFileError, match=f"chmod go-w {above}"):
        write(path)
    above.chmod(0o1777)
    write(path)
    assert path.exists()


def test_a_directory_reached_by_a_link_is_judged_where_it_is(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    write(link / path.name)
    assert path.exists()
    path.parent.chmod(0o777)
    with pytest.raises(RuntimeFileError, match="chmod go-w"):
        write(link / path.name)


@pytest.mark.parametrize("act", [write, clear_runtime, origin_of])
def test_a_symbolic_link_in_place_of_the_file_is_refused_and_its_target_untouched(path: Path, act: object) -> None:
    target = path.parent.parent / "target"
    target.write_text(f"{MARK}precious")
    path.symlink_to(target)
    with pytest.raises(RuntimeFileError, match="symbolic link"):
        act(path)  # type: ignore[operator]  # parameters of a test are objects
    assert target.read_text() == f"{MARK}precious"
    assert path.is_symlink()


def test_a_draft_that_somebody_else_made_is_not_written_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = path.parent.parent / "target"
    target.write_text("precious")
    monkeypatch.setattr(module.secrets, "token_hex", lambda _n: "not-a-draft")
    (path.parent / f"{path.name}.not-a-draft.tmp").symlink_to(target)
    with pytest.raises(RuntimeFileError, match="File exists"):
        write(path)
    assert target.read_text() == "precious"


def test_a_second_name_of_the_file_is_refused_because_it_would_keep_the_secrets(path: Path) -> None:
    write(path)
    os.link(path, path.parent / "copy")
    with pytest.raises(RuntimeFileError, match="hard link"):
        clear_runtime(path)
    assert "A='x'" in path.read_text()


@pytest.mark.parametrize("act", [write, clear_runtime])
def test_a_file_that_is_not_ours_is_neither_replaced_nor_removed(path: Path, act: object) -> None:
    path.write_text("CTP_PRIMARY_PASSWORD=of-the-operator\n")
    with pytest.raises(RuntimeFileError, match="not written by `runbook secrets pull`"):
        act(path)  # type: ignore[operator]  # parameters of a test are objects
    assert path.read_text() == "CTP_PRIMARY_PASSWORD=of-the-operator\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_or_directory_of_another_user_is_refused(path: Path) -> None:
    write(path)
    os.chown(path, 1, 1)
    with pytest.raises(RuntimeFileError, match="belongs to another user"):
        write(path)
    path.unlink()
    os.chown(path.parent, 1, 1)
    with pytest.raises(RuntimeFileError, match="belongs to another user"):
        write(path)


def test_a_pipe_in_place_of_the_file_does_not_block(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(RuntimeFileError, match="not a regular file"):
        write(path)


def test_a_missing_directory_says_what_to_make(path: Path) -> None:
    with pytest.raises(RuntimeFileError, match="No such file or directory; make it"):
        write(path.parent / "missing" / ".env.runtime")


def test_clear_removes_the_file_once_and_says_that_overwriting_is_no_guarantee(path: Path) -> None:
    write(path)
    first = clear(path)
    assert first.ok
    assert first.details["removed"] is True
    assert "may not follow: rotate the credentials" in first.message
    assert not path.exists()
    second = clear(path)
    assert second.ok
    assert second.details["removed"] is False
    assert clear(path.parent / "missing" / ".env.runtime").ok


def test_clear_overwrites_before_it_removes(path: Path) -> None:
    write(path)
    with path.open("rb") as still_open:
        clear(path)
        content = still_open.read()
    assert set(content) == {0}


def test_a_dry_clear_leaves_the_file(path: Path) -> None:
    write(path)
    assert "would be removed" in clear(path, dry_run=True).message
    assert path.exists()


def test_what_a_killed_writer_left_goes_with_the_next_pull_or_clear(path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from runbook.secrets import runtime_file as m\n"
        "m.os.rename = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "m.write_runtime(Path(sys.argv[1]), m.HiddenValues({'A': 'x'}), source='secret/x', version=1)\n"
    )
    for act in (clear_runtime, write):
        killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
        assert killed.returncode == -9
        (draft,) = path.parent.glob("*.tmp")
        assert mode_of(draft) == 0o600
        act(path)  # type: ignore[operator]  # parameters of a test are objects
        assert not list(path.parent.glob("*.tmp"))


def test_a_directory_that_somebody_keeps_locked_is_an_error_not_a_wait_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_PAUSE_S", 0.0)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with pytest.raises(RuntimeFileError, match="locked by another process"):
            write(path)
    finally:
        os.close(descriptor)
    write(path)


def test_two_writers_at_once_leave_one_whole_file_and_no_draft(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from runbook.secrets import runtime_file as m\n"
        "for n in range(20):\n"
        "    m.write_runtime(Path(sys.argv[1]), m.HiddenValues({'A': sys.argv[2] * 5000}), source='s/x', version=1)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "xy"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert path.read_text().partition("version 1\n")[2] in {f"A='{letter * 5000}'\n" for letter in "xy"}
    assert os.listdir(path.parent) == [path.name]


def test_a_bare_file_name_means_the_working_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    write(Path(".env.runtime"))
    assert mode_of(path) == 0o600
