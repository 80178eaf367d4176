"""``gateway new-plugin``: which names it takes, and that it writes a whole project or nothing."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.loader import PluginRecord
from gateway.terminal.new_plugin import names, project
from gateway.terminal.new_plugin.command import new_plugin
from gateway.terminal.new_plugin.names import LONGEST, NewPluginRefusedError, check_name
from gateway.terminal.new_plugin.project import NewPluginError, files, write

OTHER = PluginRecord(name="brook_md", version="1.2", distribution="brook", status="loaded", provides=("feed brook",))
NAMES = ("acme", "x2", "acme_md_2", "abcdefghijklmnopqrstuvwx")


def everything(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_good_name_is_taken(name: str) -> None:
    assert len(name) <= LONGEST
    check_name(name, [OTHER])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "Acme",
        "2acme",
        "acme-md",
        "acme.md",
        "acme md",
        "_acme",
        "acme_",
        "a__b",
        "ácme",
        "a" * 25,
        "../acme",
        "acme\n",
    ],
)
def test_a_name_that_is_no_identifier_of_ours_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(NewPluginRefusedError, match="such as acme or acme_options") as told:
        check_name(name, [])
    assert repr(name) in str(told.value)
    assert told.value.exit_code == 64


@pytest.mark.parametrize("name", ["brook", "brook_md"])
def test_a_name_that_an_installed_plugin_or_its_feed_has_is_refused_with_its_owner(name: str) -> None:
    with pytest.raises(NewPluginRefusedError, match=r"is taken: brook 1\.2 brings it"):
        check_name(name, [OTHER])


def test_a_name_that_a_plugin_has_that_cannot_be_loaded_is_refused_too() -> None:
    failed = PluginRecord(name="broken", version="?", distribution="", status="failed", reason="ImportError")
    with pytest.raises(NewPluginRefusedError, match="broken"):
        check_name("broken", [failed])


@pytest.mark.parametrize("name", ["ctp", "sopt"])
def test_the_names_that_the_settings_have_rules_for_are_refused(name: str) -> None:
    with pytest.raises(NewPluginRefusedError, match="the settings have rules of their own"):
        check_name(name, [])


def test_a_name_whose_package_can_be_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway_brook").mkdir()
    (tmp_path / "gateway_brook" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NewPluginRefusedError, match="gateway_brook can be imported"):
        check_name("brook", [])


def test_a_name_whose_distribution_is_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "Feedgate_Brook.md-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Feedgate_Brook.md\nVersion: 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NewPluginRefusedError, match="feedgate-brook-md is installed"):
        check_name("brook_md", [])


def test_the_built_in_feeds_are_among_the_installed_plugins() -> None:
    with pytest.raises(NewPluginRefusedError, match="feedgate"):
        check_name("sim", names.installed_plugins())


# -- the project -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_project_has_its_own_name_everywhere_and_parses(name: str) -> None:
    written = files(name)
    assert written[f"src/gateway_{name}/py.typed"] == ""
    for path, text in written.items():
        assert ("acme" in name) or "acme" not in (path + text).lower(), path
        assert "template" not in path
        if path.endswith(".py"):
            ast.parse(text)
    settings = tomllib.loads(written["pyproject.toml"])
    assert settings["project"]["entry-points"]["feedgate"] == {name: f"gateway_{name}"}
    assert settings["project"]["name"] == f"feedgate-{name.replace('_', '-')}"
    assert set(tomllib.loads(written["gateway.toml"])["feeds"]) == {name}


@pytest.mark.parametrize("name", NAMES)
def test_the_project_is_clean_by_its_own_rules_however_long_its_name_is(name: str, tmp_path: Path) -> None:
    place = write(name, tmp_path)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_writes_the_files_that_it_names_and_says_what_to_type_next(tmp_path: Path) -> None:
    out = io.StringIO()
    assert new_plugin("brook", tmp_path, out) == 0
    place = tmp_path / "brook"
    there = [path.relative_to(place).as_posix() for path in everything(place) if path.is_file()]
    assert there == sorted(files("brook"))
    assert all(f"  {path}\n" in out.getvalue() for path in there)
    assert f"  cd {place}\n  pip install -e .\n  pytest\n  gateway check brook\n" in out.getvalue()
    assert [path.name for path in tmp_path.iterdir()] == ["brook"]
    assert place.stat().st_mode & 0o777 == (tmp_path / "brook" / "src").stat().st_mode & 0o777


def test_wrong_usage_is_one_message_with_exit_code_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-plugin", "Acme"]) == 64
    assert "'Acme' cannot be the name of a plugin" in capsys.readouterr().err
    assert everything(tmp_path) == []


# -- whole or not at all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_what_is_there_already_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "brook"
    if kind == "file":
        target.write_text("mine", encoding="utf-8")
    elif kind == "directory":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = everything(tmp_path)
    with pytest.raises(NewPluginRefusedError, match="is there already and stays as it is"):
        write("brook", tmp_path)
    assert everything(tmp_path) == before


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NewPluginRefusedError, match="is no directory; make it first"):
        write("brook", tmp_path / "nowhere")
    assert everything(tmp_path) == []


def test_nothing_is_left_when_the_disk_refuses_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = Path.write_text, 0

    def full(path: Path, *args: object, **options: object) -> int:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(28, "No space left on device")
        return real(path, *args, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(project.Path, "write_text", full)
    with pytest.raises(NewPluginError, match="cannot be written: No space left on device; name a directory"):
        write("brook", tmp_path)
    assert count == 5
    assert everything(tmp_path) == []
