"""API keys over HTTP: an admin makes, replaces, demotes and revokes those of the own workspace."""

from datetime import timedelta
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from steward.authenticators.api_key import mint_key, mint_successor
from steward.bootstrap import Application
from steward.clock import rfc3339
from steward.directory import ApiKey
from steward.directory_views import key_view, new_key_view
from steward.errors import NotFound
from steward.identity import Principal, Role
from steward.web import answers_directory as answers
from steward.web.bodies_directory import KeyBody, RoleBody, RotateBody
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import Admin, KeyId, Services
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/keys", tags=["keys"], route_class=SecuredRoute)


async def _own_key(services: Application, principal: Principal, key_id: str) -> ApiKey:
    key = await services.directory.get_key(key_id)
    if key is None or key.workspace_id != principal.workspace_id:
        raise NotFound
    return key


def _validity(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


@router.get(
    "",
    operation_id="keys_list",
    summary="List keys, oldest first",
    responses=documented(answers.KeyPage, tenancy="workspace"),
)
async def list_keys(
    principal: Admin, services: Services, *, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Response:
    """Also those that are revoked or expired; never their secrets."""
    workspace_id = principal.workspace_id
    after = position(services.vault, "keys", cursor, {}, workspace_id=workspace_id)
    found = await services.directory.list_keys(workspace_id, limit=limit + 1, after=after)
    page, now = found[:limit], services.clock.now()
    following = page[-1].key_id if len(found) > limit else None
    return json_answer(
        {
            "workspace_id": workspace_id,
            "keys": [key_view(key, now) for key in page],
            "count": len(page),
            "next_cursor": next_cursor(services.vault, "keys", following, {}, workspace_id=workspace_id),
        }
    )


@router.post(
    "",
    operation_id="keys_create",
    summary="Make a key",
    status_code=HTTPStatus.CREATED,
    responses=documented(answers.NewKey, status=201, body=True, tenancy="workspace"),
)
async def create_key(principal: Admin, services: Services, body: KeyBody) -> Response:
    """`key` is shown this once and kept nowhere. Where another person must approve, a key counts as its owner."""
    role = Role(body.role)
    owner = body.owner or await services.directory.person_of(principal.actor_id)
    key, token = mint_key(
        services.ids,
        services.clock,
        principal.workspace_id,
        role,
        body.name or role.value,
        _validity(body.expires_in_s),
        owner=owner,
    )
    await services.directory.add_key(key, by=principal.actor_id)
    return json_answer(new_key_view(key, token), HTTPStatus.CREATED)


@router.post(
    "/{key_id}/rotate",
    operation_id="keys_rotate",
    summary="Replace a key by a new one",
    status_code=HTTPStatus.CREATED,
    responses=documented(answers.RotatedKey, 404, 409, status=201, body=True, tenancy="workspace"),
)
async def rotate_key(principal: Admin, services: Services, key_id: KeyId, body: RotateBody | None = None) -> Response:
    """The new one has the same role and name; the old one goes on working for `overlap_s`, and what it asked for goes on."""
    body = body or RotateBody()
    old = await _own_key(services, principal, key_id)
    new, token = mint_successor(services.ids, services.clock, old, _validity(body.expires_in_s))
    overlap = timedelta(seconds=body.overlap_s)
    replaced = await services.directory.replace_key(key_id, new, overlap, by=principal.actor_id)
    assert replaced.expires_at is not None
    view = {**new_key_view(new, token), "replaces": key_id, "old_expires_at": rfc3339(replaced.expires_at)}
    return json_answer(view, HTTPStatus.CREATED)


@router.put(
    "/{key_id}/role",
    operation_id="keys_role",
    summary="Give a key another role",
    responses=documented(answers.Key, 404, 409, body=True, tenancy="workspace"),
)
async def change_role(principal: Admin, services: Services, key_id: KeyId, body: RoleBody) -> Response:
    """It holds from the next request on, and for what the key has asked for and has not been started."""
    changed = await services.directory.change_key_role(
        key_id, Role(body.role), by=principal.actor_id, workspace_id=principal.workspace_id
    )
    return json_answer(key_view(changed, services.clock.now()))


@router.delete(
    "/{key_id}",
    operation_id="keys_revoke",
    summary="Revoke a key",
    responses=documented(answers.Key, 404, body=True, tenancy="workspace"),
)
async def revoke_key(principal: Admin, services: Services, key_id: KeyId) -> Response:
    """For good, in every process within 200 ms; what it asked for and has not been started fails."""
    revoked = await services.directory.revoke_key(key_id, by=principal.actor_id, workspace_id=principal.workspace_id)
    return json_answer(key_view(revoked, services.clock.now()))
