"""Who is asking, and whether the credential lets them: what every route that is not public declares.

``authenticated`` turns the ``Authorization`` header into a principal, once per request; ``Previewer`` and ``Executor``
are the annotations that routes use, each naming the scope it needs. Ids in a path are checked for shape here, so that a
malformed id, an unknown one and a foreign one are the same answer.
"""

import re
from typing import Annotated, Final

import structlog
from fastapi import Depends, Header, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from steward.bootstrap import Application
from steward.errors import BadRequest, Forbidden, MissingScope, NotFound, Unauthenticated
from steward.identity import Principal, Scope
from steward.ids import is_id
from steward.web.request_facts import facts_of
from steward.work_store import WorkStore

_TOKEN: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,4096})")
_IDEMPOTENCY_KEY: Final = re.compile(r'([A-Za-z0-9._:-]{1,128})|"([A-Za-z0-9._:-]{1,128})"')
_bearer = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="An API key: `Authorization: Bearer stw_<key id>_<secret>`."
)


def services_of(request: Request) -> Application:
    """Return the application that this server is in front of."""
    return request.app.state.steward


Services = Annotated[Application, Depends(services_of)]


def bearer_token(request: Request) -> str | None:
    """Return the token of the one well-formed ``Authorization: Bearer`` header, else None."""
    values = request.headers.getlist("authorization")
    match = _TOKEN.fullmatch(values[0]) if len(values) == 1 else None
    return match[1] if match else None


async def principal_of(application: Application, token: str | None) -> Principal:
    """Return whom ``token`` stands for; every reason to refuse it raises the same ``Unauthenticated``."""
    try:
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
        facts.principal = await principal_of(services_of(request), bearer_token(request))
        structlog.contextvars.bind_contextvars(workspace_id=facts.principal.workspace_id)
    return facts.principal


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
        if not principal.may(Scope(scope)):
            raise MissingScope(f"The credential lacks the scope '{scope}'.", facts={"scope": scope})
    facts_of(request.scope).decision = "allowed"
    return principal


Previewer = Annotated[Principal, Security(_scoped, scopes=[Scope.PREVIEW.value])]
Executor = Annotated[Principal, Security(_scoped, scopes=[Scope.EXECUTE.value])]
Auditor = Annotated[Principal, Security(_scoped, scopes=[Scope.AUDIT.value])]


def _plan_id(plan_id: Annotated[str, Path(description="`plan_…`")]) -> str:
    return known_shape(plan_id, "plan")


def _job_id(job_id: Annotated[str, Path(description="`job_…`")]) -> str:
    return known_shape(job_id, "job")


def known_shape(value: str, prefix: str) -> str:
    """Return ``value`` if it has the shape of an id; raise ``NotFound`` otherwise, as for an id that nobody has."""
    if not is_id(value, prefix):
        raise NotFound
    return value


PlanId = Annotated[str, Depends(_plan_id)]
JobId = Annotated[str, Depends(_job_id)]


def _idempotency_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 128 of `A-Z a-z 0-9 . _ : -`, optionally in double quotes. The same key and payload answer as the first time.",
        ),
    ] = None,
) -> str | None:
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    match = _IDEMPOTENCY_KEY.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise BadRequest("Idempotency-Key is 1 to 128 of A-Z a-z 0-9 . _ : -", code="invalid_idempotency_key")
    return match[1] or match[2]


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]


def work_of(application: Application, principal: Principal) -> WorkStore:
    """Return the principal's work: the only way from here to a store."""
    return application.engine.open(principal)


def request_id_of(request: Request) -> str:
    """Return the id of this request."""
    return facts_of(request.scope).request_id


RequestId = Annotated[str, Depends(request_id_of)]
