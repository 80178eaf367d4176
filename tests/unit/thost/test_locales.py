from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.errors import LineError, PluginError
from gateway.thost import locales
from gateway.thost.family import Library, load


def fake_localedef(directory: Path, script: str) -> str:
    path = directory / "localedef"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def fake_i18n(directory: Path) -> Path:
    for name in ("locales/zh_CN", "charmaps/GB18030"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    return directory


GOOD = 'mkdir -p "$5" && touch "$5/LC_CTYPE"'


def test_missing_sources_are_named_with_the_package_to_install(tmp_path):
    with pytest.raises(PluginError, match="install the package `locales`"):
        locales.build(tmp_path / "out", i18n=tmp_path / "nowhere")


def test_the_locale_is_built_once_and_then_found(tmp_path):
    localedef, i18n = fake_localedef(tmp_path, GOOD), fake_i18n(tmp_path / "i18n")
    out = tmp_path / "out"
    assert not locales.is_built(out)
    locales.build(out, localedef=localedef, i18n=i18n)
    assert locales.is_built(out)
    assert locales.environment({"locale_dir": str(out)}) == {"LOCPATH": str(out)}
    assert [path.name for path in out.iterdir()] == ["zh_CN.GB18030"]


def test_losing_a_race_against_another_process_is_no_error(tmp_path):
    out = tmp_path / "out"
    race = f'{GOOD} && mkdir -p "{out}/zh_CN.GB18030" && touch "{out}/zh_CN.GB18030/LC_CTYPE"'
    locales.build(out, localedef=fake_localedef(tmp_path, race), i18n=fake_i18n(tmp_path / "i18n"))
    assert [path.name for path in out.iterdir()] == ["zh_CN.GB18030"]


def test_a_failing_localedef_leaves_nothing_behind_and_its_words_are_repeated(tmp_path):
    localedef = fake_localedef(tmp_path, 'mkdir -p "$5"; echo "no gzip here" >&2; exit 4')
    out = tmp_path / "out"
    with pytest.raises(PluginError, match=r"no gzip here.*install the package"):
        locales.build(out, localedef=localedef, i18n=fake_i18n(tmp_path / "i18n"))
    assert list(out.iterdir()) == []


def test_a_missing_localedef_is_named_with_the_fix(tmp_path):
    with pytest.raises(PluginError, match="install the package"):
        locales.build(tmp_path / "out", localedef=str(tmp_path / "none"), i18n=fake_i18n(tmp_path / "i18n"))


def test_an_unwritable_directory_is_named_with_the_option(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PluginError, match="set the option locale_dir"):
        locales.build(tmp_path / "file" / "out", i18n=fake_i18n(tmp_path / "i18n"))


def test_findings_name_what_is_missing_before_anything_is_built(tmp_path):
    options = {"locale_dir": str(tmp_path / "out")}
    if locales.in_system_archive():
        pytest.skip("this system has the locale, so nothing can be missing")
    assert any("install the package" in text for text in locales.findings(options, i18n=tmp_path / "nowhere"))
    if shutil.which("localedef"):
        assert locales.findings(options, i18n=fake_i18n(tmp_path / "i18n")) == []
    assert not (tmp_path / "out").exists()


def test_the_archive_is_asked_by_its_list(tmp_path):
    assert locales.in_system_archive(fake_localedef(tmp_path, "echo C.utf8; echo zh_CN.gb18030"))
    assert not locales.in_system_archive(fake_localedef(tmp_path, "echo C.utf8"))
    assert not locales.in_system_archive(str(tmp_path / "none"))


def test_a_process_without_the_locale_refuses_to_import_the_library(monkeypatch):
    monkeypatch.setattr(locales, "is_loadable", lambda: False)
    with pytest.raises(LineError, match=r"zh_CN\.GB18030"):
        Library(distribution="openctp-ctp", market_data="openctp_ctp.thostmduserapi", trader="").load_market_data()


def test_a_library_that_is_not_installed_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(locales, "is_loadable", lambda: True)
    with pytest.raises(PluginError, match="pip install not-there"):
        load("not_there.trader", "not-there")
