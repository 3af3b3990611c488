"""The audit over HTTP: read the records, check the chain, take away the evidence of one plan."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from steward.audit import AuditKind, AuditRecord
from steward.clock import rfc3339
from steward.event import EventType
from steward.web import answers_audit as answers
from steward.web.bodies import KEEPABLE
from steward.web.cursors import next_cursor, position
from steward.web.dependencies import Auditor, RequestId, Services, known_shape
from steward.web.jobs import DEFAULT_PAGE, Cursor, Limit
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/audit", tags=["audit"], route_class=SecuredRoute)
_Kind = Annotated[AuditKind | EventType | None, Query(description="Only records of this kind.")]
_Actor = Annotated[str | None, Query(max_length=64, pattern=KEEPABLE, description="Only what this key or member did.")]
_Plan = Annotated[str | None, Query(max_length=64, pattern=KEEPABLE, description="Only records about this plan.")]
_Noted = Annotated[
    str | None,
    Query(
        pattern=r"^[1-9][0-9]{0,14}:[0-9a-f]{64}$",
        description="`head:hash` of an earlier answer: the chain must still hold it.",
    ),
]


@router.get(
    "",
    operation_id="audit_list",
    summary="List records, newest first",
    responses=documented(answers.AuditPage, tenancy="workspace"),
)
async def list_records(
    principal: Auditor,
    services: Services,
    *,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
    kind: _Kind = None,
    actor: _Actor = None,
    plan_id: _Plan = None,
) -> Response:
    """A walk from the first page to the last shows every record that there was when it began, once."""
    workspace_id = principal.workspace_id
    filters = {"kind": kind, "actor": actor, "plan_id": plan_id}
    before = position(services.vault, "audit", cursor, filters, workspace_id=workspace_id)
    page = await services.audit_log.query(
        workspace_id,
        limit=limit,
        before=None if before is None else int(before),
        kind=kind,
        actor_id=actor,
        plan_id=plan_id,
    )
    following = None if page.next_before is None else str(page.next_before)
    return json_answer(
        {
            "workspace_id": workspace_id,
            "records": [_record(record) for record in page.records],
            "count": len(page.records),
            "next_cursor": next_cursor(services.vault, "audit", following, filters, workspace_id=workspace_id),
        }
    )


def _record(record: AuditRecord) -> dict[str, Any]:
    entry = record.entry
    return {
        "sequence": record.sequence,
        "kind": entry.kind,
        "at": rfc3339(entry.at),
        "actor_id": entry.actor_id,
        "acting_as": entry.acting_as,
        "action_id": entry.action_id,
        "plan_id": entry.plan_id,
        "job_id": entry.job_id,
        "result": entry.result,
        "rule": entry.rule,
        "request_id": entry.request_id,
        "facts": entry.facts,
        "view": entry.view,
        "view_erased": record.commitment is not None and record.salt is None,
        "commitment": record.commitment,
        "previous": record.previous,
        "hash": record.hash,
    }


@router.get(
    "/verify",
    operation_id="audit_verify",
    summary="Check the workspace's chain",
    responses=documented(answers.AuditVerdict, tenancy="workspace"),
)
async def verify(principal: Auditor, services: Services, noted: _Noted = None) -> Response:
    """Every hash, every checkpoint. A chain that is not sound is an answer, too: `sound` says so, `first_bad` where."""
    place = None
    if noted is not None:
        sequence, _, own_hash = noted.partition(":")
        place = (int(sequence), own_hash)
    verdict = await services.audit_log.verify(principal.workspace_id, place)
    keys = await services.audit_log.public_keys()
    listed = [
        {"key_id": key_id, "public_key": public_key, "signs": number == 0}
        for number, (key_id, public_key) in enumerate(keys.items())
    ]
    return json_answer({**asdict(verdict), "keys": listed})


@router.get(
    "/export",
    operation_id="audit_export",
    summary="Take away the evidence of one plan",
    responses=documented(answers.Evidence, 404, tenancy="workspace"),
)
async def export(
    principal: Auditor,
    services: Services,
    request_id: RequestId,
    plan_id: Annotated[str, Query(max_length=64, description="`plan_…`")],
) -> Response:
    """One document that can be checked anywhere, with the public key alone. That it was taken is recorded, and in it."""
    known_shape(plan_id, "plan")
    return json_answer(await services.evidence.take(principal, plan_id, request_id))
