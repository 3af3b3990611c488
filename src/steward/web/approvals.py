"""Approvals over HTTP: the inbox, what is decided about, and the decision. Nothing is ever decided by a GET."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from steward.approval import Approval, ApprovalStatus, Verdict
from steward.bootstrap import Application
from steward.errors import NotFound
from steward.identity import Principal
from steward.persons import ids_of_person
from steward.views import approval_document, approval_view
from steward.web import answers_approvals as answers
from steward.web.bodies_approvals import DecisionBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import ApprovalId, Decider, Services, work_of
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute
from steward.work_store import WorkStore

router = APIRouter(prefix="/ai/approvals", tags=["approvals"], route_class=SecuredRoute)


@router.get(
    "",
    operation_id="approvals_list",
    summary="List approvals, newest first",
    responses=documented(answers.ApprovalPage, tenancy="workspace"),
)
async def list_approvals(
    principal: Decider,
    services: Services,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
    status: Annotated[ApprovalStatus, Query(description="Only approvals with this status.")] = ApprovalStatus.PENDING,
) -> Response:
    """The inbox: what waits for a decision, unless another status is asked for."""
    workspace_id, filters = principal.workspace_id, {"status": status}
    after = position(services.vault, "approvals", cursor, filters, workspace_id=workspace_id)
    page = await work_of(services, principal).list_approvals(limit=limit, after=after, status=status)
    return json_answer(
        {
            "workspace_id": workspace_id,
            "approvals": [approval_view(approval) for approval in page.approvals],
            "count": len(page.approvals),
            "next_cursor": next_cursor(
                services.vault, "approvals", page.next_after, filters, workspace_id=workspace_id
            ),
        }
    )


async def _shown(store: WorkStore, approval: Approval | None) -> Response:
    plan = None if approval is None else await store.get_plan(approval.plan_id)
    if approval is None or plan is None:
        raise NotFound
    jobs = await store.plan_jobs(plan.plan_id)
    return json_answer(approval_document(approval, plan, jobs))


@router.get(
    "/{approval_id}",
    operation_id="approvals_show",
    summary="Show an approval",
    responses=documented(answers.ApprovalDetail, 404, tenancy="workspace"),
)
async def show_approval(principal: Decider, services: Services, approval_id: ApprovalId) -> Response:
    """What is decided about: the steps as they would run, redacted, the rule that asks, who asked, until when."""
    store = work_of(services, principal)
    return await _shown(store, await store.get_approval(approval_id))


@router.post(
    "/{approval_id}/approve",
    operation_id="approvals_approve",
    summary="Approve what was shown",
    responses=documented(answers.ApprovalDetail, 404, 409, body=True, tenancy="workspace"),
)
async def approve(principal: Decider, services: Services, approval_id: ApprovalId, body: DecisionBody) -> Response:
    """What was held for it goes on, all at once and once. A repeat of one's own decision answers as the first time."""
    return await _decided(services, principal, approval_id, body, Verdict.APPROVE)


@router.post(
    "/{approval_id}/reject",
    operation_id="approvals_reject",
    summary="Reject what was shown",
    responses=documented(answers.ApprovalDetail, 404, 409, body=True, tenancy="workspace"),
)
async def reject(principal: Decider, services: Services, approval_id: ApprovalId, body: DecisionBody) -> Response:
    """What was held for it is cancelled. A repeat of one's own decision answers as the first time."""
    return await _decided(services, principal, approval_id, body, Verdict.REJECT)


async def _decided(
    services: Application, principal: Principal, approval_id: str, body: DecisionBody, verdict: Verdict
) -> Response:
    """Return the approval once it is decided; persons are compared, not credentials."""
    store = work_of(services, principal)
    ids = await ids_of_person(services.directory, store, principal, approval_id, verdict)
    decided = await store.decide_approval(approval_id, body.digest, verdict, body.comment, same_person=ids)
    return await _shown(store, decided)
