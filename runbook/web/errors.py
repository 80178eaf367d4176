"""What went wrong, for machines and people: problem details (RFC 9457) by one table, HTML for browsers on pages.

``app.build`` takes :data:`HANDLERS`. Nothing of a value that was refused is repeated, and nothing of a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from traceback import walk_tb
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from litestar.serialization import decode_json
from msgspec import Meta

from gateway.errors import ControlError, FeedgateError
from runbook.model import Exit

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "urn:feedgate:problem:"
"""Of a problem, before its code."""

AnyRequest = Request[Any, Any, Any]


class WrongField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing in the request that cannot be used."""

    field: Annotated[str, Meta(description="Name of the field, parameter or header; empty: the body as a whole")]
    message: Annotated[str, Meta(description="What is wrong with it")]
    source: Annotated[str, Meta(description="`body`, `query`, `path` or `header`; empty: not known")] = ""


class RunningAction(msgspec.Struct, frozen=True, kw_only=True):
    """The action that runs now, and keeps others waiting."""

    action: Annotated[str, Meta(description="Its name")]
    run: Annotated[str, Meta(description="Id of its run")]
    operator: Annotated[str, Meta(description="Who asked for it")]
    since: Annotated[str, Meta(description="When it began; RFC 3339, +08:00")]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). ``type`` is ``urn:feedgate:problem:`` and the code."""

    type: Annotated[str, Meta(description="Names the sort of problem")]
    title: Annotated[str, Meta(description="The sort of problem in a few words; the same for every occurrence")]
    status: Annotated[int, Meta(description="HTTP status", ge=400, le=599)]
    code: Annotated[str, Meta(description="The sort of problem, for programs")]
    detail: Annotated[str, Meta(description="What went wrong this time, in words")] = ""
    fix: Annotated[str, Meta(description="The next step")] = ""
    exit_code: Annotated[int | None, Meta(description="What the same command would exit with; see docs/runbook.md")] = (
        None
    )
    errors: Annotated[list[WrongField], Meta(description="Each wrong field of the request")] = []
    run: Annotated[str | None, Meta(description="Id of the run that was refused; the audit has it too")] = None
    running: Annotated[RunningAction | None, Meta(description="Of 409: what runs now")] = None


class ApiError(FeedgateError):
    """A request that the API itself refuses. ``status`` is an HTTP status."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        """``more`` are further fields of :class:`Problem`, and ``headers``."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers: Mapping[str, str] = more.pop("headers", {})
        self.more = more


_BY_CODE: Final[Mapping[str, int]] = {
    "unknown_action": HTTPStatus.NOT_FOUND,
    "unknown_job": HTTPStatus.NOT_FOUND,
    "audit": HTTPStatus.SERVICE_UNAVAILABLE,
    "calendar": HTTPStatus.SERVICE_UNAVAILABLE,
    "job_state": HTTPStatus.SERVICE_UNAVAILABLE,
    "unmeasured": HTTPStatus.SERVICE_UNAVAILABLE,
}
_BY_EXIT: Final[Mapping[int, int]] = {
    Exit.ENVIRONMENT: HTTPStatus.SERVICE_UNAVAILABLE,
    Exit.NATS: HTTPStatus.SERVICE_UNAVAILABLE,
    Exit.GATEWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Exit.SUBSCRIPTIONS: HTTPStatus.SERVICE_UNAVAILABLE,
    Exit.METRICS: HTTPStatus.SERVICE_UNAVAILABLE,
    Exit.USAGE: HTTPStatus.BAD_REQUEST,
    Exit.BUSY: HTTPStatus.CONFLICT,
    Exit.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Exit.TIMED_OUT: HTTPStatus.GATEWAY_TIMEOUT,
}
_BY_REPLY: Final[Mapping[str, int]] = {
    "control": HTTPStatus.BAD_REQUEST,
    "busy": HTTPStatus.CONFLICT,
    "timeout": HTTPStatus.GATEWAY_TIMEOUT,
}
"""Of ControlError. Anything else: the gateway cannot be asked at the moment."""

_TITLES: Final[Mapping[int, str]] = {
    400: "The request cannot be used",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "There is no such thing",
    405: "This cannot be done here",
    409: "Another action runs",
    413: "The request is too large",
    415: "The body is of another kind",
    429: "Too many requests",
    503: "Something that is needed cannot be reached",
    504: "No answer in time",
}
_FIXES: Final[Mapping[int, str]] = {
    400: "correct the request; GET /schema/openapi.json describes it",
    401: "send Authorization: Bearer TOKEN, with a token of OPS_API_TOKENS, or log in at /login",
    403: "ask somebody with the role",
    404: "look at the list: GET /schema/openapi.json has every path",
    405: "use a method of the header Allow",
    413: "send less",
    415: "send JSON with Content-Type: application/json",
    429: "wait as many seconds as the header Retry-After says",
    503: "look at GET /api/status, start what is missing (runbook start), then ask again",
    504: "ask again; what was asked for may still be done",
    500: "look into the runbook's log; the incident is written there",
}
_DECODER: Final = decode_json.__name__
_NO_JSON: Final = ("Input data was truncated", "JSON is malformed", "Failed to decode", "Invalid UTF-8")
_CODES: Final[Mapping[int, str]] = {
    400: "usage", 401: "unauthorized", 403: "not_allowed", 404: "not_found", 405: "method", 413: "too_large",
    415: "media_type", 429: "too_many", 503: "unavailable", 504: "timed_out",
}  # fmt: skip
_OF_EXIT: Final[Mapping[int, str]] = {
    Exit.ENVIRONMENT: "not_recorded", Exit.USAGE: "usage", Exit.BUSY: "busy", Exit.NOT_ALLOWED: "not_allowed",
    Exit.TIMED_OUT: "timed_out",
}  # fmt: skip


def status_of_error(error: FeedgateError) -> int:
    """The HTTP status that stands for an error. 500 for one that nobody foresaw."""
    if isinstance(error, ApiError):
        return error.status
    if isinstance(error, ControlError):
        return _BY_REPLY.get(str(error.fields.get("reply_code")), HTTPStatus.SERVICE_UNAVAILABLE)
    return _BY_CODE.get(error.code) or _BY_EXIT.get(error.exit_code, HTTPStatus.INTERNAL_SERVER_ERROR)


def status_of_exit(exit_code: int) -> int:
    """The HTTP status of a request that an action's runner refused with this exit code."""
    return _BY_EXIT.get(exit_code, HTTPStatus.INTERNAL_SERVER_ERROR)


def code_of_exit(exit_code: int) -> str:
    """The machine name of such a refusal."""
    return _OF_EXIT.get(exit_code, "refused")


def problem(status: int, code: str = "", detail: str = "", *, title: str = "", fix: str = "", **more: Any) -> Problem:
    """One problem. Without a fix the last clause of the detail is it: every message of Feedgate ends with one."""
    code = code or _CODES.get(status, "error")
    if not fix:
        _, found, last = detail.rpartition("; ")
        fix = last if found else _FIXES.get(status, "")
    phrase = _TITLES.get(status) or HTTPStatus(status).phrase
    return Problem(
        type=TYPE + code, title=title or phrase, status=int(status), code=code, detail=detail, fix=fix, **more
    )


def problem_of(error: Exception) -> tuple[Problem, Mapping[str, str]]:
    """The problem that an exception is, and the headers of its answer."""
    if isinstance(error, ApiError):
        return problem(error.status, error.code, str(error), **error.more), error.headers
    if isinstance(error, FeedgateError):
        status = status_of_error(error)
        return problem(status, error.code, str(error), exit_code=int(error.exit_code)), {}
    if isinstance(error, HTTPException):
        return _of_http(error), error.headers or {}
    if isinstance(error, RecursionError | UnicodeDecodeError) and _of_body(error):
        detail = "the body is not UTF-8" if isinstance(error, UnicodeDecodeError) else "the body is nested too deeply"
        return problem(HTTPStatus.BAD_REQUEST, detail=detail, fix=_FIXES[400]), {}
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "this should not happen"), {}


def _of_body(error: Exception) -> bool:
    """Whether it was raised while the framework decoded a request, and not by a handler."""
    return any(frame.f_code.co_name == _DECODER for frame, _ in walk_tb(error.__traceback__))


def _of_http(error: HTTPException) -> Problem:
    """Of the framework: its words quote the path with the query, ours do not."""
    wrong = [_wrong(one) for one in error.extra if isinstance(one, Mapping)] if isinstance(error.extra, list) else []
    detail = error.detail
    if wrong:
        detail = "; ".join(f"{one.field or 'body'}: {one.message}" for one in wrong)
    elif error.status_code == HTTPStatus.BAD_REQUEST and detail.startswith(_NO_JSON):
        detail = f"the body is not JSON: {detail}"
    elif error.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = "this should not happen"
    if detail == HTTPStatus(error.status_code).phrase:
        detail = ""
    return problem(error.status_code, detail=detail, fix=_FIXES.get(error.status_code, ""), errors=wrong)


def _wrong(said: Mapping[str, Any]) -> WrongField:
    message = str(said.get("message", ""))
    field = str(said.get("key", ""))
    prefix = "Object contains unknown field `"
    if message.startswith(prefix):
        name = message.removeprefix(prefix).rstrip("`")
        field, message = (name if field in ("", "data") else f"{field}.{name}"), "there is no such field"
    source = said.get("source", "")
    return WrongField(field=field.removeprefix("data.") if field != "data" else "", message=message,
                      source=str(getattr(source, "value", source)))  # fmt: skip


def prefers_html(request: AnyRequest) -> bool:
    """Whether a browser shows the answer to somebody. Below ``/api`` and ``/schema`` nobody gets HTML."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "").rstrip("/"))
    if path.startswith(("/api/", "/schema")) or path == "/api":
        return False
    accept = request.headers.get("accept", "")
    html, json = _quality(accept, "text/html"), _quality(accept, "application/json")
    return html > 0 and html >= json and "text/html" in accept.lower()


def _quality(accept: str, wanted: str) -> float:
    """How much somebody wants a media type, 0 to 1."""
    best, place = 0.0, -1
    names = {"*/*": 0, f"{wanted.partition('/')[0]}/*": 1, wanted: 2}
    for part in accept.lower().split(",")[:20]:
        name, *parameters = (word.strip() for word in part.split(";"))
        if name not in names or names[name] < place:
            continue
        written = next((text.removeprefix("q=") for text in parameters if text.startswith("q=")), "1")
        try:
            best, place = float(written), names[name]
        except ValueError:
            continue
    return best


def answer(request: AnyRequest, found: Problem, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """A problem as the response that suits who asked."""
    headers = {**(headers or {}), "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if prefers_html(request):
        from runbook.web.error_page import error_page  # noqa: PLC0415 - the API alone needs no templates

        return error_page(request, found, headers)
    return Response(found, status_code=found.status, media_type=MEDIA_TYPE, headers=headers)


def _handle(request: AnyRequest, error: Exception) -> Response[Any]:
    found, headers = problem_of(error)
    if found.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return answer(request, found, headers)


HANDLERS: Final[dict[int | type[Exception], Callable[[AnyRequest, Any], Response[Any]]]] = {
    FeedgateError: _handle,
    HTTPException: _handle,
    Exception: _handle,
}
"""For ``Litestar(exception_handlers=…)``."""


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """These problems in the OpenAPI document, beside those that any route may answer (400, 401, 403, 429)."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_TITLES.get(status) or HTTPStatus(status).phrase,
            media_type=MEDIA_TYPE,
            generate_examples=False,
            examples=[Example(summary=_CODES.get(status, "problem"), value=_example(status))],
        )
        for status in sorted({400, 401, 403, 429, *statuses})
    }


def _example(status: int) -> Any:
    words = {
        400: ("usage", "reason: this changes something live and needs a reason; say it with --reason TEXT"),
        404: ("unknown_run", "there is no run 20261123T204500-1f3a9c5e; GET /api/runbook/runs lists them"),
        409: ("busy", "busy: drill of wang (run 20261123T204500-1f3a9c5e) since 20:45; wait for its end"),
        503: ("bus", "NATS at nats://127.0.0.1:4222 cannot be reached; start it"),
    }
    code, detail = words.get(status, ("", ""))
    return msgspec.to_builtins(problem(status, code, detail))
