"""Jobs over HTTP: list, show, explain, and what a person may do to one."""

import time
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from steward import explain
from steward.bootstrap import Application
from steward.errors import BadRequest, NotFound
from steward.identity import Principal
from steward.ids import is_id
from steward.job import Job, JobStatus
from steward.usage import room_of
from steward.views import job_detail, jobs_json
from steward.web import answers
from steward.web.bodies import Body, ResolveBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import Executor, JobId, Previewer, Services, services_of, work_of
from steward.web.json_answer import json_answer, json_page
from steward.web.openapi import answers as documented
from steward.web.queries import query_of, taken
from steward.web.secured_route import SecuredRoute
from steward.work_store import MAX_PAGE

DEFAULT_PAGE: Final = 50
_LIMIT_SAID: Final = "Rows on a page."
_CURSOR_SAID: Final = "`next_cursor` of the page before."
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description=_LIMIT_SAID)]
Cursor = Annotated[str | None, Query(description=_CURSOR_SAID)]
router = APIRouter(prefix="/ai/jobs", tags=["jobs"], route_class=SecuredRoute)


def _plan_filter(plan_id: str | None) -> str | None:
    if plan_id is not None and not is_id(plan_id, "plan"):
        raise BadRequest("'plan_id' is not the id of a plan.")
    return plan_id


class JobsQuery(BaseModel):
    """Which jobs are listed."""

    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description=_LIMIT_SAID)
    cursor: str | None = Field(None, description=_CURSOR_SAID)
    status: JobStatus | None = Field(None, description="Only jobs with this status.")
    plan_id: str | None = Field(None, description="Only jobs of this plan.")


@router.get(
    "",
    operation_id="jobs_list",
    summary="List jobs, newest first",
    responses=documented(answers.JobPage, tenancy="workspace"),
    openapi_extra=taken(JobsQuery),
)
async def list_jobs(request: Request, principal: Previewer) -> Response:
    """A walk from the first page to the last shows every job that existed throughout exactly once."""
    began = time.perf_counter()
    services, workspace_id, asked = services_of(request), principal.workspace_id, query_of(request, JobsQuery)
    status, plan_id = asked.status, _plan_filter(asked.plan_id)
    filters = {"status": status, "plan_id": plan_id}
    after = position(services.vault, "jobs", asked.cursor, filters, workspace_id=workspace_id)
    page = await work_of(services, principal).list_jobs(limit=asked.limit, after=after, status=status, plan_id=plan_id)
    services.telemetry.job_list_query(workspace_id, len(page.jobs), time.perf_counter() - began)
    return json_page(
        "jobs",
        jobs_json(page.jobs),
        {
            "workspace_id": workspace_id,
            "count": len(page.jobs),
            "next_cursor": next_cursor(services.vault, "jobs", page.next_after, filters, workspace_id=workspace_id),
            "queue_depth": page.queue_depth,
        },
    )


async def _job(services: Application, principal: Principal, job_id: str) -> Job:
    job = await work_of(services, principal).get_job(job_id)
    if job is None:
        raise NotFound
    return job


def _detail(job: Job) -> Response:
    return json_answer(job_detail(job))


@router.get(
    "/{job_id}",
    operation_id="jobs_show",
    summary="Show a job",
    responses=documented(answers.JobDetail, 404, tenancy="workspace"),
)
async def show_job(principal: Previewer, services: Services, job_id: JobId) -> Response:
    """One job with its attempts."""
    return _detail(await _job(services, principal, job_id))


@router.get(
    "/{job_id}/explain",
    operation_id="jobs_explain",
    summary="Say why a job is where it is",
    responses=documented(answers.Explanation, 404, 409, tenancy="workspace"),
)
async def explain_job(principal: Previewer, services: Services, job_id: JobId) -> Response:
    """Why it is not running, or how it ended, since when, and what would change that."""
    job = await _job(services, principal, job_id)
    store, now = work_of(services, principal), services.clock.now()
    plan_jobs, approvals = await store.plan_jobs(job.plan_id), await store.plan_approvals(job.plan_id)
    room = await room_of(services.directory, store, now)
    return json_answer(explain.explain_job(job, plan_jobs, now, approvals, room=room))


@router.post(
    "/{job_id}/cancel",
    operation_id="jobs_cancel",
    summary="Cancel a job",
    responses=documented(answers.JobDetail, 404, 409, body=True, tenancy="workspace"),
)
async def cancel_job(principal: Executor, services: Services, job_id: JobId, _body: Body | None = None) -> Response:
    """A job that has not started is cancelled with the steps that need it; a running one is asked to stop."""
    return _detail(await work_of(services, principal).cancel_job(job_id))


@router.post(
    "/{job_id}/retry",
    operation_id="jobs_retry",
    summary="Try a failed job again",
    responses=documented(answers.JobDetail, 404, 409, body=True, tenancy="workspace"),
)
async def retry_job(principal: Executor, services: Services, job_id: JobId, _body: Body | None = None) -> Response:
    """The job gets a fresh budget of attempts, and the steps that its failure cancelled come back."""
    return _detail(await work_of(services, principal).retry_job(job_id))


@router.post(
    "/{job_id}/resolve",
    operation_id="jobs_resolve",
    summary="Settle an unknown outcome by hand",
    responses=documented(answers.JobDetail, 404, 409, body=True, tenancy="workspace"),
)
async def resolve_job(principal: Executor, services: Services, job_id: JobId, body: ResolveBody) -> Response:
    """Say what really happened; the plan goes on from there."""
    return _detail(await work_of(services, principal).resolve_job(job_id, body.outcome, body.note))
