"""Cards of a runbook action."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pluggy
from pydantic import SecretStr, ValidationError

from gateway.client import Client
from gateway.clock import SystemClock
from gateway.errors import BusError, FeedgateError
from gateway.hookspecs import PROJECT, hookimpl
from gateway.settings import AccountSettings, FeedSettings, Settings
from gateway.testing.cards import Card, CardFailed, card, expect
from gateway.testing.counter import PASSWORD
from gateway.testing.leaks import Footprint, left_since
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, ActionResult, Exit, Trigger
from runbook.runner.kinds import collect_kinds
from runbook.settings import RunbookSettings

_STRANGE: Final = "no_such_parameter"
_PATIENCE_S: Final = 20.0


class ActionCase:
    """One action with a place to act in. Override what yours needs."""

    kind: ActionKind
    """The action under test. Required."""
    parameters: Mapping[str, Any] = {}
    """Parameters with which it does its work."""
    patience_s: float = 5.0
    """How long a card waits until what is given back is gone."""

    def __init__(self) -> None:
        self.root = Path()
        """A directory of the case's own, while it is open."""
        self.told: list[str] = []
        """What the action said while it ran."""

    @property
    def about(self) -> str:
        """How ``gateway check`` calls it."""
        return f"action {self.kind.name}"

    @property
    def cards(self) -> Sequence[Card]:
        """The cards that it is asked; ``gateway check`` looks here."""
        return ACTION_CARDS

    def start(self) -> None:
        """Prepare :attr:`root`, which is there and empty."""

    def stop(self) -> None:
        """Undo what :meth:`start` did outside of :attr:`root`."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """A client of a gateway. The default has none, as when the gateway is down."""
        raise BusError("no gateway runs here")
        yield  # a context manager is an iterator

    def runbook(self) -> RunbookSettings:
        """The runbook's settings, with all places under :attr:`root`."""
        places = {f"{name}_dir": self.root / name for name in ("log", "archive", "incident", "state")}
        return RunbookSettings.model_validate(places)

    def settings(self) -> Settings:
        """The gateway's. They hold a password that is looked for afterwards."""
        account = AccountSettings(user_id="16021988", password=SecretStr(PASSWORD))
        return Settings(feeds={"sim": FeedSettings(kind="sim", accounts={"primary": account})})

    def context(self, *, dry_run: bool = False) -> ActionContext:
        """What one run gets."""
        runbook = self.runbook()
        runbook.log_dir.mkdir(parents=True, exist_ok=True)
        return ActionContext(
            run="20261120T120000-0a1b2c3d",
            request=ActionRequest(
                action=self.kind.name,
                parameters=self.parameters,
                operator="card",
                trigger=Trigger.CLI,
                reason="conformance",
                dry_run=dry_run,
            ),
            settings=self.settings(),
            runbook=runbook,
            clock=SystemClock(),
            log_dir=runbook.log_dir,
            connect=self.connect,
            tell=lambda stage, text, fields: self.told.append(f"{stage} {text} {dict(fields)}"),
        )

    def observe(self) -> object:
        """Capability ``observe``: what the action changes, as a value that can be compared."""
        raise NotImplementedError

    def capabilities(self) -> frozenset[str]:
        """What is overridden."""
        return frozenset({"observe"} if type(self).observe is not ActionCase.observe else ())


@contextmanager
def _open(make: Callable[[], ActionCase]) -> Iterator[ActionCase]:
    case = make()
    case.root = Path(tempfile.mkdtemp(prefix="feedgate-action-"))
    try:
        case.start()
        try:
            yield case
        finally:
            case.stop()
    finally:
        shutil.rmtree(case.root, ignore_errors=True)


async def _run(case: ActionCase, *, dry_run: bool = False) -> ActionResult | FeedgateError:
    """The result, or the error that the runner turns into one. CardFailed for any other error."""
    kind = case.kind
    parameters = kind.parameters.model_validate(dict(case.parameters))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await kind.build()(case.context(dry_run=dry_run), parameters)
    except FeedgateError as error:
        return error
    except TimeoutError as error:
        raise CardFailed(f"it did not end within {_PATIENCE_S:g} s") from error
    except Exception as error:
        raise CardFailed(f"it raised {type(error).__name__} ({error}), which is no FeedgateError") from error


class _Plugin:
    """Brings one action."""

    def __init__(self, kind: ActionKind) -> None:
        self._kind = kind

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        return (self._kind,)


@card(
    "ACTION-01",
    "The runbook takes it, and every parameter is described",
    fix="see docs/hooks.md for ActionKind; the descriptions of the fields are the help texts of CLI and page",
)
async def _is_taken(make: Callable[[], ActionCase]) -> None:
    kind = make().kind
    manager = pluggy.PluginManager(PROJECT)
    manager.register(_Plugin(kind), name="checked")
    findings = collect_kinds(manager).findings
    expect(not findings, findings[0] if findings else "")
    expect(kind.title.strip(), "its title is empty")
    silent = [name for name, field in kind.parameters.model_fields.items() if not field.description]
    expect(not silent, f"the parameter {', '.join(silent)} has no description")


@card(
    "ACTION-02",
    "A parameter that it does not know is refused by its name",
    fix='class Parameters(BaseModel, extra="forbid", frozen=True)',
)
async def _refuses(make: Callable[[], ActionCase]) -> None:
    case = make()
    try:
        case.kind.parameters.model_validate({**case.parameters, _STRANGE: 1})
    except ValidationError as error:
        names = [str(part) for one in error.errors() for part in one["loc"]]
        expect(_STRANGE in names, f"it refused {', '.join(names)}, and not {_STRANGE}")
        return
    raise CardFailed(f"it takes the parameter {_STRANGE}, which nobody reads")


@card("ACTION-03", "Each run has an object of its own", fix="build() makes a new one; keep nothing between runs")
async def _is_new(make: Callable[[], ActionCase]) -> None:
    kind = make().kind
    first, second = kind.build(), kind.build()
    stateless = inspect.isfunction(first)
    expect(first is not second or stateless, "build() gave the same object twice, and it keeps something")


@card(
    "ACTION-04",
    "It ends with a known exit code, one line for people, JSON details, and an output that is there",
    fix="exit codes are runbook.model.Exit; raise a FeedgateError for what failed",
)
async def _answers(make: Callable[[], ActionCase]) -> None:
    with _open(make) as case:
        result = await _run(case)
        if isinstance(result, FeedgateError):
            expect(result.exit_code in set(Exit), f"its error has the unknown exit code {result.exit_code}")
            expect(str(result).strip(), "its error says nothing")
            return
        expect(isinstance(result, ActionResult), f"it returned {result!r} in place of ActionResult")
        expect(result.exit_code in set(Exit), f"it ended with the unknown exit code {result.exit_code}")
        one_line = result.message.strip() and "\n" not in result.message
        expect(one_line, f"its message is {result.message!r}, not one line")
        expect((case.runbook().log_dir / result.output).exists(), f"its output {result.output!r} is not there")
        try:
            json.dumps(dict(result.details))
        except (TypeError, ValueError) as error:
            raise CardFailed(f"its details are no JSON: {error}") from error


@card(
    "ACTION-05",
    "A dry run changes nothing",
    needs=("observe",),
    fix="look at context.request.dry_run before the first thing that is written or sent",
)
async def _is_dry(make: Callable[[], ActionCase]) -> None:
    with _open(make) as case:
        case.context()  # makes the directories that every run finds
        before = case.observe()
        await _run(case, dry_run=True)
        expect(case.observe() == before, f"a dry run changed {before!r} to {case.observe()!r}")
        await _run(case)
        expect(case.observe() != before, "a real run changed nothing, so that the dry one proves nothing")


@card(
    "ACTION-06",
    "No secret is in its result, its progress or its error",
    fix="say the name of a secret, never its value",
)
async def _is_discreet(make: Callable[[], ActionCase]) -> None:
    with _open(make) as case:
        result = await _run(case)
        fields = getattr(result, "fields", "")
        expect(PASSWORD not in f"{result!r} {result!s} {fields}", "a password is in what it returned")
        expect(not any(PASSWORD in text for text in case.told), "a password is in what it told while it ran")


@card(
    "ACTION-07",
    "It leaves no thread, task, child process or descriptor, also when it is cancelled",
    fix="close in finally what you open, and wait for it",
)
async def _leaves_nothing(make: Callable[[], ActionCase]) -> None:
    Footprint.lend_pool()
    with _open(make) as case:
        await _run(case)
        before = Footprint.take()
        await _run(case)
        running = asyncio.ensure_future(_run(case))
        await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=_PATIENCE_S)
        expect(done, f"cancelled, it did not end within {_PATIENCE_S:g} s")
        left = await left_since(before, case.patience_s)
        expect(not left, f"after it there is still: {'; '.join(left)}")


ACTION_CARDS: Sequence[Card] = (
    _is_taken,
    _refuses,
    _is_new,
    _answers,
    _is_dry,
    _is_discreet,
    _leaves_nothing,
)
