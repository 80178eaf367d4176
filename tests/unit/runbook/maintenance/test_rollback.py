"""Settings of the last successful start again."""

from __future__ import annotations

import io
import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pydantic import ValidationError

from runbook.actions.rollback import RollbackParameters, rollback
from runbook.maintenance import restore as restoring
from runbook.maintenance import snapshots as keeping
from runbook.maintenance.restore import GATEWAY, RUNBOOK
from runbook.maintenance.snapshots import SettingsHistory, remember
from runbook.model import ActionResult
from runbook.settings import RunbookSettings


class Site:
    """Three files: variables, a TOML file, and secrets."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.env = desk.root / ".env.live"
        self.toml = desk.root / "feedgate.toml"
        self.runtime = desk.root / ".env.runtime"
        self.write(
            "ACTIVE_FEED=primary\nOPS_API_PORT=9180\n", "[runbook]\n[bus]\nurl='a'\n", "CTP_PRIMARY_PASSWORD=pl4nted\n"
        )
        self.env.chmod(0o640)

    def write(self, env: str, toml: str, runtime: str) -> None:
        self.env.write_text(env)
        self.toml.write_text(toml)
        self.runtime.write_text(runtime)

    def started(self) -> str:
        return remember(self.desk.settings.state_dir, self.desk.clock, [self.env, self.toml, self.runtime])

    async def back(self, to: str = "", **more: Any) -> ActionResult:
        return await rollback(self.desk.context("rollback", **more), RollbackParameters(to=to))

    def history(self) -> SettingsHistory:
        return SettingsHistory(self.desk.settings.state_dir, self.desk.clock)


@pytest.fixture
def site(desk: Any) -> Site:
    return Site(desk)


async def test_the_files_of_the_last_good_start_come_back_and_the_replaced_ones_are_kept(site: Site) -> None:
    before = site.env.read_bytes(), site.toml.read_bytes()
    site.started()
    site.write("ACTIVE_FEED=backup\nOPS_API_PORT=9180\n", "broken [", "CTP_PRIMARY_PASSWORD=other\n")
    result = await site.back()
    assert (site.env.read_bytes(), site.toml.read_bytes()) == before
    assert stat.S_IMODE(site.env.stat().st_mode) == 0o640
    assert result.details["changed"] == {str(site.env): ["ACTIVE_FEED"], str(site.toml): ["(cannot be read)"]}
    # secrets cannot come back, and that is said
    assert result.exit_code == 1
    assert site.runtime.read_text() == "CTP_PRIMARY_PASSWORD=other\n"
    assert "runbook secrets pull" in result.message
    forward = await site.back(result.details["replaced"])
    assert forward.details["changed"]
    assert site.toml.read_text() == "broken ["
    assert not [path for path in site.desk.root.iterdir() if path.name.startswith(".draft")]


@pytest.mark.parametrize(
    ("env", "toml", "restart"),
    [
        ("ACTIVE_FEED=backup\nOPS_API_PORT=9180\n", "[runbook]\n[bus]\nurl='a'\n", [GATEWAY]),
        ("ACTIVE_FEED=primary\nOPS_API_PORT=9181\n", "[runbook]\n[bus]\nurl='a'\n", [RUNBOOK]),
        ("# only words\nACTIVE_FEED=primary\nOPS_API_PORT=9180\n", "[runbook]\n[bus]\nurl='a'\n", []),
        ("ACTIVE_FEED=primary\nOPS_API_PORT=9180\n", "[bus]\nurl='b'\n", [GATEWAY, RUNBOOK]),
    ],
)
async def test_it_says_what_to_restart(site: Site, env: str, toml: str, restart: list[str]) -> None:
    site.started()
    site.write(env, toml, "CTP_PRIMARY_PASSWORD=pl4nted\n")
    result = await site.back()
    assert (result.exit_code, result.details["restart"]) == (0, restart)


async def test_it_refuses_when_no_start_has_succeeded(site: Site) -> None:
    result = await site.back()
    assert result.exit_code == 2
    assert "no start has succeeded yet" in result.message


async def test_secrets_are_never_copied_and_the_copies_are_for_the_owner_only(site: Site) -> None:
    site.started()
    kept = [path for path in (site.desk.settings.state_dir / "settings").rglob("*") if path.is_file()]
    assert len(kept) == 3  # two contents, one snapshot
    for path in kept:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "pl4nted" not in path.read_text()


async def test_settings_that_are_in_place_are_not_touched(site: Site) -> None:
    site.started()
    inode = site.env.stat().st_ino
    result = await site.back()
    assert result.exit_code == 1
    assert "in place already" in result.message
    assert site.env.stat().st_ino == inode


async def test_an_older_start_can_be_chosen_and_equal_starts_are_one(site: Site) -> None:
    first = site.started()
    assert site.started() == first
    await site.desk.clock.advance(60)
    site.env.write_text("ACTIVE_FEED=backup\n")
    assert site.started() != first
    assert (await site.back(first)).exit_code == 0
    assert "primary" in site.env.read_text()
    assert (await site.back("nonsense")).exit_code == 2


async def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.started()
    site.write("ACTIVE_FEED=backup\n", "[bus]\n", "CTP_PRIMARY_PASSWORD=pl4nted\n")
    real = restoring.settle

    def full(file: Any, temporary: Path, path: Path) -> None:
        if path == site.toml:
            raise OSError(28, "No space left on device", str(path))
        real(file, temporary, path)

    monkeypatch.setattr(restoring, "settle", full)
    result = await site.back()
    assert result.exit_code == 2
    assert "all are as they were" in result.message
    assert site.env.read_text() == "ACTIVE_FEED=backup\n"
    assert site.toml.read_text() == "[bus]\n"


async def test_a_copy_that_was_changed_is_not_brought_back(site: Site) -> None:
    site.started()
    for path in (site.desk.settings.state_dir / "settings" / "objects").iterdir():
        path.write_text("ACTIVE_FEED=evil\n")
    site.env.write_text("ACTIVE_FEED=backup\n")
    result = await site.back()
    assert result.exit_code == 2
    assert site.env.read_text() == "ACTIVE_FEED=backup\n"


async def test_a_rollback_that_died_in_the_middle_is_finished_by_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.started()
    site.write("ACTIVE_FEED=backup\n", "[bus]\n", "CTP_PRIMARY_PASSWORD=pl4nted\n")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_replace", dies)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(site.history(), site.history().snapshots()[0])
    result = await site.back()
    assert result.exit_code == 0
    assert "interrupted" in result.message
    assert "primary" in site.env.read_text()
    assert not site.history().pending.exists()


async def test_a_dry_run_changes_nothing(site: Site) -> None:
    site.started()
    site.env.write_text("ACTIVE_FEED=backup\n")
    result = await site.back(dry_run=True)
    assert "would be brought back" in result.message
    assert site.env.read_text() == "ACTIVE_FEED=backup\n"
    assert not site.history().snapshots("replaced")


def test_a_start_does_not_fail_because_its_settings_cannot_be_kept(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.desk.settings.state_dir.write_text("a file in its place")
    assert site.started() == ""
    assert "cannot be kept" in caplog.text


# -- secrets in the settings files themselves ----------------------------------------------------------------------

SECRETS = ("Pl4nted-one", "Pl4nted-two", "Pl4nted-three", "Pl4nted-four", "Pl4nted-five", "Pl4nted-six", "Pl4nted-7")
ENV = """\
# the desk's file; CTP_PRIMARY_PASSWORD was Pl4nted-one in spring
ACTIVE_FEED=primary
CTP_PRIMARY_USER_ID=160219
export CTP_PRIMARY_PASSWORD='Pl4nted-one'  # from the broker
CTP_PRIMARY_AUTH_CODE="secret:vault:ctp/live#auth"
#CTP_BACKUP_PASSWORD=Pl4nted-two
NATS_URL=nats://desk:Pl4nted-three@10.0.0.1:4222
OPS_API_TOKENS=operator:wei:Pl4nted-four

RUNBOOK_NOTIFY__URLS=slack://Pl4nted-five/B
VENDOR_API_KEY=Pl4nted-six
DRILL_HEALTH_CMD="check --as Pl4nted-six"
"""
TOML = """\
[bus]
connect_timeout_s = 3
# password = "Pl4nted-two"
[feeds.ctp.accounts.primary]
user_id = "160219"
password = 'Pl4nted-one'
[runbook.api]
tokens = ["operator:wei:Pl4nted-four", "viewer:li:Pl4nted-7"]
[runbook]
audit_key = "Pl4nted-three-and-sixteen"
"""


def planted(site: Site) -> list[Path]:
    """Files below the state directory that hold a secret."""
    below = site.desk.settings.state_dir.rglob("*")
    return [path for path in below if path.is_file() and any(one.encode() in path.read_bytes() for one in SECRETS)]


async def test_no_secret_of_a_settings_file_is_kept_and_a_rollback_leaves_those_of_now(site: Site) -> None:
    site.write(ENV, TOML, "CTP_PRIMARY_PASSWORD=pl4nted\n")
    site.started()
    assert planted(site) == []
    # somebody enters a new password and token, and breaks something else
    env = ENV.replace("'Pl4nted-one'", "'New-passw0rd'").replace("=primary", "=backup")
    site.env.write_text(env)
    site.toml.write_text(TOML.replace("viewer:li:Pl4nted-7", 'viewer:li:New\\"token').replace("= 3", "= 300"))
    result = await site.back()
    assert result.exit_code == 0, result.message
    assert result.details["changed"] == {str(site.env): ["ACTIVE_FEED"], str(site.toml): ["bus"]}
    now = dotenv_values(site.env)
    assert now == dotenv_values(stream=io.StringIO(ENV)) | {"CTP_PRIMARY_PASSWORD": "New-passw0rd"}
    table = tomllib.loads(site.toml.read_text())
    assert table["bus"] == {"connect_timeout_s": 3}
    assert table["runbook"]["api"]["tokens"] == ["operator:wei:Pl4nted-four", 'viewer:li:New"token']
    assert table["feeds"]["ctp"]["accounts"]["primary"]["password"] == "Pl4nted-one"
    assert planted(site) == []
    await site.back(result.details["replaced"])
    assert dotenv_values(site.env)["ACTIVE_FEED"] == "backup"
    assert tomllib.loads(site.toml.read_text())["bus"] == {"connect_timeout_s": 300}


async def test_a_secret_that_is_not_there_any_more_is_named_and_not_invented(site: Site) -> None:
    site.write(ENV, TOML, "")
    site.started()
    site.env.write_text("ACTIVE_FEED=backup\n")
    site.toml.write_text(TOML.replace("audit_key", "log_dir").replace("password =", "#"))
    result = await site.back()
    assert result.exit_code == 1
    missing = result.details["secrets_missing"]
    assert "CTP_PRIMARY_PASSWORD" in missing[str(site.env)]
    assert missing[str(site.toml)] == ["feeds.ctp.accounts.primary.password", "runbook.audit_key"]
    assert "CTP_PRIMARY_PASSWORD" in result.message
    assert dotenv_values(site.env)["CTP_PRIMARY_PASSWORD"] == ""
    assert "left out" not in site.toml.read_text().partition("[runbook]")[2]


async def test_secrets_of_a_file_that_cannot_be_read_now_are_not_thrown_away(site: Site) -> None:
    site.write(ENV, TOML, "")
    site.started()
    site.toml.write_text(TOML + "broken [")
    result = await site.back()
    assert result.exit_code == 2
    assert "its secrets would be lost" in result.message
    assert site.toml.read_text() == TOML + "broken ["


async def test_a_failed_rollback_leaves_the_secrets_where_they_were(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(ENV, TOML, "")
    site.started()
    env, toml = ENV.replace("=primary", "=backup"), TOML.replace("= 3", "= 300")
    site.write(env, toml, "")
    real = restoring.settle

    def full(file: Any, temporary: Path, path: Path) -> None:
        if path == site.toml:
            raise OSError(28, "No space left on device", str(path))
        real(file, temporary, path)

    monkeypatch.setattr(restoring, "settle", full)
    assert (await site.back()).exit_code == 2
    assert (site.env.read_text(), site.toml.read_text()) == (env, toml)


def test_what_an_older_version_kept_is_cleansed_by_the_next_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(ENV, TOML, "")
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "without_secrets", lambda _path, data, _known: data)
        first = site.started()
    assert len(planted(site)) == 2
    second = site.started()
    assert planted(site) == []
    assert second == first  # its files are the same, and so it is still the one to go back to


def test_a_file_whose_secrets_cannot_be_told_from_the_rest_is_not_copied(site: Site) -> None:
    site.write("ACTIVE_FEED=primary\n", 'password = """\nPl4nted-one"""\n', "")
    site.started()
    assert planted(site) == []
    (kept,) = [one for one in site.history().snapshots()[0].files if one.path == str(site.toml)]
    assert not kept.copied


async def test_the_image_of_the_last_good_start_is_named_where_compose_reads_it(site: Site) -> None:
    file = site.desk.root / "release" / "image.env"
    history = site.history()
    history.remember([site.env, site.toml], image="0.1.0")
    site.desk.configure(image_tag="0.2.0", image_file=file)
    dry = await site.back(dry_run=True)
    assert "would be written to" in dry.message
    assert not file.exists()
    result = await site.back(profile="live")
    assert (result.exit_code, result.details["image"]) == (0, "0.1.0"), result.message
    assert file.read_text() == "FEEDGATE_IMAGE_TAG=0.1.0\n"
    assert "docker compose --env-file …/image.env --profile live up -d" in result.message
    # forward again: what ran before the rollback is kept with its image
    site.desk.configure(image_tag="0.1.0", image_file=file)
    forward = await site.back(result.details["replaced"])
    assert (forward.details["image"], file.read_text()) == ("0.2.0", "FEEDGATE_IMAGE_TAG=0.2.0\n")


async def test_without_a_file_for_it_the_image_is_only_said(site: Site) -> None:
    site.history().remember([site.env], image="0.1.0")
    site.desk.configure(image_tag="0.2.0")
    result = await site.back()
    assert "FEEDGATE_IMAGE_TAG=0.1.0 docker compose" in result.message
    assert result.exit_code == 0


async def test_the_same_image_is_no_change_and_another_one_is_a_snapshot_of_its_own(site: Site) -> None:
    history = site.history()
    history.remember([site.env], image="0.1.0")
    history.remember([site.env], image="0.1.0")
    assert len(history.snapshots()) == 1
    await site.desk.clock.advance(1)
    history.remember([site.env], image="0.2.0")
    assert [one.image for one in history.snapshots()] == ["0.2.0", "0.1.0"]
    site.desk.configure(image_tag="0.2.0", image_file=site.desk.root / "image.env")
    result = await site.back()
    assert (result.exit_code, result.details["image"]) == (1, "")
    assert "in place already" in result.message
    assert not (site.desk.root / "image.env").exists()


async def test_when_the_files_cannot_be_replaced_the_image_stays_as_well(site: Site, monkeypatch) -> None:
    file = site.desk.root / "image.env"
    file.write_text("FEEDGATE_IMAGE_TAG=0.2.0\n")
    site.history().remember([site.env, site.toml], image="0.1.0")
    site.write("ACTIVE_FEED=backup\n", "[bus]\n", "")
    site.desk.configure(image_tag="0.2.0", image_file=file)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restoring, "settle", full)
    result = await site.back()
    assert result.exit_code == 2
    assert file.read_text() == "FEEDGATE_IMAGE_TAG=0.2.0\n"


async def test_a_snapshot_of_an_older_version_has_no_image_and_still_comes_back(site: Site) -> None:
    site.started()
    (path,) = (site.desk.settings.state_dir / "settings" / "snapshots").glob("*.json")
    value = json.loads(path.read_text())
    del value["image"]
    path.write_text(json.dumps(value))
    site.desk.configure(image_tag="0.2.0", image_file=site.desk.root / "image.env")
    site.env.write_text("ACTIVE_FEED=backup\n")
    result = await site.back()
    assert (result.exit_code, result.details["image"]) == (0, "")
    assert not (site.desk.root / "image.env").exists()


def test_a_tag_that_no_image_can_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="no tag of an image"):
        RunbookSettings(image_tag="bad tag; rm")
