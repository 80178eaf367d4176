"""`gateway check PLUGIN`: the cards from the terminal."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.__main__ import main
from gateway.terminal.check import show_check
from gateway.testing.plugin_check import UnknownPluginError

PLUGIN = """
from gateway.hookspecs import FeedKind, hookimpl
from gateway.testing import ScriptedFeed

def build(account, line, options):
    return ScriptedFeed("{name}").build(account, line, options)

@hookimpl
def gateway_feeds():
    return [FeedKind(name="{name}", factory=build, needs_account=False)]
"""
COUNTER = """
from gateway.testing import ScriptedFeed

class Counter(ScriptedFeed):
    def __init__(self):
        super().__init__("{name}")

CONFORMANCE = (Counter,)
"""
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A package NAME with a plugin, and its module `conformance`, importable for this test."""
    names: list[str] = []

    def make(name: str, counter: str = COUNTER) -> str:
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(PLUGIN.format(name=name))
        if counter:
            (package / "conformance.py").write_text(counter.format(name=name))
        names.append(name)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield make
    for name in [*sys.modules]:
        if name.partition(".")[0] in names:
            del sys.modules[name]


def checked(name: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    code = show_check(name, as_json=True, quiet=False, out=out)
    return code, json.loads(out.getvalue())


def test_a_sound_plugin_passes_every_card_that_applies(write: Write) -> None:
    code, report = checked(write("acme_sound", COUNTER))
    cards = report["plugins"][0]["cards"]
    assert (code, report["exit_code"]) == (0, 0)
    assert {card["about"] for card in cards} == {"plugin acme_sound", "feed acme_sound"}
    assert {card["number"]: card["reason"] for card in cards if card["result"] != "pass"} == {
        "FEED-19": "no capability parse: its source hands over finished ticks",
        "FEED-20": "no capability parse: its source hands over finished ticks",
        "FEED-21": "no capability remote",
    }


def test_without_a_counter_the_cards_of_its_feed_are_not_applicable_and_say_what_is_missing(write: Write) -> None:
    code, report = checked(write("acme_bare", ""))
    feed = [card for card in report["plugins"][0]["cards"] if card["about"] == "feed acme_bare"]
    assert code == 0
    assert {(card["result"], card["reason"]) for card in feed} == {
        ("n/a", "the plugin offers no Counter in CONFORMANCE")
    }


def test_a_failed_card_is_told_with_its_reason_and_its_fix_and_gives_exit_code_1(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = COUNTER + "\n    async def refuse(self, words):\n        self.refusal = 'no'\nCONFORMANCE = (Counter,)\n"
    broken = broken.replace("CONFORMANCE = (Counter,)\n\n    async", "    async")
    name = write("acme_broken", broken)
    assert main(["check", name]) == 1
    said = capsys.readouterr().out
    assert "fail FEED-11" in said
    assert "and the reason told is 'no'" in said
    assert "fix: tell sink.state(LineState.REFUSED" in said
    assert ", 1 failed, 3 not applicable" in said


def test_a_module_conformance_that_cannot_be_imported_fails_a_card_of_its_own(write: Write) -> None:
    code, report = checked(write("acme_typo", "import acme_nothing\n"))
    failed = [card for card in report["plugins"][0]["cards"] if card["result"] == "fail"]
    assert code == 1
    assert [card["number"] for card in failed] == ["LOAD-10"]
    assert "acme_nothing" in failed[0]["reason"]


def test_a_plugin_that_cannot_be_imported_is_told_and_nothing_more_is_asked_of_it(write: Write, tmp_path: Path) -> None:
    name = write("acme_dead", "")
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('no licence')")
    code, report = checked(name)
    results = {card["number"]: card["result"] for card in report["plugins"][0]["cards"]}
    assert code == 1
    assert results.pop("LOAD-01") == "fail"
    assert set(results.values()) == {"n/a"}


def test_our_own_plugins_are_found_by_name_module_and_distribution() -> None:
    for name in ("env_secrets", "gateway.secrets.env"):
        code, report = checked(name)
        cards = report["plugins"][0]["cards"]
        assert code == 0
        assert [(card["number"], card["result"]) for card in cards if card["about"] == "secret store env"] == [
            (f"SECRET-{number:02}", "pass") for number in range(1, 6)
        ]


def test_an_unknown_name_is_wrong_usage_and_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no_such_plugin"]) == 64
    assert "installed are: " in capsys.readouterr().err
    with pytest.raises(UnknownPluginError, match=r"no plugin '\.\./evil'"):
        show_check("../evil", as_json=False, quiet=False, out=io.StringIO())


def test_it_runs_where_neither_pytest_nor_hypothesis_is_installed(write: Write, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None; sys.path.insert(0, sys.argv[1])\n"
        "from gateway.__main__ import main\n"
        "sys.exit(main(['check', sys.argv[2]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), write("acme_alone", COUNTER)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed, 0 failed, 3 not applicable" in done.stdout
    assert done.stderr == ""
