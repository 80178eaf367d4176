"""Archives on a real disk."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook.actions.archive import ArchiveParameters, make_archive
from runbook.maintenance.archive import archive
from runbook.maintenance.collect import Found, copy_consistently, files_below
from runbook.maintenance.tarball import ArchiveError, read_members

DAY = "20261120"


def names(path: Path) -> set[str]:
    return {member.name for member in read_members(path)}


def read(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


async def test_the_archive_of_the_day_holds_logs_and_soak_reports(desk: Any) -> None:
    desk.file("runbooks/health_check.log", "healthy\n")
    desk.file("runbooks/runs/a.log")
    desk.file("soak/report.json", "{}")
    result = await make_archive(desk.context("archive"), ArchiveParameters())
    assert (result.exit_code, result.details["archive"]) == (0, "20261120_runbook.tar.gz")
    path = desk.settings.archive_dir / "20261120_runbook.tar.gz"
    assert names(path) == {"runbooks/health_check.log", "runbooks/runs/a.log", "soak/report.json"}
    assert read(path, "runbooks/health_check.log") == b"healthy\n"
    assert [one.name for one in desk.settings.archive_dir.iterdir()] == [path.name]


def test_the_same_files_give_the_same_bytes_and_nothing_is_written_twice(desk: Any, tmp_path: Path) -> None:
    desk.file("runbooks/b.log", "b\n")
    desk.file("runbooks/a.log", "a\n")
    first = archive(desk.settings, DAY)
    assert first.path is not None
    data = first.path.read_bytes()
    again = archive(desk.settings, DAY)
    assert (again.path, again.written) == (first.path, False)
    first.path.unlink()
    assert archive(desk.settings, DAY).path == first.path
    assert first.path.read_bytes() == data


def test_an_archive_of_the_day_is_replaced_by_one_that_holds_all_of_it_and_by_no_other(desk: Any) -> None:
    log = desk.file("runbooks/a.log", "one\n")
    picture = desk.file("runbooks/20261120_startup.png", b"\x89PNG")
    first = archive(desk.settings, DAY).path
    log.write_text("one\ntwo\n")
    assert archive(desk.settings, DAY).path == first
    assert first is not None
    assert read(first, "runbooks/a.log") == b"one\ntwo\n"
    picture.unlink()
    second = archive(desk.settings, DAY).path
    assert second is not None
    assert second.name == "20261120_runbook_2.tar.gz"
    assert "runbooks/20261120_startup.png" in names(first)
    log.write_text("another\n")
    third = archive(desk.settings, DAY).path
    assert third is not None
    assert third.name == "20261120_runbook_3.tar.gz"


def test_links_lead_nowhere_and_secrets_stay_out(desk: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "private.log").write_text("private\n")
    desk.file("runbooks/a.log")
    desk.file("runbooks/.env.runtime", "CTP_PRIMARY_PASSWORD=p")
    desk.file("runbooks/server.pem")
    desk.file("runbooks/odd-name.txt", "the runtime file by its setting")
    (desk.settings.log_dir / "link.log").symlink_to(outside / "private.log")
    (desk.settings.log_dir / "folder").symlink_to(outside)
    made = archive(desk.settings, DAY)
    assert made.path is not None
    assert names(made.path) == {"runbooks/a.log"}
    assert {one.name for one in made.skipped} == {
        "runbooks/.env.runtime",
        "runbooks/server.pem",
        "runbooks/odd-name.txt",
        "runbooks/link.log",
        "runbooks/folder",
    }


def test_a_folder_that_becomes_a_link_in_between_is_not_followed(desk: Any, tmp_path: Path) -> None:
    desk.file("runbooks/runs/a.log", "ours\n")
    (found,) = [one for one in files_below(desk.settings.log_dir) if isinstance(one, Found)]
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.log").write_text("private\n")
    (desk.settings.log_dir / "runs").rename(tmp_path / "moved")
    (desk.settings.log_dir / "runs").symlink_to(tmp_path / "outside")
    with (tmp_path / "copy").open("w+b") as copy:
        assert "cannot be read" in str(copy_consistently(found, desk.settings.log_dir, copy))
        assert copy.tell() == 0


class Meddling(io.BytesIO):
    """Does something to the file each time that a part of it was copied."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        self._meddle = meddle

    def write(self, data: Any) -> int:
        self._meddle()
        return super().write(data)


def test_a_log_that_is_being_written_is_copied_up_to_a_whole_line(desk: Any) -> None:
    path = desk.file("runbooks/a.log", "one\ntwo\nthr")

    def append() -> None:
        with path.open("a") as file:
            file.write("ee\nfour")

    (found,) = [one for one in files_below(desk.settings.log_dir) if isinstance(one, Found)]
    copy = Meddling(append)
    copied = copy_consistently(found, desk.settings.log_dir, copy)
    assert copy.getvalue() == b"one\ntwo\n"
    assert copied == (8, found.mtime_ns)


def test_a_file_that_is_rewritten_once_is_copied_as_it_is_then_and_never_mixed(desk: Any) -> None:
    path = desk.file("runbooks/a.json", "aaaa")
    times = iter(range(1, 9))

    def rewrite() -> None:
        if (number := next(times)) == 1:
            path.write_text("bb")
            os.utime(path, ns=(number, number))

    (found,) = [one for one in files_below(desk.settings.log_dir) if isinstance(one, Found)]
    copy = Meddling(rewrite)
    assert copy_consistently(found, desk.settings.log_dir, copy) == (2, 1)
    assert copy.getvalue() == b"bb"


def test_a_file_that_never_rests_is_given_up(desk: Any) -> None:
    path = desk.file("runbooks/a.json", "aaaa")
    times = iter(range(1, 99))

    def rewrite() -> None:
        path.write_text("bbbb")
        os.utime(path, ns=(next(times),) * 2)

    (found,) = [one for one in files_below(desk.settings.log_dir) if isinstance(one, Found)]
    assert copy_consistently(found, desk.settings.log_dir, Meddling(rewrite)) == "is being rewritten all the time"


def test_a_damaged_archive_is_not_taken_for_one(desk: Any) -> None:
    desk.file("runbooks/a.log", "one\n" * 1000)
    path = archive(desk.settings, DAY).path
    assert path is not None
    data = path.read_bytes()
    for damaged in (data[:-20], data[: len(data) // 2], b"", data[:30] + bytes([data[30] ^ 1]) + data[31:]):
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=r"20261120_runbook.tar.gz"):
            read_members(path)


async def test_a_dry_run_lists_and_writes_nothing(desk: Any) -> None:
    desk.file("runbooks/a.log")
    result = await make_archive(desk.context("archive", dry_run=True), ArchiveParameters())
    assert result.details["names"] == ["runbooks/a.log"]
    assert not desk.settings.archive_dir.exists()


async def test_an_archive_directory_that_cannot_be_made_is_an_error_with_a_next_step(desk: Any) -> None:
    desk.file("runbooks/a.log")
    desk.file("archive", "a file in its place")
    result = await make_archive(desk.context("archive"), ArchiveParameters())
    assert result.exit_code == 2
    assert "correct the rights" in result.message


def test_incident_reports_are_archived_once(desk: Any) -> None:
    desk.file("runbooks/a.log")
    desk.file("incidents/incident_20261119_100000.tar.gz", b"report")
    first = archive(desk.settings, "20261119").path
    second = archive(desk.settings, DAY).path
    assert first is not None
    assert second is not None
    assert "incidents/incident_20261119_100000.tar.gz" in names(first)
    assert names(second) == {"runbooks/a.log"}
