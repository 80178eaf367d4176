from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.errors import LineError, PluginError
from gateway.hookspecs import FeedKind, Observer, RouterKind, hookimpl
from gateway.lines.factory import import_factory
from gateway.loader import PluginRecord, Plugins, factory_path

HEAD = """
from gateway.hookspecs import CatalogueKind, FeedKind, Observer, RouterKind, SecretStoreKind, hookimpl

def make(account, line, options):
    raise NotImplementedError
"""
OWN = ("sim", "replay", "catalogue_file", "env_secrets", "file_secrets", "routing")
"""Built-in plugins."""
INSTALLED = tuple({point.dist.name for point in metadata.entry_points(group="feedgate") if point.dist})
"""What this machine happens to have: blocked, so that a test looks at its own plugins alone."""


class Site:
    """A directory on ``sys.path`` into which a test installs distributions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: list[str] = []

    def install(self, name: str, source: str, *, point: str | None = None, version: str = "0.1.0") -> str:
        """One distribution with one module and one entry point; returns the module's name."""
        module = f"site_{name.replace('-', '_')}"
        (self.root / f"{module}.py").write_text(HEAD + dedent(source), encoding="utf-8")
        info = self.root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[feedgate]\n{point or name} = {module}\n")
        self.modules.append(module)
        importlib.invalidate_caches()
        return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Site(tmp_path)
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)


GOOD = """
@hookimpl
def gateway_feeds():
    return [FeedKind(name="good", factory=make)]
"""


def load(*extra: object, blocked: tuple[str, ...] = ()) -> Plugins:
    return Plugins.load(extra, (*OWN, *INSTALLED, *blocked))


def record(plugins: Plugins, name: str) -> PluginRecord:
    (found,) = [one for one in plugins.records() if one.name == name]
    return found


def test_an_installed_plugin_is_found_and_recorded_with_its_distribution_and_version(site: Site) -> None:
    site.install("feedgate-good", GOOD, point="good", version="1.2.3")
    plugins = load()
    kind = plugins.feed_kind("good")
    assert kind.name == "good"
    assert record(plugins, "good") == PluginRecord(
        name="good", version="1.2.3", distribution="feedgate-good", status="loaded", provides=("feed good",)
    )


def test_the_built_in_plugins_are_there_without_an_installation() -> None:
    plugins = Plugins.load(entry_points=False)
    assert [one.name for one in plugins.records()] == list(OWN)
    assert {one.distribution for one in plugins.records()} == {"feedgate"}
    assert plugins.feed_kind("sim").name == "sim"


def test_an_entry_point_of_our_own_distribution_takes_the_place_of_the_direct_import(site: Site) -> None:
    info = site.root / "feedgate-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: feedgate\nVersion: 9.9.9\n")
    (info / "entry_points.txt").write_text("[feedgate]\nsim = gateway.sources.sim\n")
    others = (name for name in INSTALLED if name != "feedgate")
    plugins = Plugins.load(blocked=("replay", "catalogue_file", "routing", *others))
    assert record(plugins, "sim").version == "9.9.9"
    assert record(plugins, "sim").status == "loaded"


def test_without_entry_points_installed_plugins_stay_away(site: Site) -> None:
    site.install("feedgate-good", GOOD)
    assert [one.name for one in Plugins.load(entry_points=False).records()] == list(OWN)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("@hookimpl\ndef gateway_feds():\n    return []", "unknown hook 'gateway_feds'"),
        ("@hookimpl\ndef gateway_feeds():\n    raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("@hookimpl\ndef gateway_feeds(surprise):\n    return []", "surprise"),
        (
            "@hookimpl\ndef gateway_feeds():\n    return FeedKind(name='x', factory=make)",
            "not a sequence of FeedKind",
        ),
        ("@hookimpl\ndef gateway_feeds():\n    return 'abc'", "not a sequence of FeedKind"),
        (
            "@hookimpl\ndef gateway_feeds():\n    return [RouterKind(name='x', build=make)]",
            "gateway_feeds returned RouterKind",
        ),
        (
            "@hookimpl\ndef gateway_feeds():\n    return [FeedKind(name='Big Name', factory=make)]",
            "'Big Name' is not a name",
        ),
        ("@hookimpl\ndef gateway_feeds():\n    return [FeedKind(name='x', factory=3)]", "not callable"),
        (
            "@hookimpl\ndef gateway_feeds():\n    return [FeedKind(name='x', factory=make)] * 2",
            "brings the feed 'x' twice",
        ),
        (
            """
            @hookimpl
            def gateway_feeds():
                return [FeedKind(name='x', factory=lambda a, l, o: None, native=True)]
            """,
            "a child process cannot import its factory",
        ),
        ("def gateway_feeds():\n    return []", "implements no hook"),
    ],
)
def test_a_bad_plugin_is_named_with_its_version_and_the_others_work(site: Site, source: str, reason: str) -> None:
    site.install("feedgate-bad", source, point="bad", version="0.7")
    site.install("feedgate-good", GOOD, point="good")
    plugins = load()
    bad = record(plugins, "bad")
    assert bad.status == "failed"
    assert reason in bad.reason
    assert str(bad).startswith("plugin feedgate-bad 0.7 (bad) failed: ")
    assert plugins.feed_kind("good").name == "good"
    with pytest.raises(PluginError) as caught:
        plugins.feed_kind("bad")
    assert "there are: good" in str(caught.value)
    assert f"bad: {bad}" in str(caught.value)
    assert not [name for name, _ in plugins.manager.list_name_plugin() if "bad" in name]
    plugins.manager.check_pending()


def test_a_plugin_that_fails_in_one_hook_brings_nothing_at_all(site: Site) -> None:
    site.install("feedgate-half", GOOD + "@hookimpl\ndef gateway_routers():\n    raise ValueError\n")
    plugins = load()
    with pytest.raises(PluginError, match="no feed 'good'"):
        plugins.feed_kind("good")


def test_two_plugins_with_one_name_fail_the_later_one_and_the_name(site: Site) -> None:
    site.install("feedgate-a", GOOD, point="a")
    site.install(
        "feedgate-b",
        GOOD + "@hookimpl\ndef gateway_routers():\n    return [RouterKind(name='b', build=make)]\n",
        point="b",
        version="2.0",
    )
    plugins = load()
    assert record(plugins, "a").status == "loaded"
    later = record(plugins, "b")
    assert later.status == "failed"
    for text in ("feedgate-a 0.1.0 (a)", "feedgate-b 2.0 (b)", "feed 'good'"):
        assert text in later.reason
    with pytest.raises(PluginError, match=r"feedgate-a 0\.1\.0.*feedgate-b 2\.0"):
        plugins.feed_kind("good")
    with pytest.raises(PluginError, match="there is no router 'b'"):
        plugins.router("b")
    assert plugins.names("feed") == []


def test_blocking_one_of_two_settles_the_clash(site: Site) -> None:
    site.install("feedgate-a", GOOD, point="a")
    site.install("feedgate-b", "raise AssertionError('imported')" + GOOD, point="b")
    for blocked in ("b", "feedgate-b"):
        plugins = load(blocked=(blocked,))
        assert record(plugins, "b").status == "blocked"
        assert plugins.feed_kind("good").name == "good"


def test_the_same_name_for_things_of_different_sorts_is_no_clash(site: Site) -> None:
    site.install("feedgate-a", GOOD)
    site.install("feedgate-b", "@hookimpl\ndef gateway_routers():\n    return [RouterKind(name='good', build=make)]")
    plugins = load()
    assert plugins.feed_kind("good").name == plugins.router("good").name == "good"


def test_every_sort_of_thing_can_be_had_by_name(site: Site) -> None:
    site.install(
        "feedgate-all",
        """
        @hookimpl
        def gateway_feeds():
            return (FeedKind(name="f", factory=make),)
        @hookimpl
        def gateway_routers():
            return (RouterKind(name="r", build=make),)
        @hookimpl
        def gateway_secret_stores():
            return (SecretStoreKind(name="s", build=make),)
        @hookimpl
        def gateway_catalogues():
            return (CatalogueKind(name="c", build=make),)
        @hookimpl
        def gateway_observe():
            return (Observer(name="o"),)
        """,
    )
    plugins = load()
    names = plugins.feed_kind("f").name, plugins.router("r").name, plugins.catalogue("c").name
    assert names == ("f", "r", "c")
    assert plugins.secret_store("s").name == "s"
    assert [observer.name for observer in plugins.observers()] == ["o"]
    assert record(plugins, "feedgate-all").provides == (
        *("feed f", "router r", "secret store s", "catalogue c", "observer o"),
    )


class Embedded:
    """A plugin object of the embedding program."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def gateway_observe(self) -> list[Observer]:
        return [Observer(name=self.name)]


def test_objects_handed_over_are_plugins_too_also_two_of_one_class() -> None:
    plugins = load(Embedded("one"), Embedded("two"))
    assert [observer.name for observer in plugins.observers()] == ["one", "two"]


def test_a_plugin_handed_over_although_it_is_installed_counts_once(site: Site) -> None:
    module = importlib.import_module(site.install("feedgate-good", GOOD, point="good"))
    plugins = load(module)
    assert record(plugins, "good").status == "loaded"
    assert len([one for one in plugins.records() if one.status == "loaded"]) == 1


def test_two_gateways_share_nothing(site: Site) -> None:
    site.install("feedgate-good", GOOD, point="good")
    first, second = load(), load(blocked=("good",))
    assert first.manager is not second.manager
    assert first.feed_kind("good")
    with pytest.raises(PluginError, match="blocked"):
        second.feed_kind("good")


def test_an_unknown_name_lists_what_there_is() -> None:
    module = types.ModuleType("r")
    module.gateway_routers = _routers  # type: ignore[attr-defined]  # a module of the test's own
    plugins = load(module)
    with pytest.raises(PluginError, match="there is no router 'secnod'; there are: first, second"):
        plugins.router("secnod")


@hookimpl
def _routers() -> list[RouterKind]:
    return [RouterKind(name=name, build=lambda: None) for name in ("first", "second")]  # type: ignore[arg-type,return-value]  # unused


def test_hooks_of_a_layer_above_may_be_offered_with_optionalhook(site: Site) -> None:
    site.install("feedgate-above", "@hookimpl(optionalhook=True)\ndef runbook_actions():\n    return []", point="above")
    assert record(load(), "above").status == "loaded"


def test_a_factory_is_found_again_by_its_path(site: Site) -> None:
    module = site.install("feedgate-good", GOOD, point="good")
    path = factory_path(load().feed_kind("good"))
    assert path == f"{module}:make"
    assert import_factory(path) is sys.modules[module].make


@pytest.mark.parametrize("path", ["no_such_module:make", "gateway.model:nothing", "gateway.model", "sys:path", ":"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(LineError, match=r"cannot import|not callable"):
        import_factory(path)


class Local:
    @hookimpl
    def gateway_feeds(self) -> list[FeedKind]:
        return [FeedKind(name="local", factory=lambda account, line, options: None)]  # type: ignore[arg-type,return-value]  # unused


def test_a_factory_without_an_importable_name_is_refused_for_a_child_only() -> None:
    kind = load(Local()).feed_kind("local")
    with pytest.raises(PluginError, match=r"local.*top of an importable module"):
        factory_path(kind)
