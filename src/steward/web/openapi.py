"""How the API describes itself: every route says whose things it is about, and which problems it may answer.

``tenancy`` has no default: a route that is documented without it does not start. The isolation audit attacks each route
by what it declares.
"""

import importlib.metadata
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from steward.tenancy import TENANCY_KEY, Tenancy
from steward.web.answers import Problem, StreamedEvent
from steward.web.answers_planning import PlanProgress
from steward.web.problems import MEDIA_TYPE
from steward.web.rate_limits import rule_of

VERSION: Final = importlib.metadata.version("steward")
REF: Final = "#/components/schemas/{model}"
_MEANING: Final = {
    400: "A bad query parameter, cursor or header value.",
    401: "No valid credential.",
    403: "The credential may not do this.",
    404: "Unknown in this workspace.",
    421: "The request is for another host.",
    405: "The path does not take this method.",
    408: "The body did not arrive in time.",
    409: "The state does not allow it.",
    413: "The body is over the limit.",
    422: "The body does not fit.",
    429: "Too many requests; see Retry-After.",
    500: "An error that nobody foresaw.",
    502: "The far end failed.",
    503: "The store is unavailable.",
    504: "The far end did not answer in time.",
}
_ALWAYS: Final = (400, 401, 403, 422, 429, 500, 503)
_WITH_BODY: Final = (408, 413)
_TEXT: Final = {"schema": {"type": "string"}}
_RATE_LIMIT: Final = {
    "RateLimit-Policy": {"description": "Each rule: `q` requests in `w` seconds.", **_TEXT},
    "RateLimit": {"description": "By each rule, `r` requests are left for the next `t` seconds.", **_TEXT},
}
DESCRIPTION: Final = """Plain language becomes a checked plan, a preview, and durable work, never done twice.

Send `Authorization: Bearer <api key>`. Every error is `application/problem+json` with a stable `code` and the
`request_id` that stands in the header `X-Request-ID` of every answer. Routes with `x-rate-limit` say in the headers
`RateLimit` and `RateLimit-Policy` how many requests are left."""

Responses = dict[int | str, dict[str, Any]]


def answers(
    model: type[BaseModel] | None,
    *problems: int,
    tenancy: Tenancy,
    status: int = 200,
    body: bool = False,
    stream: type[BaseModel] | None = None,
) -> Responses:
    """Return what a secured route documents: its answer, its own ``problems``, and those that any such route may have.

    ``stream`` is what the events hold that lead to the answer, for whoever asks for them.
    """
    more = _WITH_BODY if body else ()
    documented = public_answers(model, *_ALWAYS, *more, *problems, tenancy=tenancy, status=status)
    if stream is not None:
        documented[status]["content"] = _events_of(stream)
    for response in documented.values():
        response["headers"] = {"X-Request-ID": _TEXT}
    documented[HTTPStatus.UNAUTHORIZED]["headers"] |= {"WWW-Authenticate": _TEXT, **_RATE_LIMIT}
    documented[HTTPStatus.TOO_MANY_REQUESTS]["headers"] |= {
        "Retry-After": {"schema": {"type": "integer"}},
        **_RATE_LIMIT,
    }
    return documented


def public_answers(
    model: type[BaseModel] | None, *problems: int, tenancy: Tenancy = "public", status: int = 200
) -> Responses:
    """Return what a route without a credential documents."""
    good: dict[str, Any] = {"description": HTTPStatus(status).phrase, TENANCY_KEY: tenancy}
    if model is not None:
        good["model"] = model
    documented: Responses = {status: good}
    for code in sorted(set(problems)):
        documented[code] = {
            "description": _MEANING[code],
            "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(model=Problem.__name__)}}},
        }
    return documented


def event_stream(*problems: int) -> Responses:
    """Return what the stream of events documents."""
    documented = answers(None, *problems, tenancy="workspace")
    documented[200]["content"] = _events_of(StreamedEvent)
    return documented


def _events_of(data: type[BaseModel]) -> dict[str, Any]:
    return {"text/event-stream": {"schema": {"$ref": REF.format(model=data.__name__)}}}


def _say_where_limited(document: Mapping[str, Any]) -> None:
    """Document the headers of limited routes, which stand on every one of their answers."""
    for item in document["paths"].values():
        for operation in item.values():
            if rule_of(operation) is not None:
                for response in operation["responses"].values():
                    response["headers"] = {**response.get("headers", {}), **_RATE_LIMIT}


def install(api: FastAPI) -> None:
    """Make ``api`` publish its description with the schemas that routes refer to by name."""

    def describe() -> Mapping[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(
                title="Steward", version=VERSION, description=DESCRIPTION, routes=api.routes, tags=api.openapi_tags
            )
            _, schemas = models_json_schema(
                [(Problem, "serialization"), (StreamedEvent, "serialization"), (PlanProgress, "serialization")],
                ref_template=REF,
            )
            document["components"].setdefault("schemas", {}).update(schemas["$defs"])
            _say_where_limited(document)
            _declare_tenancy(document)
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = describe  # type: ignore[method-assign] - FastAPI's documented way to extend the description


def _declare_tenancy(document: Mapping[str, Any]) -> None:
    """Put each operation's tenancy where readers of a description look for it: beside its operation id."""
    for operation in (operation for item in document["paths"].values() for operation in item.values()):
        for response in operation["responses"].values():
            if TENANCY_KEY in response:
                operation[TENANCY_KEY] = response.pop(TENANCY_KEY)
