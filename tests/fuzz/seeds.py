"""What schemathesis cannot guess: its own workspace, actions that exist, and the ids of what it has made.

Loaded by schemathesis in its own process. Valid requests are bent towards what exists; invalid ones are left as they are.
"""

import os
from typing import Any, Final
from zlib import crc32

import schemathesis

OWN: Final = {"workspace_id": os.environ["FUZZED_WORKSPACE"], "actor_id": os.environ["FUZZED_ACTOR"]}
ACTIONS: Final = ("sample.echo", "sample.count", "sample.refuse", "sample.doubt", "sample.hang", "compute")
SCHEDULED: Final = os.environ["FUZZED_SCHEDULED"].split(",")
"""Jobs that can be cancelled."""
UNKNOWN: Final = os.environ["FUZZED_UNKNOWN"].split(",")
"""Jobs whose outcome can be settled."""
APPROVALS: Final = [item.split(":") for item in os.environ["FUZZED_APPROVALS"].split(",")]
"""Approvals that can be decided, with their digests."""
_seen: dict[str, list[str]] = {"preview_id": [], "plan_id": [], "job_id": []}
"""Ids that answers have held."""


def _pick(items: Any, by: object) -> Any:
    """Return one of ``items``, always the same one for the same request."""
    return items[crc32(repr(by).encode(errors="replace")) % len(items)]


def _own(values: Any) -> None:
    """Put the credential's own workspace and actor where others would only be refused."""
    for name, own in OWN.items():
        if isinstance(values, dict) and isinstance(values.get(name), str):
            values[name] = own


def _existing(step: Any) -> None:
    """Name an action that exists, with the parameter that the tests' own actions take."""
    if isinstance(step, dict) and "action_id" in step and _pick((True, True, False), step):
        step["action_id"] = _pick(ACTIONS, step)
        step["params"] = {"text": str(step.get("params", ""))[:200]}


def _known(values: Any) -> None:
    """Put an id that exists where most made-up ones would only be unknown."""
    for name, ids in _seen.items():
        if (
            isinstance(values, dict)
            and isinstance(values.get(name), str)
            and ids
            and _pick((True, True, False), values)
        ):
            values[name] = _pick(ids, values)


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case) -> schemathesis.Case:
    """Return ``case``; a valid one speaks of what exists."""
    del context
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    body: Any = case.body
    _own(case.query)
    _own(case.path_parameters)
    _own(body)
    _known(case.path_parameters)
    _known(body)
    match case.operation.definition.raw.get("operationId"):
        case "jobs_cancel":
            case.path_parameters["job_id"] = _pick(SCHEDULED, case.path_parameters)
        case "jobs_resolve":
            case.path_parameters["job_id"] = _pick(UNKNOWN, body)
        case "approvals_show" | "approvals_approve" | "approvals_reject" as operation:
            mine = APPROVALS[
                operation == "approvals_reject" :: 2
            ]  # each verb has its own, or every second one was decided
            case.path_parameters["approval_id"], digest = _pick(mine, case.path_parameters)
            if isinstance(body, dict) and "digest" in body:
                body["digest"] = digest
        case "plans_execute" if isinstance(body, dict):
            for step in body.get("actions") or ():
                _existing(step)
        case "actions_preview":
            _existing(body)
        case "actions_execute" if isinstance(body, dict):
            body["wait_ms"] = min(int(body.get("wait_ms", 0)), 500)
    return case


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Remember the ids of what was made."""
    del context
    if response.status_code not in {200, 202} or case.method != "POST":
        return
    answer = response.json()
    _seen["plan_id"] += [answer["plan_id"]] if "plan_id" in answer else []
    _seen["job_id"] += answer.get("job_ids", [])
    if case.path == "/actions/preview":
        _seen["preview_id"].append(answer["plan_id"])
