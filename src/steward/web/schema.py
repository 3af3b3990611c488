"""The migration of keys over HTTP, for operators: look, go on, go back, compare.

What walks over all keys for as long as it takes, ``steward schema backfill`` and ``retire``, is done on the machine.
"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from steward.identity import Principal
from steward.key_schema import Phase, SchemaStatus
from steward.schema_desk import By
from steward.schema_views import verified_view
from steward.web import answers_schema as answers
from steward.web.bodies import Body
from steward.web.bodies_schema import AdvanceBody, VerifyBody
from steward.web.dependencies import Operator, RequestId, Services
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/schema", tags=["schema"], route_class=SecuredRoute)


def _view(status: SchemaStatus, request_id: str) -> dict[str, Any]:
    return {**asdict(status), "request_id": request_id}


def _by(principal: Principal, request_id: str) -> By:
    return By(principal.actor_id, request_id)


@router.get(
    "/status",
    operation_id="schema_status",
    summary="Show how the migration of keys stands",
    responses=documented(answers.SchemaStatus, 409, tenancy="installation"),
)
async def status(_principal: Operator, services: Services, request_id: RequestId) -> Response:
    """The phase that all processes follow, and what was counted in each. 409 where work is not in Redis."""
    return json_answer(_view(await services.schema.status(), request_id))


@router.post(
    "/advance",
    operation_id="schema_advance",
    summary="Go to a later phase",
    responses=documented(answers.SchemaStatus, 409, body=True, tenancy="installation"),
)
async def advance(principal: Operator, services: Services, request_id: RequestId, body: AdvanceBody) -> Response:
    """In force in every process at once. 409 says why not, and what to do first."""
    by = _by(principal, request_id)
    reached = await services.schema.advance(Phase(body.to), accept_invalid=body.accept_invalid, by=by)
    return json_answer(_view(reached, request_id))


@router.post(
    "/back",
    operation_id="schema_back",
    summary="Go one phase back",
    responses=documented(answers.SchemaStatus, 409, body=True, tenancy="installation"),
)
async def back(principal: Operator, services: Services, request_id: RequestId, _body: Body | None = None) -> Response:
    """From `new-only` the old keys are filled again first, so it may take a while."""
    return json_answer(_view(await services.schema.back(by=_by(principal, request_id)), request_id))


@router.post(
    "/verify",
    operation_id="schema_verify",
    summary="Compare both copies of every job",
    responses=documented(answers.SchemaVerified, 409, body=True, tenancy="installation"),
)
async def verify(principal: Operator, services: Services, request_id: RequestId, body: VerifyBody) -> Response:
    """It walks over all jobs, so it may take a while; `new-only` is refused until it found nothing missing or different."""
    found = await services.schema.verify(workspace_id=body.workspace, by=_by(principal, request_id))
    return json_answer({**verified_view(found), "request_id": request_id})
