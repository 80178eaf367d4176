"""What can be done, and having it done: ``/api/runbook/actions`` and ``POST /api/runbook/{action}``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, HeaderParameter
from msgspec import Meta

from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, Config, Exit, Mode, Profile, Role, Trigger, Window
from runbook.runner import Run
from runbook.runner.access import by_rank
from runbook.runner.lock import ExclusiveLock
from runbook.web.api.runs import RunView, location_of, root_of, run_view
from runbook.web.console import Console, Principal
from runbook.web.errors import ApiError, RunningAction, WrongField, code_of_exit, documented, status_of_exit

Asked = Request[Principal, Any, Any]

_NO_CHOICE: Final = frozenset({"failover"})
"""To them ``primary`` means that nobody chose an account."""
_KEY: Final = 200
_RETRY_S: Final = "5"


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that operators can do."""

    name: Annotated[str, Meta(description="Path of `POST /api/runbook/{action}`", examples=["failover"])]
    title: Annotated[str, Meta(description="A few words")]
    role: Annotated[Role, Meta(description="Who may ask for it at least")]
    allowed: Annotated[bool, Meta(description="Whether who asks now may")]
    changes: Annotated[bool, Meta(description="Whether it changes something; in profile live it then needs a reason")]
    exclusive: Annotated[bool, Meta(description="Whether only one such action runs at a time; others get 409")]
    timeout_s: Annotated[float, Meta(description="Seconds after which it is ended, with exit code 124")]
    parameters: Annotated[dict[str, Any], Meta(description="JSON schema of `parameters`")]


class ActionList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/runbook/actions``."""

    actions: Annotated[list[ActionView], Meta(description="By name")]


class ActionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wished. All fields have a default; an unknown one is refused."""

    reason: Annotated[
        str, Meta(description="Why, for the audit; required for what changes something live", max_length=1000)
    ] = ""
    parameters: Annotated[
        dict[str, Any], Meta(description="Of the action; see its JSON schema in GET /api/runbook/actions")
    ] = {}
    window: Annotated[Window | None, Meta(description="Trading session that it is for")] = None
    profile: Annotated[Profile | None, Meta(description="Environment; null: that of the settings")] = None
    config: Annotated[Config | None, Meta(description="Account; null: the one in use")] = None
    mode: Annotated[
        Mode | None,
        Meta(description="`live`, or `mock`: on a simulator; null: `live`, and `mock` in the mock environment"),
    ] = None
    dry_run: Annotated[bool, Meta(description="Say what would be done, and do nothing")] = False
    idempotency_key: Annotated[
        str,
        Meta(description="A second request with the same key is answered with the first one's run", max_length=_KEY),
    ] = ""


_EXAMPLES: Final = [
    Example(summary="failover", value={"reason": "the primary front is silent"}),
    Example(summary="a drill on the simulator", value={"mode": "mock", "parameters": {"observe": 2.0}}),
    Example(summary="health, and heal", value={"parameters": {"mode": "enforce"}, "reason": "3 contracts missing"}),
]
IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key", max_length=_KEY, description="In place of the field of that name in the body"
    ),
]


@get(
    "/api/runbook/actions",
    opt={"role": Role.VIEWER},
    tags=["actions"],
    responses=documented(),
)
async def list_actions(request: Asked, console: NamedDependency[Console]) -> ActionList:
    """What can be done, with the JSON schema of its parameters and the role that it needs."""
    kinds = sorted(console.runbook.kinds.by_name.values(), key=lambda kind: kind.name)
    return ActionList(actions=[action_view(kind, request.user) for kind in kinds])


@post(
    "/api/runbook/{action:str}",
    opt={"role": Role.VIEWER},  # each action has a role of its own, and the runner refuses whoever has not got it
    status_code=202,
    tags=["actions"],
    responses={
        **documented(404, 409, 413, 503),
        200: ResponseSpec(RunView, generate_examples=False, description="The run of the first request with this key"),
    },
)
async def act(
    request: Asked,
    action: FromPath[str],
    console: NamedDependency[Console],
    data: Annotated[ActionBody | None, Body(examples=_EXAMPLES)] = None,
    idempotency_key: IdempotencyKey = "",
) -> Response[RunView]:
    """Have something done. Answers with the run as soon as it is refused or about to begin.

    202: it goes on; look at `Location`, or listen to `/api/runbook/runs/{id}/events`. 200: a request with this
    idempotency key was there before, and this is its run. 400: no reason, or wrong parameters. 409: another one runs.
    """
    data = data or ActionBody()
    if idempotency_key and data.idempotency_key not in ("", idempotency_key):
        wrong = WrongField(field="idempotency_key", message="differs from the header Idempotency-Key", source="body")
        raise ApiError(400, "usage", "there are two idempotency keys; send one", errors=[wrong])
    own = console.runbook.settings.profile
    if own == "live" and data.profile not in (None, own):
        # the reason that a live change needs must not be talked away
        wrong = WrongField(field="profile", message=f"this environment is {own}", source="body")
        raise ApiError(
            400, "usage", f"this environment is {own}, and not {data.profile}; leave profile out", errors=[wrong]
        )
    run = await console.runbook.submit(
        _request(console, request.user, action, data, idempotency_key or data.idempotency_key), role=request.user.role
    )
    return await answer_run(console, run, root_of(request))


def _request(console: Console, who: Principal, action: str, data: ActionBody, key: str) -> ActionRequest:
    runbook = console.runbook
    return ActionRequest(
        action=action,
        parameters=data.parameters,
        operator=who.name,
        trigger=Trigger.API,
        reason=data.reason.strip(),
        window=data.window,
        profile=data.profile or runbook.settings.profile,
        config=data.config or ("primary" if action in _NO_CHOICE else runbook.loaded.config_in_use),
        mode=data.mode or ("mock" if runbook.loaded.mock else "live"),
        dry_run=data.dry_run,
        # the keys of pages, jobs and API are different ones
        idempotency_key=f"api:{key}" if key else "",
    )


def action_view(kind: ActionKind, who: Principal) -> ActionView:
    """One action, for somebody."""
    nothing = ActionRequest(action=kind.name, operator=who.name, trigger=Trigger.API)
    return ActionView(
        name=kind.name,
        title=kind.title,
        role=kind.role,
        allowed=not by_rank(kind, nothing, who.role),
        changes=kind.changes,
        exclusive=kind.exclusive,
        timeout_s=kind.timeout_s,
        parameters=kind.parameters.model_json_schema(),
    )


async def answer_run(console: Console, run: Run, root: str = "") -> Response[RunView]:
    """What somebody gets who asked for an action. Raises ApiError for one that was refused."""
    if run.refused:
        await _refuse(console, run)
    headers = {"Location": location_of(run.id, root)}
    return Response(run_view(run, root), status_code=200 if run.replayed else 202, headers=headers)


async def _refuse(console: Console, run: Run) -> None:
    code = run.exit_code or Exit.ERROR
    message = run.result.message if run.result else "refused"
    more: dict[str, Any] = {"run": run.id, "exit_code": int(code)}
    if code == Exit.USAGE and run.request.action not in console.runbook.kinds.by_name:
        raise ApiError(404, "unknown_action", message, fix="GET /api/runbook/actions lists them", **more)
    if code == Exit.USAGE and "--reason" in message:  # the command's words
        more["fix"] = "send it as `reason` in the body"
    if code == Exit.BUSY:
        lock = ExclusiveLock(console.runbook.runbook.lock_file)
        if holder := await asyncio.to_thread(lock.holder):
            more["running"] = RunningAction(
                action=holder.action, run=holder.run, operator=holder.operator, since=holder.since
            )
        more["headers"] = {"Retry-After": _RETRY_S}
    raise ApiError(status_of_exit(code), code_of_exit(code), message, **more)
