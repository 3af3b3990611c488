"""Members over HTTP: an admin sees who has come with a token, and settles what they may do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from steward.directory_views import member_view
from steward.errors import NotFound
from steward.identity import Role, is_actor_id
from steward.web import answers_directory as answers
from steward.web.bodies_directory import MemberBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import Admin, Services
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/members", tags=["members"], route_class=SecuredRoute)


async def _member_id(member: Annotated[str, Path(description="The token's `sub`.")]) -> str:
    if not is_actor_id(member):
        raise NotFound
    return member


MemberId = Annotated[str, Depends(_member_id)]


@router.get(
    "",
    operation_id="members_list",
    summary="List members",
    responses=documented(answers.MemberPage, tenancy="workspace"),
)
async def list_members(
    principal: Admin, services: Services, *, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Response:
    """Everybody who has come with a token, and whom an admin has settled beforehand, by id."""
    workspace_id = principal.workspace_id
    after = position(services.vault, "members", cursor, {}, workspace_id=workspace_id)
    found = await services.directory.list_members(workspace_id, limit=limit + 1, after=after)
    page = found[:limit]
    following = page[-1].actor_id if len(found) > limit else None
    return json_answer(
        {
            "workspace_id": workspace_id,
            "members": [member_view(member) for member in page],
            "count": len(page),
            "next_cursor": next_cursor(services.vault, "members", following, {}, workspace_id=workspace_id),
        }
    )


@router.put(
    "/{member}",
    operation_id="members_set",
    summary="Settle a member",
    responses=documented(answers.Member, 404, body=True, tenancy="workspace"),
)
async def set_member(principal: Admin, services: Services, member: MemberId, body: MemberBody) -> Response:
    """Makes the member if need be. Roles that are set here hold, whatever its token says beyond them."""
    changed = await services.directory.set_member(
        principal.workspace_id,
        member,
        by=principal.actor_id,
        name=body.name,
        roles=None if body.roles is None else frozenset(Role(role) for role in body.roles),
        disabled=body.disabled,
    )
    return json_answer(member_view(changed))


@router.delete(
    "/{member}",
    operation_id="members_remove",
    summary="Forget a member",
    responses=documented(answers.Removed, 404, body=True, tenancy="workspace"),
)
async def remove_member(principal: Admin, services: Services, member: MemberId) -> Response:
    """A later token makes it anew: to keep somebody out, disable the member instead."""
    await services.directory.remove_member(principal.workspace_id, member, by=principal.actor_id)
    return json_answer({"actor_id": member, "removed": True})
