"""Directories, disk, ledger, files with secrets. Root may run these, so nothing here relies on a refused right."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.testing.clock import ManualClock
from runbook.checks import Severity, directories, disk, ledger, runtime_file, secret_files
from runbook.checks.places import existing, file_system, write_error
from runbook.secrets import HiddenValues
from runbook.secrets.runtime_file import write_runtime
from tests.unit.runbook.checks.environment import PRIMARY, inspection, of, the_only, written

NOWHERE = Path("/proc/self/fdinfo")
"""A directory in which not even root can make a file."""
HOUR_NS = 3_600_000_000_000


def at(root: Path) -> dict[str, str]:
    """All directories below one."""
    return {
        "RUNBOOK_STATE_DIR": f"{root}/state",
        "RUNBOOK_LOG_DIR": f"{root}/logs",
        "RUNBOOK_ARCHIVE_DIR": f"{root}/logs/archive",
        "RUNBOOK_INCIDENT_DIR": f"{root}/logs/incidents",
        "RUNBOOK_SOAK_DIR": f"{root}/logs/soak",
        "RUNBOOK_VAULT__RUNTIME_FILE": f"{root}/.env.runtime",
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_missing_directories_are_no_trouble_where_they_can_be_made_and_fix_makes_them(tmp_path: Path) -> None:
    look = inspection(at(tmp_path))
    before = directories.check(look)
    assert {finding.severity for finding in before} == {Severity.INFO}
    done = directories.fix(look)
    assert f"mkdir -m 700 {tmp_path}/state (state)" in done
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 6
    assert {mode(path) for path in made} == {0o700}
    assert {finding.severity for finding in directories.check(look)} == {Severity.OK}
    assert directories.fix(look) == []


def test_fix_makes_directories_for_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        directories.fix(inspection(at(tmp_path)))
    finally:
        os.umask(old)
    assert mode(tmp_path / "logs") == mode(tmp_path / "state") == 0o700


def test_a_directory_in_which_nothing_can_be_made_is_an_error_in_live() -> None:
    environ = {"RUNBOOK_STATE_DIR": f"{NOWHERE}/state"}
    found = of(directories.check(inspection(environ)), Severity.ERROR)
    assert f"{NOWHERE}/state (state)" in found[0].what
    assert "RUNBOOK_STATE_DIR" in found[0].fix
    assert not of(directories.check(inspection(environ, profile="dev")), Severity.ERROR)


def test_a_file_in_place_of_a_directory_or_above_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    found = of(directories.check(inspection(at(tmp_path))), Severity.ERROR)
    texts = [finding.what for finding in found]
    assert any("state (state) is no directory" in text for text in texts)
    assert any("state/audit (audit) does not exist" in text for text in texts)


def test_an_existing_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    environ = at(tmp_path) | {"RUNBOOK_LOG_DIR": str(NOWHERE)}
    found = of(directories.check(inspection(environ)), Severity.ERROR)
    assert f"{NOWHERE} (logs) cannot be written" in found[0].what
    assert f"ls -ld {NOWHERE}" in found[0].fix


@pytest.mark.parametrize(("bits", "severity"), [(0o777, Severity.ERROR), (0o755, Severity.WARNING)])
def test_state_that_others_can_get_at_is_found(tmp_path: Path, bits: int, severity: Severity) -> None:
    look = inspection(at(tmp_path))
    directories.fix(look)
    (tmp_path / "state").chmod(bits)
    found = the_only(directories.check(look), severity)
    assert f"{tmp_path}/state (state)" in found.what
    assert f"{bits:04o}" in found.what
    assert found.fix.startswith("chmod ")
    assert mode(tmp_path / "state") == bits, "a check changes nothing"


def test_logs_may_be_read_by_others(tmp_path: Path) -> None:
    look = inspection(at(tmp_path))
    directories.fix(look)
    (tmp_path / "logs").chmod(0o755)
    assert {finding.severity for finding in directories.check(look)} == {Severity.OK}


def mounts(tmp_path: Path, *rows: tuple[str, str]) -> Path:
    lines = [f"36 35 98:0 / {point} rw,noatime shared:1 - {kind} source rw" for point, kind in rows]
    return written(tmp_path / "mountinfo", "\n".join(lines) + "\n")


def test_the_file_system_of_a_place_is_that_of_the_longest_mount_above_it(tmp_path: Path) -> None:
    table = mounts(tmp_path, ("/", "ext4"), (str(tmp_path), "nfs4"), (f"{tmp_path}x", "tmpfs"))
    found = file_system(tmp_path / "a" / "b", table)
    assert found is not None
    assert (found.mount, found.type) == (str(tmp_path), "nfs4")
    longer = tmp_path.with_name(f"{tmp_path.name}-longer")
    longer.mkdir()
    assert file_system(longer, table).type == "ext4"  # type: ignore[union-attr]  # None would fail the test as well
    assert file_system(Path("/"), table).type == "ext4"  # type: ignore[union-attr]  # None would fail the test as well
    assert file_system(Path("/"), tmp_path / "none") is None


def test_a_mount_point_with_a_blank_is_understood(tmp_path: Path) -> None:
    place = tmp_path / "two words"
    place.mkdir()
    table = mounts(tmp_path, ("/", "ext4"), (str(place).replace(" ", "\\040"), "cifs"))
    assert file_system(place, table).type == "cifs"  # type: ignore[union-attr]  # None would fail the test as well


@pytest.mark.parametrize(("kind", "words"), [("nfs4", "network file system"), ("tmpfs", "in memory")])
def test_state_on_a_disk_that_is_not_local_is_an_error(
    tmp_path: Path, kind: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = inspection(at(tmp_path))
    directories.fix(look)
    table = mounts(tmp_path, ("/", "ext4"), (str(tmp_path), kind))
    monkeypatch.setattr(directories, "file_system", lambda path: file_system(path, table))
    errors = of(directories.check(look), Severity.ERROR)
    assert len(errors) == 2, "state and audit, not the logs"
    assert words in errors[0].what
    assert "RUNBOOK_STATE_DIR" in errors[0].fix


def test_a_real_tmpfs_is_known() -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("no /dev/shm here")
    found = file_system(shared)
    assert found is not None
    assert found.type == "tmpfs"


def test_places_are_tried_and_not_guessed(tmp_path: Path) -> None:
    assert write_error(tmp_path) == ""
    assert list(tmp_path.iterdir()) == [], "nothing stays"
    assert write_error(NOWHERE) != ""
    assert existing(tmp_path / "a" / "b") == tmp_path.resolve()


def figures(*, free_mib: int, files: int = 1_000_000) -> os.statvfs_result:
    blocks = free_mib * 256
    return os.statvfs_result((4096, 4096, 10**9, blocks, blocks, 10**7, files, files, 0, 255))


@pytest.mark.parametrize(
    ("free_mib", "files", "severity"),
    [
        (100, 10**6, Severity.ERROR),
        (2_000, 10**6, Severity.WARNING),
        (50_000, 10**6, Severity.OK),
        (50_000, 5, Severity.ERROR),
    ],
)
def test_little_room_is_a_warning_and_none_an_error(free_mib: int, files: int, severity: Severity) -> None:
    found = disk.judge(inspection(), Path("/data"), "logs", figures(free_mib=free_mib, files=files))
    assert found.severity is severity
    assert "/data (logs)" in found.what
    assert f"{free_mib:,} MiB" in found.what
    assert "df -" in found.fix or severity is Severity.OK


def test_the_real_disk_is_measured_once_for_all_directories_on_it(tmp_path: Path) -> None:
    (found,) = disk.check(inspection(at(tmp_path) | {"FEEDGATE_LEDGER__PATH": f"{tmp_path}/gaps.sqlite"}))
    assert "state" in found.what
    assert "gap ledger" in found.what


def test_without_a_ledger_file_gaps_are_forgotten() -> None:
    found = the_only(ledger.check(inspection()), Severity.ERROR)
    assert "FEEDGATE_LEDGER__PATH=" in found.fix
    the_only(ledger.check(inspection(profile="dev")), Severity.WARNING)


def test_a_ledger_in_a_missing_or_closed_directory_is_an_error(tmp_path: Path) -> None:
    missing = inspection({"FEEDGATE_LEDGER__PATH": f"{tmp_path}/not/gaps.sqlite"})
    assert f"mkdir -m 700 -p {tmp_path}/not" in the_only(ledger.check(missing), Severity.ERROR).fix
    closed = inspection({"FEEDGATE_LEDGER__PATH": f"{NOWHERE}/gaps.sqlite"})
    assert f"{NOWHERE}/gaps.sqlite" in the_only(ledger.check(closed), Severity.ERROR).what


def test_a_ledger_that_is_a_database_or_not_there_yet_is_fine_and_any_other_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "gaps.sqlite"
    look = inspection({"FEEDGATE_LEDGER__PATH": str(path)})
    the_only(ledger.check(look), Severity.OK)
    assert not path.exists(), "a check makes no ledger"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE gaps (id)")
    database.commit()
    database.close()
    the_only(ledger.check(look), Severity.OK)
    path.write_bytes(b"not a database at all " * 100)
    assert f"mv {path} {path}.bad" in the_only(ledger.check(look), Severity.ERROR).fix


def test_files_with_secrets_that_others_can_read_are_found_and_closed(tmp_path: Path) -> None:
    source = written(tmp_path / ".env.live", "".join(f"{name}={value}\n" for name, value in PRIMARY.items()), 0o644)
    config = written(tmp_path / "feedgate.toml", '[feeds.ctp.accounts.primary]\npassword = "pl4nted"\n', 0o640)
    key = written(tmp_path / "key.pem", "pl4nted", 0o604)
    environ = {
        "NATS_URL": "tls://127.0.0.1:4222",
        "NATS_TLS_KEY": str(key),
        "NATS_TLS_CERT": str(key),
        "RUNBOOK_VAULT__RUNTIME_FILE": str(tmp_path / ".env.runtime"),
    }
    look = inspection(environ, env_files=[source], config=config)
    errors = of(secret_files.check(look), Severity.ERROR)
    assert [finding.fix for finding in errors] == [f"chmod 600 {path}" for path in (source, config, key)]
    assert "mode 0644" in errors[0].what
    done = secret_files.fix(look)
    assert done == [
        f"chmod 600 {source} (it was 0644)",
        f"chmod 600 {config} (it was 0640)",
        f"chmod 600 {key} (it was 0604)",
    ]
    assert {mode(path) for path in (source, config, key)} == {0o600}
    assert {finding.severity for finding in secret_files.check(look)} == {Severity.OK}
    assert secret_files.fix(look) == []


def test_fix_leaves_files_alone_that_somebody_merely_named_and_links(tmp_path: Path) -> None:
    notes = written(tmp_path / "notes.txt", "CTP_PRIMARY_USER_ID=u\n", 0o644)
    target = written(tmp_path / "target", "CTP_PRIMARY_USER_ID=u\n", 0o644)
    link = tmp_path / ".env.live"
    link.symlink_to(target)
    look = inspection(at(tmp_path), env_files=[notes, link])
    assert secret_files.fix(look) == []
    assert mode(notes) == mode(target) == 0o644
    assert f"chmod 600 {notes}" in the_only(secret_files.check(look), Severity.ERROR).fix


def test_the_file_of_a_secret_reference_is_looked_at(tmp_path: Path) -> None:
    store = written(tmp_path / "secrets.toml", 'key = "x"\n', 0o644)
    environ = at(tmp_path) | PRIMARY | {"CTP_PRIMARY_PASSWORD": f"secret:file:{store}#key"}
    assert f"chmod 600 {store}" in the_only(secret_files.check(inspection(environ)), Severity.ERROR).fix


def test_a_toml_file_without_secrets_may_be_read(tmp_path: Path) -> None:
    config = written(tmp_path / "feedgate.toml", "[metrics]\nport = 9100\n", 0o644)
    found = secret_files.check(inspection(at(tmp_path), config=config))
    assert [finding.severity for finding in found] == [Severity.INFO]


def test_pulled_secrets_grow_old(tmp_path: Path) -> None:
    path = tmp_path / "private" / ".env.runtime"
    path.parent.mkdir(mode=0o700)
    environ = {"RUNBOOK_VAULT__RUNTIME_FILE": str(path), "VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "t" * 20}
    assert the_only(runtime_file.check(inspection(environ)), Severity.ERROR).fix == "runbook secrets pull"
    write_runtime(path, HiddenValues({"CTP_PRIMARY_USER_ID": "u"}), source="secret/ctp/live", version=3)
    now_ns = path.stat().st_mtime_ns

    def aged(hours: float) -> ManualClock:
        return ManualClock(wall_ns=int(now_ns + hours * HOUR_NS))

    fresh = the_only(runtime_file.check(inspection(environ, clock=aged(2))), Severity.OK)
    assert "secret/ctp/live version 3 2.0 hours ago" in fresh.what
    old = the_only(runtime_file.check(inspection(environ, clock=aged(30))), Severity.WARNING)
    assert old.fix == "runbook secrets pull"
    future = the_only(runtime_file.check(inspection(environ, clock=aged(-1))), Severity.WARNING)
    assert "from the future" in future.what


def test_a_runtime_file_that_is_not_ours_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "private" / ".env.runtime"
    path.parent.mkdir(mode=0o700)
    written(path, "CTP_PRIMARY_PASSWORD=pl4nted\n")
    found = the_only(runtime_file.check(inspection({"RUNBOOK_VAULT__RUNTIME_FILE": str(path)})), Severity.ERROR)
    assert str(path) in found.what
    assert "pl4nted" not in str(found)


def test_no_runtime_file_and_no_vault_is_no_trouble(tmp_path: Path) -> None:
    the_only(runtime_file.check(inspection(at(tmp_path))), Severity.INFO)
