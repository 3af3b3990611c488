"""What a workspace uses of its caps and budgets, over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from steward.errors import NotFound
from steward.usage import usage_of
from steward.web.answers import Answer
from steward.web.dependencies import Previewer, Services, work_of
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute
from steward.workspace import BudgetName

router = APIRouter(prefix="/workspaces", tags=["workspaces"], route_class=SecuredRoute)
Count = Annotated[int, Field(ge=0)]


class CapUsage(Answer):
    """One limit in the claim."""

    pattern: str
    """An action id, ``provider.*`` or ``*``."""
    kind: Literal["max_running", "per_minute"]
    limit: Count
    used: Count
    free_at: AwareDatetime | None
    """Used up: when there will be room by itself; null: when a job ends."""


class BudgetUsage(Answer):
    """One limit on effects."""

    budget: BudgetName
    limit: Count
    window_s: Count
    used: Count
    """Within the window that ends now."""


class Usage(Answer):
    """What is used of what a workspace set for itself."""

    workspace_id: str
    running: Count
    caps: list[CapUsage]
    budgets: list[BudgetUsage]


@router.get(
    "/{workspace}/usage",
    operation_id="workspaces_usage",
    summary="Show what is used of caps and budgets",
    responses=documented(Usage, 404, 409, tenancy="workspace"),
)
async def show_usage(
    principal: Previewer, services: Services, workspace: Annotated[str, Path(description="The credential's own.")]
) -> Response:
    """What runs now, and how much of each limit that the workspace set is used."""
    if workspace != principal.workspace_id:
        raise NotFound
    return json_answer(await usage_of(services.directory, work_of(services, principal), services.clock.now()))
