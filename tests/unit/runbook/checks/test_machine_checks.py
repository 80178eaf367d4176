"""Clock, time zones, calendar, locale, limits, Python, plugins, ports."""

from __future__ import annotations

import resource
import socket
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.calendar import load_calendar
from gateway.hookspecs import hookimpl
from gateway.loader import Plugins
from gateway.model import SHANGHAI
from gateway.testing.clock import ManualClock
from gateway.thost.locales import is_loadable
from runbook.checks import Inspection, Severity, clocks, files_open, locales, plugins, ports, python, timezones
from runbook.checks import trading_days as calendar_check
from runbook.checks.clocks import Kernel
from tests import needing
from tests.ports import free_port
from tests.unit.runbook.checks.environment import PRIMARY, inspection, of, the_only, web


def kernel(monkeypatch: pytest.MonkeyPatch, found: Kernel | None) -> None:
    monkeypatch.setattr(clocks, "kernel_clock", lambda: found)


def test_the_kernel_is_really_asked() -> None:
    found = clocks.kernel_clock()
    if found is None:
        pytest.skip("adjtimex is not allowed here")
    assert 0 <= found.largest_error_s < 1e4


@pytest.mark.parametrize(
    ("found", "severity", "words"),
    [
        (Kernel(synchronised=True, largest_error_s=0.01), Severity.OK, "10 ms"),
        (Kernel(synchronised=False, largest_error_s=16.0), Severity.WARNING, "rtcsync"),
        (Kernel(synchronised=True, largest_error_s=3.0), Severity.WARNING, "3.0 s"),
        (None, Severity.INFO, "not measured"),
    ],
)
def test_what_the_kernel_thinks_of_its_clock_is_said(
    monkeypatch: pytest.MonkeyPatch, found: Kernel | None, severity: Severity, words: str
) -> None:
    kernel(monkeypatch, found)
    first, second = clocks.check(inspection())
    assert first.severity is severity
    assert words in first.what
    assert second.severity is Severity.INFO
    assert "no server was compared with" in second.what


@pytest.mark.parametrize(("off_s", "way"), [(0, ""), (30, "behind"), (-30, "ahead of")])
def test_the_clock_is_compared_with_the_date_that_a_server_says(
    monkeypatch: pytest.MonkeyPatch, off_s: float, way: str
) -> None:
    kernel(monkeypatch, Kernel(synchronised=True, largest_error_s=0.0))
    with web({}, date_s=time.time() + off_s) as url:
        _, found = clocks.check(inspection({"PUSHGATEWAY_URL": url}))
    assert url in found.what
    if way:
        assert found.severity is Severity.ERROR
        assert way in found.what
        assert "chronyc" in found.fix
    else:
        assert found.severity is Severity.OK


def test_a_slow_answer_is_no_offset() -> None:
    look = inspection()
    slow = clocks._compared(look, "it", server_s=100.0, before_s=90.0, after_s=101.0)
    assert slow.severity is Severity.OK
    behind = clocks._compared(look, "it", server_s=100.0, before_s=90.0, after_s=91.0)
    assert "9 s or more behind" in behind.what
    ahead = clocks._compared(look, "it", server_s=100.0, before_s=111.0, after_s=120.0)
    assert "10 s or more ahead of" in ahead.what


def test_a_server_that_cannot_be_asked_for_its_time_is_not_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, None)
    _, found = clocks.check(inspection({"OPS_PROMETHEUS_URL": f"http://127.0.0.1:{free_port()}"}))
    assert found.severity is Severity.INFO
    assert "not compared" in found.what


def test_shanghai_is_known_and_a_zone_without_data_or_with_other_data_is_an_error() -> None:
    assert the_only(timezones.check(inspection()), Severity.OK)
    missing = timezones.judge(inspection(), "Asia/Nowhere")
    assert missing.severity is Severity.ERROR
    assert "tzdata" in missing.fix
    assert timezones.judge(inspection(), "Europe/Berlin").severity is Severity.ERROR


def clock_at(year: int, month: int, day: int) -> ManualClock:
    return ManualClock(wall_ns=int(datetime(year, month, day, 12, tzinfo=SHANGHAI).timestamp()) * 10**9)


@pytest.mark.parametrize(
    ("before_the_end", "severity"), [(200, Severity.OK), (21, Severity.WARNING), (2, Severity.ERROR)]
)
def test_a_calendar_that_ends_soon_is_found_in_time(before_the_end: int, severity: Severity) -> None:
    last = load_calendar().last
    day = last - timedelta(days=before_the_end)
    (one,) = calendar_check.check(inspection(clock=clock_at(day.year, day.month, day.day)))
    assert str(last) in one.what
    assert one.severity is severity
    assert "exchange_calendars" in one.fix or severity is Severity.OK


def test_a_calendar_that_has_ended_is_an_error() -> None:
    found = the_only(calendar_check.check(inspection(clock=clock_at(2040, 1, 2))), Severity.ERROR)
    assert "pip install -U exchange_calendars" in found.fix


def test_an_override_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    found = calendar_check.check(inspection({"FEEDGATE_CALENDAR__OVERRIDES": str(path)}))
    assert str(path) in the_only(found, Severity.ERROR).what


def with_locale_dir(directory: Path) -> Inspection:
    return inspection(PRIMARY | {"FEEDGATE_FEEDS__CTP__OPTIONS__LOCALE_DIR": str(directory)})


def test_a_feed_without_vendor_library_needs_no_locale() -> None:
    the_only(locales.check(inspection()), Severity.INFO)


def test_a_locale_in_the_plugins_directory_is_fine(tmp_path: Path) -> None:
    (tmp_path / locales.NAME).mkdir()
    (tmp_path / locales.NAME / "LC_CTYPE").write_text("")
    found = the_only(locales.check(with_locale_dir(tmp_path)), Severity.OK)
    assert locales.NAME in found.what


def test_a_locale_that_can_be_built_is_no_trouble_and_one_that_cannot_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_loadable():
        pytest.skip("the system has the locale")
    sources = tmp_path / "i18n"
    for name in ("locales/zh_CN", "charmaps/GB18030.gz"):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text("")
    look, options = inspection(PRIMARY), {"locale_dir": str(tmp_path / "built")}
    monkeypatch.setattr(locales.shutil, "which", lambda name: f"/usr/bin/{name}")
    buildable = locales.judge(look, "ctp", options, sources)
    assert buildable.severity is Severity.INFO
    assert buildable.fix == "runbook doctor --fix --only locale"
    missing = locales.judge(look, "ctp", options, tmp_path / "no-sources")
    assert missing.severity is Severity.ERROR
    assert missing.fix == "apt-get install locales"


def test_fix_has_the_plugin_build_the_locale(tmp_path: Path) -> None:
    needing.plugin()
    look = with_locale_dir(tmp_path / "built")
    if is_loadable() or locales.check(look)[0].severity is not Severity.INFO:
        pytest.skip("the locale is in the system, or cannot be built here")
    (done,) = locales.fix(look)
    assert str(tmp_path / "built") in done
    the_only(locales.check(look), Severity.OK)
    assert locales.fix(look) == []


@pytest.mark.parametrize(
    ("soft", "severity"),
    [
        (256, Severity.ERROR),
        (1024, Severity.WARNING),
        (65_536, Severity.OK),
        (resource.RLIM_INFINITY, Severity.OK),
    ],
)
def test_a_low_limit_of_open_files_is_found(soft: int, severity: Severity) -> None:
    found = files_open.judge(inspection(), soft, 65_536)
    assert found.severity is severity
    assert "LimitNOFILE" in found.fix or severity is Severity.OK


def test_the_real_limit_is_looked_at() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert str(soft) in files_open.check(inspection())[0].what


def test_an_old_python_another_system_and_root_are_found() -> None:
    live = inspection()
    assert not of(python.check(live), Severity.ERROR)
    assert "3.11" in the_only(python.judge(live, (3, 9), "Linux", 1000), Severity.ERROR).fix
    assert "newer" in the_only(python.judge(live, (3, 99), "Linux", 1000), Severity.WARNING).what
    assert "Darwin" in the_only(python.judge(live, (3, 12), "Darwin", 1000), Severity.ERROR).what
    assert "root" in the_only(python.judge(live, (3, 12), "Linux", 0), Severity.WARNING).what
    assert not of(python.judge(inspection(profile="dev"), (3, 12), "Linux", 0), Severity.WARNING)


class Broken:
    @hookimpl
    def gateway_feeds(self) -> str:
        return "no kinds"


def test_a_plugin_that_cannot_be_loaded_is_named_with_the_way_to_block_it() -> None:
    look = inspection()
    assert not of(plugins.check(look), Severity.ERROR)
    look.__dict__["plugins"] = Plugins.load(extra=[Broken()], entry_points=False)
    found = the_only(plugins.check(look), Severity.ERROR)
    assert "Broken" in found.what
    assert "FEEDGATE_PLUGINS_BLOCKED=Broken" in found.fix


def on(port: int) -> dict[str, str]:
    return {"FEEDGATE_METRICS__PORT": str(port), "OPS_API_PORT": "0"}


def test_a_free_port_is_fine_and_stays_free() -> None:
    look = inspection(on(free_port()))
    the_only(ports.check(look), Severity.OK)
    the_only(ports.check(look), Severity.OK)


def test_a_port_of_another_program_is_an_error_with_the_way_to_find_it() -> None:
    with web({"/metrics": (200, b"# TYPE go_goroutines gauge\n")}) as url:
        port = int(url.rpartition(":")[2])
        found = the_only(ports.check(inspection(on(port))), Severity.ERROR)
        the_only(ports.check(inspection(on(port), profile="dev")), Severity.WARNING)
    assert f"ss -ltnp 'sport = :{port}'" in found.fix
    assert "FEEDGATE_METRICS__PORT" in found.fix
    assert "another program" in found.what


def test_a_port_of_a_gateway_that_runs_is_no_error() -> None:
    with web({"/metrics": (200, b"# TYPE md_throughput_mps gauge\n")}) as url:
        found = ports.check(inspection(on(int(url.rpartition(":")[2]))))
    assert "gateway or runbook that runs" in the_only(found, Severity.INFO).what


def test_an_address_that_is_not_of_this_machine_is_an_error() -> None:
    found = ports.check(inspection(on(free_port()) | {"FEEDGATE_METRICS__HOST": "192.0.2.1"}))
    assert "FEEDGATE_METRICS__PORT" in the_only(found, Severity.ERROR).fix


def test_the_ports_of_the_api_and_the_bundled_server_are_tried_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        api, bundled = one.getsockname()[1], other.getsockname()[1]
        environ = {"FEEDGATE_METRICS__ENABLED": "false", "OPS_API_PORT": str(api)}
        look = inspection(environ | {"FEEDGATE_BUS__BUNDLED_PORT": str(bundled)})
        quick = Inspection(
            clock=look.clock,
            profile="live",
            gateway_settings=look.settings,
            runbook_settings=look.runbook,
            timeout_s=0.1,
        )
        found = of(ports.check(quick), Severity.ERROR)
    assert {(finding.what.split()[1], finding.fix.split()[-4]) for finding in found} == {
        (str(bundled), "FEEDGATE_BUS__BUNDLED_PORT"),
        (str(api), "OPS_API_PORT"),
    }
