from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gateway.calendar import CalendarError, TradingDays
from gateway.calendar.kept import keep, kept_file, read_kept
from gateway.calendar.library import FIRST, xshg_days
from gateway.settings import Settings, load_settings
from gateway.settings.process import cache_home


@pytest.fixture(scope="module")
def computed() -> TradingDays:
    return xshg_days()


@pytest.fixture
def kept(tmp_path: Path, computed: TradingDays) -> Path:
    path = kept_file(tmp_path / "feedgate", FIRST)
    assert path is not None
    assert keep(path, computed)
    return path


def test_kept_days_are_the_computed_ones(kept: Path, computed: TradingDays) -> None:
    assert read_kept(kept) == computed
    assert xshg_days(cache=kept.parent) == computed


def test_the_first_use_of_a_directory_keeps_the_days_and_leaves_nothing_else(
    tmp_path: Path, computed: TradingDays
) -> None:
    directory = tmp_path / "a" / "new one"
    assert xshg_days(cache=directory) == computed
    (file,) = directory.iterdir()
    assert read_kept(file) == computed
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_process_with_kept_days_loads_no_pandas(kept: Path, computed: TradingDays) -> None:
    code = (
        "import sys, pathlib; from gateway.calendar import load_calendar;"
        "print(load_calendar(cache=pathlib.Path(sys.argv[1])).last);"
        "print([name for name in ('pandas', 'numpy', 'exchange_calendars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(kept.parent)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(computed.last), "[]"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _a_day_more(path: Path) -> None:
    content = json.loads(path.read_text())
    content["days"]["closed"].append("2026-11-20")
    path.write_text(json.dumps(content))


def _other_shape(path: Path) -> None:
    path.write_text("[1, 2]")


def _nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def _bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def _for_all(path: Path) -> None:
    path.chmod(0o666)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [_cut, _a_day_more, _other_shape, _nested, _bytes, _for_all, _link, _pipe, _directory]
)
def test_a_file_that_cannot_be_trusted_is_passed_over(
    spoil: Callable[[Path], None], kept: Path, computed: TradingDays
) -> None:
    spoil(kept)
    assert read_kept(kept) is None
    if kept.is_dir():
        assert xshg_days(cache=kept.parent) == computed


def test_a_spoilt_file_is_replaced(kept: Path, computed: TradingDays) -> None:
    _cut(kept)
    assert xshg_days(cache=kept.parent) == computed
    assert read_kept(kept) == computed


def test_a_place_that_refuses_costs_nothing_but_the_time(tmp_path: Path, computed: TradingDays) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    for place in (file, Path("/dev/null"), Path("/proc/feedgate")):
        assert xshg_days(cache=place) == computed
    assert file.read_text() == "no directory"


def test_days_that_the_form_cannot_tell_are_not_kept(tmp_path: Path, computed: TradingDays) -> None:
    saturday = replace(computed, open_days=tuple(sorted((*computed.open_days, date(2026, 11, 21)))))
    assert not keep(tmp_path / "days.json", saturday)
    assert list(tmp_path.iterdir()) == []


def test_another_package_or_another_range_has_another_file(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "site" / "exchange_calendars"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "exchange_calendar_xshg.py").write_text("holidays = []")
    assert kept_file(kept.parent, date(2007, 1, 1)) not in (kept, None)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "exchange_calendars", raising=False)
    assert kept_file(kept.parent, FIRST) not in (kept, None)


def test_a_missing_package_is_an_error_although_its_days_are_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(CalendarError, match="pip install exchange_calendars"):
        xshg_days(cache=kept.parent)


def test_the_place_is_the_users_cache_unless_the_settings_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Settings().calendar.cache_directory == cache_home() == tmp_path / "feedgate"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unset in ("", "relative/is/not/allowed"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_home() == tmp_path / "home" / ".cache" / "feedgate"
    named = load_settings(environ={"FEEDGATE_CALENDAR__CACHE": str(tmp_path / "mine")})
    assert named.calendar.cache_directory == tmp_path / "mine"
