"""Fills a workspace: work in many states first, then whatever the description lets a client write, a canary in each field."""

import asyncio
import copy
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from steward.isolation.description import Operation
from steward.isolation.forge import FAR_OFF, Request
from steward.isolation.tenant import Answer, CannotAudit, Tenant
from steward.isolation.values import CANARY

_MOST_REPAIRS: Final = 6
_WAIT_MS: Final = 10_000
_MOST_LOOKS: Final = 150
_LOOK_S: Final = 0.1
DOUBT: Final = "isolation.doubt"
"""Ends without anybody knowing how; an installation of the audit's own has it."""
NOWHERE: Final = "http://127.0.0.1:9/"
"""An address that no action may reach."""
EVERYTHING: Final = "evt_0000000000000000"


@dataclass
class Furnished:
    """What was tried and what was accepted."""

    requests: dict[str, list[Request]] = field(default_factory=dict)
    """By operation: those that were accepted, else the last that was tried."""
    accepted: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    """Fields (as ``operation slot``) that carried a canary in a request that was accepted."""


async def furnish(tenant: Tenant, operations: Sequence[Operation]) -> Furnished:
    """Write to a workspace through every operation that takes something, and read all of it."""
    furnished = Furnished()
    await work(tenant, furnished)
    writing = [one for one in operations if one.tenancy == "workspace" and not one.reads]
    for operation in sorted(writing, key=lambda one: (len(one.path_names()), one.method == "DELETE")):
        if operation.method != "DELETE":
            await _write(tenant, operation, furnished)
    await work(tenant, furnished)  # once more: what the attacks are to meet should still be there to be changed
    for operation in operations:
        if operation.tenancy == "workspace" and operation.reads:
            await _read(tenant, operation, furnished)
    for operation in operations:
        if operation.method == "DELETE" and (found := next(tenant.forge.requests(operation), None)):
            furnished.requests[operation.name] = [found]
    await at_rest(tenant)
    return furnished


async def work(tenant: Tenant, furnished: Furnished) -> None:
    """Make plans and jobs: drafts, questions, work that has ended well and badly, and work that is far off."""
    canary, post = tenant.canaries.new, partial(_post, tenant, furnished)
    plan, execute = "POST /ai/plan body:", "POST /ai/execute body:"
    path = f"{canary(execute + 'actions/0/params')}.txt"
    tenant.holdings.add("file", path)
    prompts = [
        f"write '{canary(plan + 'prompt')}' to {path}",
        f"send an email to {canary(plan + 'prompt')}@example.com saying {canary(plan + 'prompt')}",
        canary(plan + "prompt"),
    ]
    drafts = [await post("/ai/plan", {"prompt": prompt}) for prompt in prompts]
    written = {"action_id": "file.write", "params": {"path": path, "text": canary(execute + "actions/0/params")}}
    steps = [
        {**written, "id": "write", "description": canary(execute + "actions/0/description")},
        {"id": "read", "action_id": "file.read", "params": {"path": path}, "depends_on": ["write"]},
        {
            "id": canary(execute + "actions/0/id"),
            "action_id": "compute",
            "params": {"value": canary(execute + "actions/0/params")},
        },
    ]
    for step in steps:
        step["client_request_id"] = canary(execute + "actions/0/client_request_id")
    missing = {"action_id": "file.read", "params": {"path": f"{canary(execute + 'actions/0/params')}.txt"}}
    await post("/ai/execute", {"actions": steps})
    await post("/ai/execute", {"actions": [missing]})
    await post("/ai/execute", {"actions": [steps[2] | {"client_request_id": canary("")}], "run_at": FAR_OFF})
    if drafts[0].good:
        await post("/ai/execute", {"plan_id": drafts[0].document["plan_id"]})
    if drafts[2].good:
        answers = {"prompt": canary("POST /ai/plans/{plan_id}/revise body:answers")}
        await post(f"/ai/plans/{drafts[2].document['plan_id']}/revise", {"answers": answers})
    preview = await post("/actions/preview", {**missing, "params": {"path": path}})
    if preview.good:
        await post("/actions/execute", {"preview_id": preview.document["plan_id"], "wait_ms": _WAIT_MS})
    await post("/ai/plan", {"prompt": f"write '{canary(plan + 'prompt')}' to {path}"})
    place = "PUT /workspaces/{workspace}/settings body:settings/"
    settings = {
        "own_domains": [f"{canary(place + 'own_domains/0')}.example"],
        "caps": {f"{canary(place + 'caps')}.*": {"max_running": 9}},
        "budgets": {"messages_out": {"limit": 9, "window_s": 60}},
    }
    await post(f"/workspaces/{tenant.workspace_id}/settings", {"settings": settings}, method="PUT")
    await _decisions(tenant, post)


async def _decisions(tenant: Tenant, post: Callable[..., Awaitable[Answer]]) -> None:
    """Let something wait for a person, and something else be decided; the same with what nobody knows the end of."""
    canary, execute = tenant.canaries.new, "POST /ai/execute body:actions/0/params"
    for word in ("approve", "reject", None):
        asked = {"action_id": "http.get", "params": {"url": f"{NOWHERE}{canary(execute)}"}}
        held = await post("/ai/execute", {"actions": [asked]})
        approval_id = (held.document or {}).get("approval_id") if held.good else None
        if word and approval_id:
            shown = await tenant.call("GET", f"/ai/approvals/{approval_id}")
            comment = canary(f"POST /ai/approvals/{{approval_id}}/{word} body:comment")
            await post(f"/ai/approvals/{approval_id}/{word}", {"digest": shown.document["digest"], "comment": comment})
    for settle in (True, False):
        doubt = {"action_id": DOUBT, "params": {"text": canary(execute)}}
        done = await post("/ai/execute", {"actions": [doubt]})  # refused where there is no such action
        if done.good:
            await at_rest(tenant)
        if done.good and settle:
            note = canary("POST /ai/jobs/{job_id}/resolve body:note")
            await post(f"/ai/jobs/{done.document['job_ids'][0]}/resolve", {"outcome": "failed", "note": note})


async def at_rest(tenant: Tenant) -> None:
    """Return once nothing of a workspace is about to change by itself."""
    for _ in range(_MOST_LOOKS):
        moving = [await tenant.call("GET", "/ai/jobs", params={"status": status}) for status in ("pending", "running")]
        if not any(answer.document["jobs"] for answer in moving):
            return
        await asyncio.sleep(_LOOK_S)
    raise CannotAudit("The work of the audit is not done: start a worker ('steward up' or 'steward worker').")


async def _post(
    tenant: Tenant, furnished: Furnished, path: str, body: Mapping[str, Any], method: str = "POST"
) -> Answer:
    headers = (
        {"Idempotency-Key": tenant.canaries.new(f"POST {path} header:Idempotency-Key")} if "execute" in path else {}
    )
    answer = await tenant.call(method, path, json=body, more_headers=headers)
    if answer.good:
        tenant.holdings.learn(answer.document)
        tenant.holdings.learn(dict(body))
        furnished.marked |= marks([body, headers], tenant)
        for name, value in headers.items():
            tenant.holdings.add(name, value)
    return answer


async def _write(tenant: Tenant, operation: Operation, furnished: Furnished) -> None:
    """Send every form of a request, at the newest of what there is in the path that takes one."""
    taken: list[Request] = []
    tried: Request | None = None
    for candidate in tenant.forge.requests(operation):
        if taken and candidate.in_path != taken[0].in_path:
            break
        tried = await _until_accepted(tenant, candidate, furnished, taken)
    furnished.requests[operation.name] = taken or ([] if tried is None else [tried])
    furnished.accepted.update([operation.name] if taken else [])


async def _until_accepted(tenant: Tenant, request: Request, furnished: Furnished, taken: list[Request]) -> Request:
    """Send a request, each time without what it was refused for; return the last form."""
    for _ in range(_MOST_REPAIRS):
        answer = await tenant.own(request)
        if answer.good:
            taken.append(request)
            furnished.marked |= marks([request.body, dict(request.headers)], tenant)
            break
        request, before = _repaired(request, answer), request
        if request == before:
            break
    return request


async def _read(tenant: Tenant, operation: Operation, furnished: Furnished) -> None:
    for request in tenant.forge.requests(operation):
        furnished.requests[operation.name] = [request]
        if operation.streams:
            answer = await tenant.own(replace(request, headers={"Last-Event-ID": EVERYTHING}))
            for line in answer.text.splitlines():
                if line.startswith("id: "):
                    tenant.holdings.add("event_id", line.removeprefix("id: "))
            continue
        small = {slot.name: "1" for slot in operation.parameters() if slot.name == "limit"}
        await tenant.own(request)
        if small:
            await tenant.own(replace(request, query={**request.query, **small}))


def marks(sent: Any, tenant: Tenant) -> set[str]:
    """Return the fields of an accepted request that carried a canary."""
    return {
        place for canary in CANARY.findall(json.dumps(sent)) for place in [tenant.canaries.place_of(canary)] if place
    }


def fresh(request: Request, tenant: Tenant) -> Request:
    """Return a request again with new canaries, so that no name in it is used a second time."""
    made: dict[str, str] = {}

    def renewed(found: re.Match[str]) -> str:
        if found[0] not in made:
            made[found[0]] = tenant.canaries.new(tenant.canaries.place_of(found[0]))
        return made[found[0]]

    def again(value: Any) -> Any:
        return json.loads(CANARY.sub(renewed, json.dumps(value)))

    return replace(request, body=again(request.body), headers=again(dict(request.headers)))


def _repaired(request: Request, answer: Answer) -> Request:
    """Return a refused request without the fields that the refusal points at; itself if there are none."""
    problems = (answer.document or {}).get("errors", ()) if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY else ()
    body = copy.deepcopy(request.body)
    for problem in problems:
        parts = str(problem.get("pointer", "")).split("/")[1:]
        place: Any = body
        for part in parts[:-1]:
            place = _part(place, part)
        if isinstance(place, dict) and parts:
            place.pop(parts[-1], None)
    return replace(request, body=body)


def _part(place: Any, part: str) -> Any:
    if isinstance(place, dict):
        return place.get(part)
    if isinstance(place, list) and part.isdigit() and int(part) < len(place):
        return place[int(part)]
    return None
