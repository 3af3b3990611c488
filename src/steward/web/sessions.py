"""The session of this server's own pages: a key or a one-time code goes in, a cookie comes out."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from steward.authenticators.session import SESSION
from steward.bootstrap import Application
from steward.errors import Invalid, Unauthenticated
from steward.identity import Principal
from steward.rate_limit import RateRule
from steward.views import time_view
from steward.web import answers_directory as answers
from steward.web import session_cookie
from steward.web.bodies_directory import SessionBody
from steward.web.dependencies import Services, bearer_token, count_request
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.rate_limits import limited
from steward.web.secured_route import StrictRoute

router = APIRouter(prefix="/session", tags=["session"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="session_open",
    summary="Open a session",
    openapi_extra=limited(RateRule.SESSION),
    responses=documented(answers.Session, body=True, tenancy="workspace"),
)
async def open_session(request: Request, services: Services, body: SessionBody | None = None) -> Response:
    """For a browser: the API key in `Authorization`, or a one-time code in the body, becomes an HttpOnly cookie.

    The cookie works for requests of this server's own pages and nowhere else. It ends with the key, and after half a day.
    """
    session_cookie.refuse_foreign_page(request)
    principal = await _asks(request, services, body)
    count_request(request, RateRule.SESSION, principal)
    opened = await services.sessions.open(principal)
    answer = json_answer(_document(principal, opened.expires_at))
    session_cookie.place(answer, request, opened.handle, SESSION)
    return answer


def _document(principal: Principal, expires_at: datetime) -> dict[str, Any]:
    return {
        "workspace_id": principal.workspace_id,
        "actor_id": principal.actor_id,
        "roles": sorted(principal.roles),
        "scopes": sorted(principal.scopes),
        "expires_at": time_view(expires_at),
    }


@router.get(
    "",
    operation_id="session_show",
    summary="Say whose session it is",
    responses=documented(answers.Session, tenancy="workspace"),
)
async def show_session(request: Request, services: Services) -> Response:
    """Who the cookie stands for, what that lets it do, and until when."""
    handle = session_cookie.session_handle(request)
    if handle is None:
        raise Unauthenticated("There is no session.")
    session_cookie.require_same_origin(request)
    opened = await services.sessions.look(handle)
    return json_answer(_document(opened.principal, opened.expires_at))


async def _asks(request: Request, services: Application, body: SessionBody | None) -> Principal:
    """Return who asks for a session, by key or by code."""
    given = "authorization" in request.headers
    if given and body is not None:
        raise Invalid("Give either a key in 'Authorization' or a code in the body.", code="two_credentials")
    if body is not None:
        return await services.sessions.redeem(body.code)
    token = bearer_token(request)
    principal = await services.authenticator.authenticate(token) if token else None
    if principal is None:
        raise Unauthenticated
    return principal


@router.delete(
    "",
    operation_id="session_end",
    summary="End the session",
    responses=documented(answers.Ended, body=True, tenancy="workspace"),
)
async def end_session(request: Request, services: Services) -> Response:
    """The cookie is worth nothing from then on, wherever a copy of it is."""
    handle = session_cookie.session_handle(request)
    if handle is None:
        raise Unauthenticated("There is no session to end.")
    session_cookie.require_same_origin(request)
    await services.sessions.end(handle)
    answer = json_answer({"ended": True})
    session_cookie.remove(answer, request)
    return answer
