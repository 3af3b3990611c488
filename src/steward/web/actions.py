"""The catalogue over HTTP, and the short way for one action: preview it, run it, wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from steward.action import ActionDefinition
from steward.errors import FarEndFailed, FarEndTimedOut
from steward.job import FINAL, Job, JobStatus
from steward.rate_limit import RateRule
from steward.views import job_detail
from steward.web import answers
from steward.web.bodies import PreviewBody, RunPreviewBody
from steward.web.dependencies import (
    IDEMPOTENT,
    Executor,
    Previewer,
    RequestId,
    Services,
    idempotency_key_of,
    known_shape,
)
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.rate_limits import limited
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/actions", tags=["actions"], route_class=SecuredRoute)
_FAILED: Final = frozenset({JobStatus.FAILED, JobStatus.UNKNOWN})
_TIMED_OUT: Final = frozenset({"timeout", "far_end_timed_out", "smtp_timed_out", "smtp_no_answer", "model_timed_out"})
_NOT_THE_FAR_END: Final = frozenset(
    {
        # before the effect: who asks, what is asked, and whether the rules let it
        *("permission_revoked", "policy_denied", "invalid_params", "unknown_action", "seal_broken", "budget_exceeded"),
        *("audit_unavailable", "not_configured", "address_refused", "attachment_refused", "expression_failed"),
        "token_budget_exceeded",
        "money_budget_exceeded",
        "needs_input",
        "not_in_a_plan",
        # in the workspace's own folder
        *("path_refused", "file_changed", "file_not_found", "file_too_large", "file_system_failed"),
        # in what a model was given to read
        "not_found",
        # here, while it ran or after it
        *("internal_error", "no_free_thread", "worker_stopped", "lease_lost", "result_too_large", "unreadable_record"),
        # by a person
        *("cancelled", "cancelled_in_doubt", "resolved_failed"),
    }
)
"""Why a job failed for a reason of this house's own; whatever else an action says counts as the far end's."""


def _description(definition: ActionDefinition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "title": definition.title,
        "description": definition.description,
        "provider": definition.provider,
        "effect": definition.effect,
        "retry": definition.retry,
        "reversibility": definition.reversibility,
        "input_schema": definition.input_schema,
        "output_schema": definition.output_schema,
        "roles": {name: str(definition.role_of(name)) for name in definition.input_schema.get("properties", {})},
        "enabled": definition.enabled,
        "disabled_because": definition.disabled_because,
    }


@router.get(
    "",
    operation_id="actions_list",
    summary="List the actions",
    responses=documented(answers.ActionList, tenancy="shared"),
)
async def list_actions(_principal: Previewer, services: Services, request_id: RequestId) -> Response:
    """Every action of the catalogue, also those that a setting keeps disabled, and why."""
    described = [_description(definition) for definition in services.catalogue.definitions()]
    return json_answer({"actions": described, "request_id": request_id})


@router.post(
    "/preview",
    operation_id="actions_preview",
    summary="Preview one action",
    responses=documented(answers.Plan, body=True, tenancy="workspace"),
    openapi_extra=limited(RateRule.PREVIEW),
)
async def preview_action(
    principal: Previewer, services: Services, request_id: RequestId, body: PreviewBody
) -> Response:
    """A plan of one step, checked and rendered; its `plan_id` is the `preview_id` to run it by."""
    step = body.step()
    return json_answer(await services.orchestrator.preview(principal, step.action_id, step.params, request_id))


@router.post(
    "/execute",
    operation_id="actions_execute",
    summary="Run a previewed action and wait for it",
    responses={
        **documented(answers.JobDetail, 404, 409, 502, 504, body=True, tenancy="workspace"),
        202: {"model": answers.JobDetail, "description": "It still runs; ask for the job."},
    },
    openapi_extra=limited(RateRule.EXECUTE) | IDEMPOTENT,
)
async def execute_preview(
    request: Request, principal: Executor, services: Services, request_id: RequestId, body: RunPreviewBody
) -> Response:
    """200 when it has ended, 202 while it runs; asked again, it answers for the same job and does nothing twice.

    A job that failed for a reason of Steward's own, say policy or a revoked permission, has ended like any other: its
    `status` and `error` say so. Only a far end that failed is 502, and one that did not answer in time 504.
    """
    preview_id, key = known_shape(body.preview_id, "plan"), idempotency_key_of(request)
    if key is not None:  # binds the key to this preview, so that the same key with another preview is refused
        await services.orchestrator.execute_plan(
            principal, preview_id, run_at=None, idempotency_key=key, request_id=request_id
        )

    async def run(wait_ms: int) -> Job:
        return await services.orchestrator.execute_preview(
            principal, preview_id, wait_ms=wait_ms, request_id=request_id
        )

    return _outcome(await _unless_stopping(run, body.wait_ms, request.app.state.stopping))


async def _unless_stopping(run: Callable[[int], Awaitable[Job]], wait_ms: int, stopping: asyncio.Event) -> Job:
    """Return what ``run`` does within ``wait_ms``, or what there is when the server stops: the work goes on anyway."""
    running, stop = asyncio.ensure_future(run(wait_ms)), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
    finally:
        running.cancel()
        stop.cancel()
        await asyncio.gather(running, stop, return_exceptions=True)
    return await run(0)


def _outcome(job: Job) -> Response:
    view = job_detail(job)
    if job.status not in FINAL and job.status is not JobStatus.UNKNOWN:
        return json_answer(view, HTTPStatus.ACCEPTED)
    if job.error is not None and job.status in _FAILED and job.error.code not in _NOT_THE_FAR_END:
        failure = FarEndTimedOut if job.error.code in _TIMED_OUT else FarEndFailed
        doubt = " It may have happened: look before you try again." if job.status is JobStatus.UNKNOWN else ""
        raise failure(
            f"The action did not complete: {job.error.detail}{doubt}", facts={"job_id": job.job_id, "job": view}
        )
    return json_answer(view)
