"""The runbook's own hooks, on the gateway's plugin manager. A plugin offers them with ``optionalhook=True``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from gateway.hookspecs import hookspec
from runbook.model import ActionResult, Role

if TYPE_CHECKING:
    from runbook.context import ActionContext


class NoParameters(BaseModel, extra="forbid", frozen=True):
    """For actions that take none."""


class Action(Protocol):
    """Does it. Built anew for each run; may raise FeedgateError, whose exit code is the run's."""

    def __call__(self, context: ActionContext, parameters: Any, /) -> Awaitable[ActionResult]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """Something that operators can do."""

    name: str
    """``failover``: the subcommand, the API path, the word in the audit."""
    title: str
    """A few words, English; pages translate by name."""
    build: Callable[[], Action]
    parameters: type[BaseModel] = NoParameters
    """Typed parameters; the descriptions of its fields are the help texts."""
    role: Role = Role.OPERATOR
    """Who may ask for it at least."""
    changes: bool = True
    """Whether it changes something live: it then needs a reason, and a confirmation on pages."""
    exclusive: bool = True
    """One such action at a time, across processes. Reading ones may run beside others."""
    timeout_s: float = 120.0


class RunbookHooks:
    """The specifications."""

    @hookspec
    def runbook_actions(self) -> Sequence[ActionKind]:  # type: ignore[empty-body]  # a spec
        """Actions that this plugin brings."""
