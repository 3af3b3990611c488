"""What an operator's machinery asks: alive, ready, which version, and the metrics. Nothing here has a side effect."""

import asyncio
import secrets
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from steward.errors import StewardError, StoreUnavailable, Unauthenticated
from steward.key_schema import SchemaStatus
from steward.web import answers
from steward.web.dependencies import Services, bearer_token
from steward.web.json_answer import json_answer
from steward.web.openapi import VERSION, public_answers

router = APIRouter(tags=["health"])
_PING_S: Final = 2.0


class NotReady(StewardError):
    """Requests cannot be served now; 'checks' says which part is missing."""

    code = "not_ready"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Not ready"


@router.head("/healthz", include_in_schema=False)
@router.get(
    "/healthz",
    operation_id="health_live",
    summary="Whether the process answers",
    responses=public_answers(answers.Alive),
)
async def alive() -> Response:
    """Asks nothing of the store."""
    return json_answer({"status": "ok"})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    operation_id="health_ready",
    summary="Whether requests can be served",
    responses=public_answers(answers.Ready, 503),
)
async def ready(request: Request, services: Services) -> Response:
    """Asks the store, for at most two seconds. An audit that cannot be written shows here, and counts where it is required.

    Where jobs of older software lie in Redis, it is not ready until all of them are in the index; `key_schema` is the phase
    of their migration that holds now.
    """
    answers_now, schema = await _store(services)
    checks = [
        {"name": "store", "ok": answers_now},
        {"name": "serving", "ok": not request.app.state.stopping.is_set()},
        {"name": "audit", "ok": services.recorder.well},
    ]
    if schema is not None:
        checks.append({"name": "old_jobs", "ok": schema.adopted})
    phase = None if schema is None else schema.phase
    needed = [check for check in checks if check["name"] != "audit" or services.recorder.required]
    if not all(check["ok"] for check in needed):
        raise NotReady(facts={"checks": checks, "key_schema": phase}, retry_after_s=1)
    return json_answer({"status": "ready", "checks": checks, "key_schema": phase})


async def _store(services: Services) -> tuple[bool, SchemaStatus | None]:
    """Say whether the store answers, and how its key schema stands if it has one."""
    try:
        async with asyncio.timeout(_PING_S):
            await services.engine.ping()
            return True, await services.schema.glance()
    except (StoreUnavailable, TimeoutError):
        return False, None


@router.head("/version", include_in_schema=False)
@router.get(
    "/version", operation_id="version_show", summary="Which version this is", responses=public_answers(answers.Version)
)
async def version() -> Response:
    """The version of the package that runs."""
    return json_answer({"version": VERSION})


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    operation_id="metrics_show",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        **public_answers(None, 401),
        200: {
            **public_answers(None)[200],
            "description": "Prometheus' text form.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
)
async def metrics(request: Request, services: Services) -> Response:
    """Open, unless the setting METRICS_TOKEN asks for that bearer token."""
    expected = services.settings.metrics_token
    if expected is not None and not secrets.compare_digest((bearer_token(request) or "").encode(), expected.encode()):
        raise Unauthenticated("Send 'Authorization: Bearer <METRICS_TOKEN>'.")
    depths, schema = None, None
    with suppress(StoreUnavailable):
        depths = await services.engine.dispatcher.depth()
        schema = await services.schema.glance()
    return Response(services.telemetry.render(depths, schema), media_type=CONTENT_TYPE_LATEST)
