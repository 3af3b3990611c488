"""The API in front of an open ``Application``: which routes there are, in which order the doors stand."""

import asyncio
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from steward.bootstrap import Application
from steward.web import (
    actions,
    approvals,
    audit,
    docs_page,
    events,
    health,
    jobs,
    keys,
    mcp,
    members,
    openapi,
    plans,
    policies,
    problems,
    schema,
    sessions,
    studio,
    usage,
    workspaces,
)
from steward.web.cors import Cors
from steward.web.middleware import BodyLimit, Envelope
from steward.web.rate_limits import RateLimiter

BODY_TIMEOUT_S: Final = 30.0
STREAMS_PER_WORKSPACE: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one client may take, beside the body limit of the settings."""

    body_timeout_s: float = BODY_TIMEOUT_S
    """How long, in seconds, a request body may take to arrive."""
    streams_per_workspace: int = STREAMS_PER_WORKSPACE


def create_app(app: Application, *, limits: Limits | None = None) -> FastAPI:
    """Return the API of ``app``, which stays open as long as its opener wants.

    ``state.stopping`` is the event that ends streams and waits; ``steward.web.server`` sets it.
    """
    limits = limits or Limits()
    api = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    api.state.steward = app
    api.state.stopping = asyncio.Event()
    api.state.streams = events.StreamLimit(limits.streams_per_workspace)
    api.state.rate_limiter = RateLimiter(app.settings.rate_limits, app.clock)
    problems.install(api)
    openapi.install(api)
    for room in (
        plans,
        approvals,
        jobs,
        events,
        actions,
        workspaces,
        members,
        keys,
        sessions,
        policies,
        audit,
        usage,
        schema,
        mcp,
        health,
        docs_page,
        studio,
    ):
        api.router.routes.extend(room.router.routes)  # not included: then FastAPI looks through each room twice
    # the one added last stands outermost
    api.add_middleware(BodyLimit, limit_bytes=app.settings.body_limit_bytes, timeout_s=limits.body_timeout_s)
    if app.settings.cors_allow_origins:
        api.add_middleware(Cors, origins=app.settings.cors_allow_origins)
    api.add_middleware(Envelope, telemetry=app.telemetry, ids=app.ids)
    return api
