"""Acting from a page: what there is, a confirmation in both languages, and off it goes to the runner."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, Config, Exit, Mode, Role, Trigger, Window
from runbook.runner.access import by_rank
from runbook.runner.kinds import UnknownActionError
from runbook.web.console import Console
from runbook.web.pages.forms import FormField, fields_of, parameters_from
from runbook.web.pages.language import LANGUAGES, Words
from runbook.web.pages.rendering import Painter, signed_in

_STATUS: Final = {Exit.USAGE: 400, Exit.NOT_ALLOWED: 403, Exit.BUSY: 409, Exit.ENVIRONMENT: 503}
_MOCKED: Final = frozenset({"drill"})
"""Actions that bring a simulator of their own, and so may be asked for in mode mock."""
_FIELDS: Final = frozenset({"window", "config"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an action does, in one language."""

    words: Words
    title: str
    happens: str
    notice: str
    """What consumers of the stream notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPage:
    """The question before a live action."""

    kind: ActionKind
    told: Sequence[Told]
    """The reader's language first."""
    lines: Sequence[tuple[str, str, str]]
    """Line, masked account, role: what there is to act on."""
    fields: Sequence[FormField]
    key: str
    """Idempotency key: a form that is sent twice acts once."""
    typed: bool
    """Whether the name of the action has to be typed: a live change in trading hours."""
    mocked: bool
    """Whether it can be done on the simulator instead."""
    mode: Mode
    reason: str = ""
    problem: str = ""
    allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsPage:
    """Everything that can be done."""

    kinds: Sequence[tuple[ActionKind, bool]]
    """With whether the asker may."""
    titles: Mapping[str, str] = field(default_factory=dict)


def title_of(kind: ActionKind, t: Words) -> str:
    """In the reader's language; plugins' actions in their own words."""
    key = f"actions.{kind.name}.title"
    return t(key) if t.has(key) else kind.title


@get("/actions", opt={"role": Role.VIEWER}, include_in_schema=False)
async def actions(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The list."""
    role, t = signed_in(request).role, painter.words(request)
    kinds = list(console.runbook.kinds.by_name.values())
    model = ActionsPage(
        kinds=[(kind, not by_rank(kind, _blank(kind), role)) for kind in kinds],
        titles={kind.name: title_of(kind, t) for kind in kinds},
    )
    return await painter.page(request, console, "", model, template="actions.html")


@get("/actions/{action:str}", opt={"role": Role.VIEWER}, include_in_schema=False)
async def confirm(
    request: Request[Any, Any, Any],
    action: FromPath[str],
    console: NamedDependency[Console],
    painter: NamedDependency[Painter],
) -> Response[str]:
    """The question. The query may fill in parameters by their names, and ``mode``."""
    kind = console.runbook.kinds.by_name.get(action)
    if kind is None:
        return await _unknown(request, action, console, painter)
    given = {key: value for key, value in request.query_params.items() if key in kind.parameters.model_fields}
    mode: Mode = "mock" if request.query_params.get("mode") == "mock" and kind.name in _MOCKED else "live"
    return await _ask(request, kind, console, painter, given=given, mode=mode)


@post("/actions/{action:str}", opt={"role": Role.VIEWER}, include_in_schema=False, status_code=303)
async def act(
    request: Request[Any, Any, Any],
    action: FromPath[str],
    console: NamedDependency[Console],
    painter: NamedDependency[Painter],
) -> Response[str] | Redirect:
    """To the run's page, or the question again with what was wrong. Who may do it is the runner's to say."""
    kind = console.runbook.kinds.by_name.get(action)
    if kind is None:
        return await _unknown(request, action, console, painter)
    sent = {key: str(value) for key, value in (await request.form()).items()}
    given = {name: sent.get(f"p.{name}", "") for name in kind.parameters.model_fields}
    mode: Mode = "mock" if sent.get("mode") == "mock" and kind.name in _MOCKED else "live"
    t = painter.words(request)

    async def again(problem: str, status: int) -> Response[str]:
        return await _ask(
            request, kind, console, painter, given=given, mode=mode, sent=sent, problem=problem, status=status
        )

    dry_run = sent.get("dry_run") == "on"
    if kind.changes and not sent.get("reason", "").strip():
        return await again(t("actions.reason_needed"), 400)
    if _typed(kind, console, mode) and not dry_run and sent.get("confirm", "").strip() != kind.name:
        return await again(t("actions.type_it", name=kind.name), 400)
    principal = signed_in(request)
    run = await console.runbook.submit(
        ActionRequest(
            action=kind.name,
            parameters=parameters_from(kind.parameters, sent),
            operator=principal.name,
            trigger=Trigger.PAGE,
            reason=sent.get("reason", "").strip(),
            window=cast("Window | None", sent["window"]) if sent.get("window") in ("day", "night") else None,
            profile=console.runbook.settings.profile,
            config=_config(console, sent.get("config", "")),
            mode=mode,
            dry_run=dry_run,
            idempotency_key=f"page:{sent['key']}" if sent.get("key") else "",
        ),
        role=principal.role,
    )
    if run.refused:
        said = run.result.message if run.result else t("actions.refused")
        return await again(said, _STATUS.get(Exit(run.exit_code or Exit.ERROR), 400))
    root = request.scope.get("root_path", "").rstrip("/")
    return Redirect(f"{root}/runs/{run.id}", status_code=303)


async def _ask(
    request: Request[Any, Any, Any],
    kind: ActionKind,
    console: Console,
    painter: Painter,
    *,
    given: Mapping[str, str],
    mode: Mode,
    sent: Mapping[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    t = painter.words(request)
    seen = console.observatory.latest
    why = by_rank(kind, _blank(kind), signed_in(request).role)
    languages = sorted(LANGUAGES, key=lambda one: one != t.language)
    model = ConfirmPage(
        kind=kind,
        told=[_told(kind, painter.texts.of(language)) for language in languages],
        lines=[(one.line, one.account, one.role) for one in seen.status.lines] if seen.status else (),
        fields=[one for one in fields_of(kind.parameters, given) if one.name.removeprefix("p.") not in _FIELDS],
        key=(sent or {}).get("key") or secrets.token_hex(16),
        typed=_typed(kind, console, mode),
        mocked=kind.name in _MOCKED,
        mode=mode,
        reason=(sent or {}).get("reason", ""),
        problem=problem or why,
        allowed=not why,
    )
    return await painter.page(request, console, "", model, template="confirm.html", status=403 if why else status)


async def _unknown(request: Request[Any, Any, Any], action: str, console: Console, painter: Painter) -> Response[str]:
    try:
        console.runbook.kinds.get(action)
        said = ""
    except UnknownActionError as error:
        said = str(error)
    model = ErrorPage(status=404, title=painter.words(request)("actions.unknown"), detail=said)
    return await painter.page(request, console, "", model, template="error.html", status=404)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """Something that could not be shown."""

    status: int
    title: str
    detail: str


def _told(kind: ActionKind, t: Words) -> Told:
    def text(part: Literal["happens", "notice"]) -> str:
        key = f"actions.{kind.name}.{part}"
        return t(key) if t.has(key) else ""

    return Told(words=t, title=title_of(kind, t), happens=text("happens"), notice=text("notice"))


def _typed(kind: ActionKind, console: Console, mode: Mode) -> bool:
    return kind.changes and mode == "live" and console.observatory.latest.trading


def _config(console: Console, asked: str) -> Config:
    if asked in ("primary", "backup"):
        return "backup" if asked == "backup" else "primary"
    return console.runbook.loaded.config_in_use


def _blank(kind: ActionKind) -> ActionRequest:
    return ActionRequest(action=kind.name, operator="", trigger=Trigger.PAGE)
