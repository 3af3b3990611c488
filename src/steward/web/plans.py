"""Plans over HTTP: from a sentence to a plan, and from a plan to work."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from steward import explain
from steward.clock import rfc3339
from steward.errors import NotFound
from steward.plan import PlanRecord, PlanStatus
from steward.rate_limit import RateRule
from steward.usage import room_of
from steward.web import answers
from steward.web.answers_planning import PlanProgress
from steward.web.bodies import Body, ExecuteBody, PlanBody, ReviseBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import (
    IDEMPOTENT,
    Executor,
    PlanId,
    Previewer,
    RequestId,
    Services,
    idempotency_key_of,
    known_shape,
    request_id_of,
    services_of,
    work_of,
)
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.planning import planned
from steward.web.rate_limits import limited
from steward.web.secured_route import SecuredRoute
from steward.work_store import Submitted

router = APIRouter(prefix="/ai", tags=["plans"], route_class=SecuredRoute)


@router.post(
    "/plan",
    operation_id="plans_create",
    summary="Turn a sentence into a checked plan",
    responses=documented(answers.Plan, 502, 504, body=True, tenancy="workspace", stream=PlanProgress),
    openapi_extra=limited(RateRule.PLAN),
)
async def create_plan(
    request: Request, principal: Previewer, services: Services, request_id: RequestId, body: PlanBody
) -> Response:
    """Nothing runs. A request that lacks something comes back with questions and no runnable step.

    Where `Accept` names `text/event-stream` first, the answer is a stream of events: `progress` while it is being planned, at
    last `plan` with what the answer would have been, or `error` with the problem. Closing the connection stops it.
    """
    context = body.context.model_dump(exclude_none=True) if body.context else None
    return await planned(
        request,
        services.telemetry,
        lambda tell: services.orchestrator.plan(principal, body.prompt, context, request_id, tell),
    )


@router.post(
    "/plans/{plan_id}/revise",
    operation_id="plans_revise",
    summary="Make a new plan from an old one",
    responses=documented(answers.Plan, 404, 409, 502, 504, body=True, tenancy="workspace", stream=PlanProgress),
    openapi_extra=limited(RateRule.PLAN),
)
async def revise_plan(  # noqa: PLR0917 - FastAPI's way to say what a route takes
    request: Request,
    principal: Previewer,
    services: Services,
    request_id: RequestId,
    plan_id: PlanId,
    body: ReviseBody,
) -> Response:
    """Answer a plan's questions, or give other steps. The old plan stays as it was.

    It may be streamed as the making of a plan may.
    """
    return await planned(
        request,
        services.telemetry,
        lambda tell: services.orchestrator.revise(
            principal, plan_id, answers=body.answers, steps=body.steps, request_id=request_id, tell=tell
        ),
    )


def _submitted(submitted: Submitted) -> Response:
    return json_answer(submitted, HTTPStatus.ACCEPTED)


@router.post(
    "/execute",
    operation_id="plans_execute",
    summary="Execute a plan, or run actions",
    status_code=202,
    responses=documented(answers.Submitted, 404, 409, status=202, body=True, tenancy="workspace"),
    openapi_extra=limited(RateRule.EXECUTE) | IDEMPOTENT,
)
async def execute(request: Request, principal: Executor, body: ExecuteBody) -> Response:
    """Everything is put to work at once, or nothing is. A repeat of the same request answers with the original ids."""
    orchestrator, run_at = services_of(request).orchestrator, body.run_at
    key, request_id = idempotency_key_of(request), request_id_of(request)
    if body.plan_id is not None:
        plan_id = known_shape(body.plan_id, "plan")
        return _submitted(
            await orchestrator.execute_plan(
                principal, plan_id, run_at=run_at, idempotency_key=key, request_id=request_id
            )
        )
    actions = [action.requested() for action in body.actions or ()]
    return _submitted(
        await orchestrator.execute_actions(
            principal, actions, run_at=run_at, idempotency_key=key, request_id=request_id
        )
    )


def _summary(plan: PlanRecord) -> dict[str, Any]:
    return {
        "plan_id": plan.plan_id,
        "status": plan.status,
        "prompt": plan.document.get("prompt", ""),
        "intent": plan.document.get("intent", ""),
        "digest": plan.digest,
        "actor_id": plan.actor_id,
        "job_ids": plan.job_ids,
        "created_at": rfc3339(plan.created_at),
        "expires_at": rfc3339(plan.expires_at) if plan.expires_at else None,
        "finished_at": rfc3339(plan.finished_at) if plan.finished_at else None,
    }


@router.get(
    "/plans",
    operation_id="plans_list",
    summary="List plans, newest first",
    responses=documented(answers.PlanPage, tenancy="workspace"),
)
async def list_plans(
    principal: Previewer,
    services: Services,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
    status: Annotated[PlanStatus | None, Query(description="Only plans with this status.")] = None,
) -> Response:
    """Drafts included, until they expire."""
    workspace_id = principal.workspace_id
    filters = {"status": status}
    after = position(services.vault, "plans", cursor, filters, workspace_id=workspace_id)
    page = await services.orchestrator.list_plans(principal, limit=limit, after=after, status=status)
    return json_answer(
        {
            "workspace_id": workspace_id,
            "plans": [_summary(plan) for plan in page.plans],
            "count": len(page.plans),
            "next_cursor": next_cursor(services.vault, "plans", page.next_after, filters, workspace_id=workspace_id),
        }
    )


@router.get(
    "/plans/{plan_id}",
    operation_id="plans_show",
    summary="Show a plan",
    responses=documented(answers.PlanDetail, 404, tenancy="workspace"),
)
async def show_plan(principal: Previewer, services: Services, plan_id: PlanId) -> Response:
    """One plan with its steps, decisions, approval and jobs."""
    return json_answer(await services.orchestrator.show_plan(principal, plan_id))


@router.post(
    "/plans/{plan_id}/cancel",
    operation_id="plans_cancel",
    summary="Cancel a plan",
    responses=documented(answers.PlanDetail, 404, 409, body=True, tenancy="workspace"),
)
async def cancel_plan(principal: Executor, services: Services, plan_id: PlanId, _body: Body | None = None) -> Response:
    """Steps that have not started are cancelled; running ones are asked to stop."""
    await work_of(services, principal).cancel_plan(plan_id)
    return json_answer(await services.orchestrator.show_plan(principal, plan_id))


@router.get(
    "/plans/{plan_id}/explain",
    operation_id="plans_explain",
    summary="Say why a plan is where it is",
    responses=documented(answers.Explanation, 404, 409, tenancy="workspace"),
)
async def explain_plan(principal: Previewer, services: Services, plan_id: PlanId) -> Response:
    """Why it is not running, or was refused, since when, and what would change that."""
    store = work_of(services, principal)
    plan = await store.get_plan(plan_id)
    if plan is None:
        raise NotFound
    jobs, approvals = await store.plan_jobs(plan_id), await store.plan_approvals(plan_id)
    now = services.clock.now()
    room = await room_of(services.directory, store, now)
    return json_answer(explain.explain_plan(plan, jobs, now, approvals, room=room))
