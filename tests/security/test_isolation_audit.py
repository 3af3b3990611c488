"""The isolation audit finds nothing in a real installation, and finds what is put there to be found."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from sqlalchemy import bindparam, select, update
from starlette.responses import Response

from steward.database.tables import jobs, plans
from steward.identity import Role
from steward.isolation.audit import Target, audit
from steward.isolation.report import Finding, Kind, Report
from steward.web import answers
from steward.web.dependencies import Executor, JobId, PlanId, Previewer, Services
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute
from steward.work_stores.sql import statements
from tests.web.house import open_house

STEWARD = str(Path(sys.executable).with_name("steward"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_installation_keeps_its_workspaces_apart() -> None:
    """Nothing of one workspace is seen or changed by another, and every door was attacked: the command says so and ends with 0."""
    ran = subprocess.run([STEWARD, "isolation-audit", "--self", "--json"], capture_output=True, text=True, check=False)
    report = json.loads(ran.stdout)
    assert report["findings"] == []
    assert ran.returncode == 0, ran.stderr
    assert (report["canaries_seen"], report["writes"], report["told_apart"], report["accepted"]) == (0, 0, 0, 0)
    assert report["coverage"] == 1.0
    kinds = {door["kind"] for door in report["doors"]}
    assert kinds == {
        *("route", "command", "stream", "cursor", "idempotency key", "credential", "file folder", "metric label", "log")
    }
    assert report["canaries_planted"] > 50
    assert report["rows_compared"] > 50


def _mistaken() -> APIRouter:
    """Return routes that each make one mistake."""
    router = APIRouter(prefix="/ai", tags=["mistakes"], route_class=SecuredRoute)

    @router.get("/shown/{job_id}", operation_id="shown", summary="x", responses=_documented())
    async def show(principal: Previewer, services: Services, job_id: JobId) -> Response:
        """Shows the plan of any job, whoever asks."""
        found = await services.database.read(
            lambda connection: connection.execute(
                select(plans.c.document).join(jobs, jobs.c.plan_id == plans.c.plan_id).where(jobs.c.job_id == job_id)
            ).scalar()
        )
        return json_answer({"document": found})

    @router.post("/written/{plan_id}", operation_id="written", summary="x", responses=_documented(body=True))
    async def write(principal: Executor, services: Services, plan_id: PlanId) -> Response:
        """Changes any plan, and says nothing of it."""
        change = update(plans).where(plans.c.plan_id == plan_id).values(request_id="changed")
        await services.database.write(lambda connection: connection.execute(change))
        return json_answer({})

    @router.get("/told/{job_id}", operation_id="told", summary="x", responses=_documented())
    async def tell(principal: Previewer, services: Services, job_id: JobId) -> Response:
        """Says whether anybody has such a job."""
        statement = select(jobs.c.job_id).where(jobs.c.job_id == job_id)
        found = await services.database.read(lambda connection: connection.execute(statement).scalar())
        return json_answer({"there": found is not None})

    @router.get("/undeclared/{job_id}", operation_id="undeclared", summary="x")
    async def forgotten(principal: Previewer, job_id: JobId) -> Response:
        """Declares nothing."""
        return json_answer({})

    return router


def _documented(*, body: bool = False) -> Any:
    return documented(answers.Alive, 404, tenancy="workspace", body=body)


async def audited(home: Path, *routers: APIRouter, roles: Sequence[Role] = (Role.ADMIN,)) -> Report:
    """Return what the audit says of an installation with more routes; as admin only, which is enough to be seen."""
    async with open_house(home) as house:
        for router in routers:
            house.api.include_router(router)
        async with house.worker(), house.served() as (_, address):
            files, vault = home / "files", house.app.vault
            target = Target(url=address, database=house.app.database, files=files, vault=vault, roles=roles)
            return await audit(target)


def shown(findings: Sequence[Finding], kind: Kind) -> set[str]:
    """Return the doors of the findings of a kind."""
    return {finding.door for finding in findings if finding.kind is kind}


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_routes_with_a_mistake_are_found(tmp_path: Path) -> None:
    """A route that shows, changes or tells of what is another's, or that declares nothing, is named."""
    report = await audited(tmp_path, _mistaken())
    assert not report.clean
    assert "GET /ai/shown/{job_id}" in shown(report.findings, Kind.CANARY)
    assert shown(report.findings, Kind.WRITE) == {"plans"}
    assert "GET /ai/told/{job_id}" in shown(report.findings, Kind.TELLS)
    assert shown(report.findings, Kind.UNDECLARED) == {"GET /ai/undeclared/{job_id}"}
    assert report.coverage < 1.0


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_missing_workspace_filter_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the workspace in one statement of the store, the routes that use it are named."""
    anybodys = select(jobs).where(jobs.c.job_id == bindparam("job_id"))
    monkeypatch.setattr(statements, "JOB", anybodys)
    report = await audited(tmp_path)
    assert shown(report.findings, Kind.CANARY) >= {"GET /ai/jobs/{job_id}"}
    assert shown(report.findings, Kind.TELLS) >= {"GET /ai/jobs/{job_id}", "GET /ai/jobs/{job_id}/explain"}


def test_the_command_works_on_a_running_installation_and_ends_with_1_without_one(tmp_path: Path) -> None:
    """Where no server answers, it says so and what to do; nothing is made."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEWARD")}
    env |= {"STEWARD_HOME": str(tmp_path / "nowhere")}
    ran = subprocess.run([STEWARD, "isolation-audit"], capture_output=True, text=True, check=False, env=env)
    assert ran.returncode == 1
    assert "--self" in ran.stderr
    assert not (tmp_path / "nowhere").exists()
