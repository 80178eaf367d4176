"""Who may ask for what, and whether a request is one at all. Decided before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.errors import FeedgateError
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, Exit, Role

Access = Callable[[ActionKind, ActionRequest, Role], str]
"""Why somebody with this role may not ask for this; empty: they may."""


class RefusedError(FeedgateError):
    """A run that is never begun. ``exit_code`` says why: 64 usage, 75 busy, 77 not allowed, 11 no audit."""

    code = "refused"

    def __init__(self, exit_code: int, message: str, **fields: object) -> None:
        super().__init__(message, **fields)
        self.exit_code = exit_code


def by_rank(kind: ActionKind, request: ActionRequest, role: Role) -> str:
    """Each role may do what those before it may."""
    del request
    ranks = list(Role)
    if ranks.index(role) >= ranks.index(kind.role):
        return ""
    return f"{kind.name} needs the role {kind.role}, and this is a {role}; ask somebody who has it"


def parameters_of(kind: ActionKind, request: ActionRequest) -> BaseModel:
    """The request's parameters as the action wants them. Raises RefusedError (64) that names each wrong one.

    The message never repeats a value.
    """
    problems: Sequence[Any] = ()
    try:
        return kind.parameters.model_validate(dict(request.parameters))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    said = "; ".join(_said(problem["loc"], problem["type"], problem["msg"]) for problem in problems)
    known = ", ".join(kind.parameters.model_fields) or "none"
    raise RefusedError(Exit.USAGE, f"{kind.name}: wrong parameters: {said}; its parameters are: {known}")


def _said(loc: Sequence[int | str], kind: str, message: str) -> str:
    name = ".".join(map(str, loc)) or "together"
    if kind == "extra_forbidden":
        return f"there is no {name}"
    # other types of pydantic may quote the input in their text; these do not
    return f"{name}: {message[:1].lower()}{message[1:]}"


def check_reason(kind: ActionKind, request: ActionRequest) -> None:
    """A live change needs a reason. Raises RefusedError (64)."""
    live = request.profile == "live" and request.mode == "live" and not request.dry_run
    if kind.changes and live and not request.reason.strip():
        raise RefusedError(
            Exit.USAGE, f"{kind.name} changes something live and needs a reason; say it with --reason TEXT"
        )
