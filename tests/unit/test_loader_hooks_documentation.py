"""``docs/hooks.md`` against the code: the names both ways, and every example run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gateway.errors import SettingsError
from gateway.hookspecs import Hooks
from gateway.lines.factory import import_factory
from gateway.loader import Plugins, factory_path
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.plan import LineFacts, Plan, View
from gateway.ports import FeedSource

DOCS = Path(__file__).parents[2] / "docs" / "hooks.md"
SECTIONS = dict(
    re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The example of the hook that the test names with ``@pytest.mark.parametrize('example', …, indirect=True)``."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", SECTIONS[request.param], re.MULTILINE | re.DOTALL)
    name = f"documented_{request.param}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module(name)
    del sys.modules[name]


def of(hook: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [hook], indirect=True)


def load(example: ModuleType) -> Plugins:
    plugins = Plugins.load([example], entry_points=False)
    assert plugins.records()[-1].status == "loaded", plugins.records()[-1]
    return plugins


def hooks() -> set[str]:
    return {name for name, _ in inspect.getmembers(Hooks, inspect.isfunction) if not name.startswith("_")}


def test_every_hook_is_documented_and_nothing_else() -> None:
    assert set(SECTIONS) == hooks()
    assert set(re.findall(r"gateway_\w+(?=\()", DOCS.read_text(encoding="utf-8"))) == hooks()


@pytest.mark.parametrize("example", sorted(hooks()), indirect=True)
def test_each_example_implements_its_own_hook_alone_and_loads(
    example: ModuleType, request: pytest.FixtureRequest
) -> None:
    hook = request.node.callspec.params["example"]
    tree = ast.parse(inspect.getsource(example))
    decorated = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    assert decorated == {hook}
    assert load(example).records()[-1].provides


class Sink:
    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.states: list[LineState] = []
        self.answers: list[Instrument] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def state(self, state: LineState, reason: str = "") -> None:
        self.states.append(state)

    def confirmed(self, instruments: list[Instrument]) -> None:
        self.answers += instruments


@of("gateway_feeds")
async def test_the_example_feed_delivers_a_tick(example: ModuleType) -> None:
    kind = load(example).feed_kind("one-tick")
    assert import_factory(factory_path(kind)) is kind.factory
    source = kind.factory(Account(name="a"), LineId("one", "a"), {"price": 3500})
    assert isinstance(source, FeedSource)
    sink = Sink()
    await source.start(sink)  # type: ignore[arg-type]  # as much of a sink as it needs
    await source.subscribe([Instrument("SHFE", "rb2510")])
    await source.aclose()
    assert sink.states[-1] is LineState.LOGGED_IN
    (tick,) = sink.ticks
    assert (str(tick.instrument), tick.last, tick.bid, tick.ask) == ("SHFE.rb2510", 3500.0, 3500.0, 3501.0)
    assert sink.answers == [tick.instrument]


@of("gateway_routers")
def test_the_example_router_prefers_the_primary_while_it_is_up(example: ModuleType) -> None:
    (name,) = [kind.name for kind in example.gateway_routers()]
    router = load(example).router(name).build()
    backup = LineFacts(name="ctp:backup", state=LineState.STREAMING)

    def preferred(primary: LineState) -> str | None:
        plan: Plan = router.plan(View(lines=(LineFacts(name="ctp:primary", state=primary), backup)))
        return plan.prefer

    assert preferred(LineState.STREAMING) == "ctp:primary"
    assert preferred(LineState.LOST) == "ctp:backup"


@of("gateway_secret_stores")
def test_the_example_store_reads_a_directory(example: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "ctp").mkdir()
    (tmp_path / "ctp" / "password").write_text("secret\n")
    store = load(example).secret_store("directory").build({"root": str(tmp_path)})
    assert store.read("ctp") == {"password": "secret"}
    with pytest.raises(SettingsError, match="mount the secrets"):
        store.read("sopt")


@of("gateway_catalogues")
async def test_the_example_catalogue_lists_its_contracts(example: ModuleType) -> None:
    catalogue = load(example).catalogue("two").build(None, {"month": "2601"})
    assert [str(one.instrument) for one in await catalogue.contracts()] == ["SHFE.rb2601", "SHFE.hc2601"]


@of("gateway_observe")
def test_the_example_observer_logs_a_change(example: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    (observer,) = load(example).observers()
    assert observer.line_changed is not None
    observer.line_changed(LineId("ctp", "primary"), "lost", "0x1001")
    assert "ctp:primary is lost 0x1001" in caplog.text
