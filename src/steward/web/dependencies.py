"""Who is asking, and whether the credential lets them: what every route that is not public declares.

``authenticated`` turns the ``Authorization`` header, or a session's cookie, into a principal, once per request;
``Previewer``, ``Executor`` and the like are the annotations that routes use, each naming the scope it needs. Ids in a path are checked for shape here, so that a
malformed id, an unknown one and a foreign one are the same answer. All of them are coroutines, also where nothing waits:
FastAPI hands plain functions to a thread each, which costs more than everything that they do. It also takes longer to find out
what to give to such a coroutine than it runs, so the busiest routes ask for the request itself, and ``…_of`` it for the rest.
"""

import re
from typing import Annotated, Any, Final

import structlog
from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from steward.bootstrap import Application
from steward.errors import BadRequest, Forbidden, MissingScope, NotFound, Unauthenticated
from steward.identity import Principal, Scope
from steward.ids import is_id
from steward.key_schema import is_job_id
from steward.rate_limit import RateRule
from steward.web.rate_limits import RateLimiter
from steward.web.request_facts import facts_of
from steward.web.session_cookie import require_same_origin, session_handle
from steward.work_store import WorkStore

_TOKEN: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,8192})")
_IDEMPOTENCY_KEY: Final = re.compile(r'([A-Za-z0-9._:-]{1,128})|"([A-Za-z0-9._:-]{1,128})"')
_bearer = HTTPBearer(
    scheme_name="bearer",
    auto_error=False,
    description="An API key, `Authorization: Bearer stw_<key id>_<secret>`, or a token (JWT) of the identity provider.",
)


def services_of(request: Request) -> Application:
    """Return the application that this server is in front of."""
    return request.app.state.steward


async def _services(request: Request) -> Application:
    return services_of(request)


Services = Annotated[Application, Depends(_services)]


def bearer_token(request: Request) -> str | None:
    """Return the token of the one well-formed ``Authorization: Bearer`` header, else None."""
    values = request.headers.getlist("authorization")
    match = _TOKEN.fullmatch(values[0]) if len(values) == 1 else None
    return match[1] if match else None


async def principal_of(request: Request) -> Principal:
    """Return whom the request's credential stands for now; every reason to refuse it raises the same ``Unauthenticated``."""
    application, handle = services_of(request), session_handle(request)
    try:
        if handle is not None:
            require_same_origin(request)
            return await application.sessions.authenticate(handle)
        token = bearer_token(request)
        principal = await application.authenticator.authenticate(token) if token else None
    except Unauthenticated:
        principal = None
    if principal is None:
        raise Unauthenticated
    return principal


async def authenticated(request: Request) -> Principal:
    """Return the principal of this request, authenticating it the first time it is asked for."""
    facts = facts_of(request.scope)
    if facts.principal is None:
        facts.principal = await principal_of(request)
        structlog.contextvars.bind_contextvars(workspace_id=facts.principal.workspace_id)
    return facts.principal


OPERATOR: Final = "operator"
ADMIN_OR_OPERATOR: Final = "admin or operator"
"""Both stand where other routes name a scope: running the installation is a role, and no scope stands for it."""


def count_request(request: Request, rule: RateRule, principal: Principal) -> None:
    """Count this request; raise ``RateLimited`` if there were too many. Either way its answer says what is left."""
    limiter: RateLimiter = request.app.state.rate_limiter
    verdict = limiter.request(rule, principal)
    facts_of(request.scope).headers.update(verdict.headers)
    if verdict.refused is not None:
        raise verdict.refused


async def _scoped(
    request: Request,
    needed: SecurityScopes,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    _workspace_id: Annotated[
        str | None, Query(alias="workspace_id", description="Optional; the credential's own, or 403.")
    ] = None,
    _actor_id: Annotated[
        str | None, Query(alias="actor_id", description="Optional; the credential's own, or 403.")
    ] = None,
) -> Principal:
    """Return the principal if it holds every scope the route needs."""
    principal = await authenticated(request)
    if not needed.scopes:
        raise Forbidden  # a route without a stated scope is a mistake: fail closed
    for scope in needed.scopes:
        if not _holds(principal, scope):
            raise MissingScope(f"The credential lacks the scope '{scope}'.", facts={"scope": scope})
    facts_of(request.scope).decision = "allowed"
    return principal


def _holds(principal: Principal, scope: str) -> bool:
    if scope == OPERATOR:
        return principal.is_operator
    if scope == ADMIN_OR_OPERATOR:
        return principal.is_operator or principal.may(Scope.ADMIN)
    return principal.may(Scope(scope))


Previewer = Annotated[Principal, Security(_scoped, scopes=[Scope.PREVIEW.value])]
Executor = Annotated[Principal, Security(_scoped, scopes=[Scope.EXECUTE.value])]
Decider = Annotated[Principal, Security(_scoped, scopes=[Scope.DECIDE.value])]
Admin = Annotated[Principal, Security(_scoped, scopes=[Scope.ADMIN.value])]
Operator = Annotated[Principal, Security(_scoped, scopes=[OPERATOR])]
AdminOrOperator = Annotated[Principal, Security(_scoped, scopes=[ADMIN_OR_OPERATOR])]
Auditor = Annotated[Principal, Security(_scoped, scopes=[Scope.AUDIT.value])]


async def _plan_id(plan_id: Annotated[str, Path(description="`plan_…`")]) -> str:
    return known_shape(plan_id, "plan")


async def _job_id(job_id: Annotated[str, Path(description="`job_…`")]) -> str:
    return _shaped(job_id, is_job_id(job_id))


async def _approval_id(approval_id: Annotated[str, Path(description="`appr_…`")]) -> str:
    return known_shape(approval_id, "appr")


def known_shape(value: str, prefix: str) -> str:
    """Return ``value`` if it has the shape of an id; raise ``NotFound`` otherwise, as for an id that nobody has."""
    return _shaped(value, is_id(value, prefix))


def _shaped(value: str, good: bool) -> str:
    if not good:
        raise NotFound
    return value


async def _key_id(key_id: Annotated[str, Path(description="`key_…`")]) -> str:
    return known_shape(key_id, "key")


KeyId = Annotated[str, Depends(_key_id)]
PlanId = Annotated[str, Depends(_plan_id)]
JobId = Annotated[str, Depends(_job_id)]
ApprovalId = Annotated[str, Depends(_approval_id)]


_KEY_SAID: Final = (
    "1 to 128 of `A-Z a-z 0-9 . _ : -`, optionally in double quotes. The same key and payload answer as the first time."
)
IDEMPOTENT: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": _KEY_SAID,
            "schema": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": _KEY_SAID,
                "title": "Idempotency-Key",
            },
        }
    ]
}
"""The ``openapi_extra`` of a route that asks for ``idempotency_key_of`` its request."""


def idempotency_key_of(request: Request) -> str | None:
    """Return the key that the client gave this request; raise ``BadRequest`` for what is none."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    match = _IDEMPOTENCY_KEY.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise BadRequest("Idempotency-Key is 1 to 128 of A-Z a-z 0-9 . _ : -", code="invalid_idempotency_key")
    return match[1] or match[2]


def work_of(application: Application, principal: Principal) -> WorkStore:
    """Return the principal's work: the only way from here to a store."""
    return application.engine.open(principal)


def request_id_of(request: Request) -> str:
    """Return the id of this request."""
    return facts_of(request.scope).request_id


async def _request_id(request: Request) -> str:
    return request_id_of(request)


RequestId = Annotated[str, Depends(_request_id)]
