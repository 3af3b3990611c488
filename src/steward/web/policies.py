"""A workspace's policies over HTTP: look, change, ask what would be decided, and try a change on the past."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from steward.clock import rfc3339
from steward.directory import WorkspacePolicy
from steward.identity import Role
from steward.policy import Ask, Decision, Deny, decision_document
from steward.rate_limit import RateRule
from steward.web import answers_policies as answers
from steward.web.bodies_policies import POLICY_NAME, PolicyBody, PolicyCheckBody, PolicyDiffBody
from steward.web.dependencies import Admin, RequestId, Services
from steward.web.json_answer import json_answer
from steward.web.openapi import answers as documented
from steward.web.rate_limits import limited
from steward.web.secured_route import SecuredRoute

router = APIRouter(prefix="/policies", tags=["policies"], route_class=SecuredRoute)
PolicyName = Annotated[str, Path(pattern=POLICY_NAME, description="`a-z 0-9 _`, starting with a letter.")]


def _view(policy: WorkspacePolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "text": policy.text,
        "changed_by": policy.changed_by,
        "changed_at": rfc3339(policy.changed_at),
    }


@router.get(
    "",
    operation_id="policies_list",
    summary="List own policies",
    responses=documented(answers.PolicyList, tenancy="workspace"),
)
async def list_policies(principal: Admin, services: Services, request_id: RequestId) -> Response:
    """The workspace's own policies; those that come with Steward are under `/policies/default`."""
    desk = services.policy_desk
    own = [_view(policy) for policy in await desk.own(principal)]
    return json_answer({"policies": own, "version": await desk.version(principal), "request_id": request_id})


@router.get(
    "/default",
    operation_id="policies_default",
    summary="List the rules that come with Steward",
    responses=documented(answers.DefaultRules, 409, tenancy="workspace"),
)
async def default_rules(principal: Admin, services: Services, request_id: RequestId) -> Response:
    """An optional rule is on in a workspace whose settings name it under `rules`."""
    rules = [asdict(rule) | {"on": on} for rule, on in await services.policy_desk.defaults(principal)]
    return json_answer({"rules": rules, "request_id": request_id})


@router.post(
    "/check",
    operation_id="policies_check",
    summary="Ask what would be decided",
    openapi_extra=limited(RateRule.PREVIEW),
    responses=documented(answers.PolicyCheck, body=True, tenancy="workspace"),
)
async def check(principal: Admin, services: Services, request_id: RequestId, body: PolicyCheckBody) -> Response:
    """Which rule decides this call if you make it, and why. Nothing is kept and nothing runs."""
    role = None if body.role is None else Role(body.role)
    decision, version = await services.policy_desk.check(principal, body.action_id, body.params, role=role)
    return json_answer(
        {"action_id": body.action_id, **_explained(decision), "version": version, "request_id": request_id}
    )


def _explained(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision_document(decision),
        "fix": decision.fix if isinstance(decision, Deny) else "",
        "another_person": isinstance(decision, Ask) and decision.another_person,
        "approver_role": decision.approver_role if isinstance(decision, Ask) else None,
        "facts": dict(decision.facts),
    }


@router.post(
    "/diff",
    operation_id="policies_diff",
    summary="Try a policy on the past",
    responses=documented(answers.PolicyDiff, body=True, tenancy="workspace"),
)
async def diff(principal: Admin, services: Services, request_id: RequestId, body: PolicyDiffBody) -> Response:
    """What would have been decided otherwise with this policy: recorded decisions, made again. Nothing is changed."""
    texts = {} if body.text is None else {body.name: body.text}
    report = await services.policy_desk.diff(principal, texts=texts, switch_on=body.switch_on, since=body.since)
    return json_answer(
        {
            "since": rfc3339(report.since),
            "examined": report.examined,
            "complete": report.complete,
            "differences": [asdict(difference) for difference in report.differences],
            "request_id": request_id,
        }
    )


@router.put(
    "/{name}",
    operation_id="policies_put",
    summary="Keep a policy",
    responses=documented(answers.Policy, 404, body=True, tenancy="workspace"),
)
async def put_policy(principal: Admin, services: Services, name: PolicyName, body: PolicyBody) -> Response:
    """Checked before it is kept; in force in every process within 200 ms. It can only forbid."""
    return json_answer(_view(await services.policy_desk.put(principal, name, body.text)))


@router.delete(
    "/{name}",
    operation_id="policies_remove",
    summary="Remove a policy",
    responses=documented(answers.PolicyRemoved, 404, body=True, tenancy="workspace"),
)
async def remove_policy(principal: Admin, services: Services, name: PolicyName) -> Response:
    """What it forbade is decided by the other rules within 200 ms."""
    await services.policy_desk.remove(principal, name)
    return json_answer({"name": name, "removed": True})
