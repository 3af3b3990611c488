"""Every refusal and failure of the API in its one shape: RFC 9457 ``application/problem+json``.

Steward's own errors, FastAPI's validation errors and the router's 404 and 405 all end here; what nobody foresaw is
answered by ``unforeseen`` from the outermost middleware. A problem never repeats what was sent: values may be secrets.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from steward.bootstrap import Application
from steward.doors import Refusal
from steward.errors import (
    BadRequest,
    FieldProblem,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    StewardError,
    StoreUnavailable,
    Unauthenticated,
)
from steward.web.rate_limits import RateLimiter
from steward.web.request_facts import facts_of, route_of

MEDIA_TYPE: Final = "application/problem+json"
_MAX_ERRORS: Final = 20
_MAX_SEGMENT_CHARS: Final = 64
_RETRY_LATER_S: Final = 1
_compiled: Final = functools.cache(compile_path)
_ROUTER_DETAILS: Final = {404: "There is nothing at this path.", 405: "This path does not take this method."}
_log = structlog.get_logger("steward.web")


class BodyTooSlow(StewardError):
    """The request body did not arrive in time."""

    code = "body_too_slow"
    status = 408
    title = "Body too slow"


def pointer(path: Sequence[str | int]) -> str:
    """Return ``path`` as a JSON pointer (RFC 6901), each part cut to a length that is safe to repeat."""
    parts = (str(part)[:_MAX_SEGMENT_CHARS].replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in parts)


def field_problems(errors: Sequence[Mapping[str, Any]]) -> tuple[FieldProblem, ...]:
    """Return pydantic's errors as field problems without the values, at most ``_MAX_ERRORS``.

    A place in the body is a pointer into the body; one in the query or a header keeps that word in front.
    """
    problems = []
    for error in errors[:_MAX_ERRORS]:
        place = error["loc"][1:] if error["loc"][:1] == ("body",) else error["loc"]
        problems.append(FieldProblem(pointer(place), str(error["msg"]).removeprefix("Value error, ")))
    return tuple(problems)


def problem(error: StewardError, request_id: str) -> Response:
    """Return ``error`` as a problem document with the headers that its status asks for."""
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BodyTooSlow):
        headers["Connection"] = "close"
    if error.retry_after_s is not None or isinstance(error, RateLimited | StoreUnavailable):
        headers["Retry-After"] = str(max(error.retry_after_s or 0, _RETRY_LATER_S))
    members = dict(error.facts)
    if error.errors:
        members["errors"] = [item.as_dict() for item in error.errors]
    return _document(
        error.status, error.title, error.stable_code, error.detail, request_id, members=members, headers=headers
    )


def unforeseen(request_id: str) -> Response:
    """Return the answer to an error that nobody foresaw: the same words whatever it was."""
    detail = "Something went wrong here; the request id finds it in the log."
    return _document(500, StewardError.title, StewardError.code, detail, request_id)


def _document(
    status: int,
    title: str,
    code: str,
    detail: str,
    request_id: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    status = int(status)  # an HTTPStatus would show as one in logs
    document = {
        **(members or {}),
        "type": f"urn:steward:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    return Response(to_json(document), status, headers, MEDIA_TYPE)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, StewardError)
    facts = facts_of(request.scope)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = type(error.__cause__).__name__
        _log.warning("A request failed.", action="request_failed", code=error.stable_code, cause=cause)
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return unforeseen(facts.request_id)
    if isinstance(error, NotFound):  # unknown, foreign and malformed must not differ by a word
        error = NotFound()
    if isinstance(error, Unauthenticated | Forbidden):
        facts.decision = "denied"
    if isinstance(error, Unauthenticated):
        error = _failed_login(request, error)
    if isinstance(error, Unauthenticated | Forbidden):  # beyond the limit of failed logins nothing more is recorded
        request.app.state.steward.doors.refused(refused(request, error))
    if isinstance(error, RateLimited):
        application: Application = request.app.state.steward
        application.telemetry.rate_limited(str(error.facts.get("rule")))
    return problem(error, facts.request_id)


async def answer_to(request: Request, error: Exception) -> Response:
    """Return what would have been answered to an error that is met once an answer has begun."""
    if isinstance(error, StewardError):
        return await _refusal(request, error)
    _log.exception("A request failed.", action="request_failed", route=route_of(request.scope))
    return unforeseen(facts_of(request.scope).request_id)


def _failed_login(request: Request, error: Unauthenticated) -> StewardError:
    """Return ``error``, or what takes its place when there were too many like it from the same address."""
    limiter: RateLimiter = request.app.state.rate_limiter
    verdict = limiter.failed_login(request.client.host if request.client else None)
    facts_of(request.scope).headers.update(verdict.headers)
    return verdict.refused or error


def refused(request: Request, error: StewardError) -> Refusal:
    """Return what is recorded of a request that was turned away."""
    facts = facts_of(request.scope)
    return Refusal(
        principal=facts.principal,
        code=error.stable_code,
        status=int(error.status),
        method=facts.method[:_MAX_SEGMENT_CHARS],
        route=route_of(request.scope),
        request_id=facts.request_id,
        address="" if request.client is None else request.client.host,
        rule=error.facts.get("rule"),
        scope=error.facts.get("scope"),
    )


async def _does_not_fit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    outside_body = any(item["loc"][:1] != ("body",) for item in errors)
    refusal = BadRequest if outside_body else Invalid
    return problem(refusal(errors=field_problems(errors)), facts_of(request.scope).request_id)


async def _router_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    detail = _ROUTER_DETAILS.get(error.status_code, phrase)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted({*headers["Allow"].split(", "), *_methods_at(request)}))
    return _document(
        error.status_code, phrase.capitalize(), code, detail, facts_of(request.scope).request_id, headers=headers
    )


def _methods_at(request: Request) -> Iterator[str]:
    """Yield the methods of every route that is described at this path: the router names those of the first one only."""
    described, path = request.app.openapi()["paths"], request.url.path
    matching = [template for template in described if _compiled(template)[0].match(path)]
    for template in [path] if path in matching else matching[:1]:
        yield from (method.upper() for method in described[template])
        if "get" in described[template]:
            yield "HEAD"


def install(api: FastAPI) -> None:
    """Make ``api`` answer every foreseen error with a problem document."""
    api.add_exception_handler(StewardError, _refusal)
    api.add_exception_handler(RequestValidationError, _does_not_fit)
    api.add_exception_handler(HTTPException, _router_refusal)
