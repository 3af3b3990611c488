"""Workspaces over HTTP: operators make and see them all, admins see and set up their own.

Another workspace is for an admin what one that does not exist is: the same 404.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from steward.authenticators.api_key import mint_key
from steward.directory_views import new_key_view, workspace_detail, workspace_view
from steward.errors import NotFound
from steward.identity import Role
from steward.web import answers_directory as answers
from steward.web.bodies_directory import KeyBody, SettingsBody, WorkspaceBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import AdminOrOperator, Operator, Services
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute
from steward.workspace import SYSTEM_WORKSPACE, Workspace

router = APIRouter(prefix="/workspaces", tags=["workspaces"], route_class=SecuredRoute)


async def _reachable(
    principal: AdminOrOperator,
    services: Services,
    workspace: Annotated[str, Path(description="Id of a workspace.")],
) -> Workspace:
    """Return the workspace in the path: any for an operator, the own one for an admin."""
    within = principal.is_operator or workspace == principal.workspace_id
    found = await services.directory.get_workspace(workspace) if within and workspace != SYSTEM_WORKSPACE else None
    if found is None:
        raise NotFound
    return found


Reachable = Annotated[Workspace, Depends(_reachable)]


@router.post(
    "",
    operation_id="workspaces_create",
    summary="Make a workspace",
    status_code=HTTPStatus.CREATED,
    responses=documented(answers.WorkspaceDetail, 409, status=201, body=True, tenancy="installation"),
)
async def create_workspace(principal: Operator, services: Services, body: WorkspaceBody) -> Response:
    """It is empty; make its first key next."""
    made = await services.directory.create_workspace(body.id, body.name or body.id, by=principal.actor_id)
    return json_answer(workspace_detail(made), HTTPStatus.CREATED)


@router.get(
    "",
    operation_id="workspaces_list",
    summary="List workspaces",
    responses=documented(answers.WorkspacePage, tenancy="installation"),
)
async def list_workspaces(
    principal: Operator, services: Services, *, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Response:
    """Every workspace of the installation, by id."""
    within = principal.workspace_id
    after = position(services.vault, "workspaces", cursor, {}, workspace_id=within)
    found = await services.directory.list_workspaces(limit=limit + 1, after=after)
    page = found[:limit]
    following = page[-1].workspace_id if len(found) > limit else None
    return json_answer(
        {
            "workspaces": [workspace_view(workspace) for workspace in page],
            "count": len(page),
            "next_cursor": next_cursor(services.vault, "workspaces", following, {}, workspace_id=within),
        }
    )


@router.get(
    "/{workspace}",
    operation_id="workspaces_show",
    summary="Show a workspace",
    responses=documented(answers.WorkspaceDetail, 404, 409, tenancy="workspace"),
)
async def show_workspace(workspace: Reachable) -> Response:
    """With its settings; an admin sees the own one."""
    return json_answer(workspace_detail(workspace))


@router.put(
    "/{workspace}/settings",
    operation_id="workspaces_set",
    summary="Replace a workspace's settings",
    responses=documented(answers.WorkspaceDetail, 404, body=True, tenancy="workspace"),
)
async def change_settings(
    principal: AdminOrOperator, services: Services, workspace: Reachable, body: SettingsBody
) -> Response:
    """They only ever narrow what the installation allows."""
    services.policies.require_optional(body.settings.rules, "/settings/rules")
    changed = await services.directory.change_settings(workspace.workspace_id, body.settings, by=principal.actor_id)
    return json_answer(workspace_detail(changed))


@router.post(
    "/{workspace}/keys",
    operation_id="workspaces_key",
    summary="Make a key in any workspace",
    status_code=HTTPStatus.CREATED,
    responses=documented(answers.NewKey, 404, status=201, body=True, tenancy="installation"),
)
async def create_key(principal: Operator, services: Services, workspace: Reachable, body: KeyBody) -> Response:
    """The first one, usually an admin's, who then makes the others. Without `owner` it never counts as another person."""
    validity = None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s)
    role = Role(body.role)
    name, workspace_id = body.name or role.value, workspace.workspace_id
    key, token = mint_key(services.ids, services.clock, workspace_id, role, name, validity, owner=body.owner)
    await services.directory.add_key(key, by=principal.actor_id)
    return json_answer(new_key_view(key, token), HTTPStatus.CREATED)
