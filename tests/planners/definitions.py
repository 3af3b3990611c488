"""A few actions as data, and a way to plan with them, for the planner's tests."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from steward.action import ActionDefinition, Effect, ParameterRole, RetryMode
from steward.planner import PlanningRequest, Proposal, RefusedAction
from steward.planners.sentences import SentencePlanner
from steward.policy import Deny

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
"""A Wednesday."""
ADDRESSES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
STRING = {"type": "string"}


def definition(
    action_id: str,
    sentences: Sequence[str],
    properties: Mapping[str, Any],
    required: Sequence[str] = (),
    *,
    roles: Mapping[str, ParameterRole] | None = None,
    primary_output: str | None = None,
) -> ActionDefinition:
    """Return a definition with what a planner looks at."""
    return ActionDefinition(
        id=action_id,
        title=action_id.replace(".", " ").capitalize(),
        description="Does it.",
        input_schema={
            "type": "object",
            "properties": dict(properties),
            "required": list(required),
            "additionalProperties": False,
        },
        effect=Effect.WRITE,
        retry=RetryMode.KEYED,
        roles=dict(roles or {}),
        primary_output=primary_output,
        sentences=tuple(sentences),
    )


SEND = definition(
    "letter.send",
    [
        "send [an] (email|e-mail) to {to:emails} [about {subject:text}] (saying|that says) {text:text}",
        "email {text:text} to {to:emails}",
        "email {to:emails} saying {text:text}",
    ],
    {"to": ADDRESSES, "subject": STRING, "text": STRING},
    ["to", "text"],
    roles={"subject": ParameterRole.CONTENT, "text": ParameterRole.CONTENT},
)
READ = definition(
    "paper.read",
    ["read [the] [file] {path:path}"],
    {"path": STRING},
    ["path"],
    roles={"path": ParameterRole.OBJECT},
    primary_output="text",
)
WRITE = definition(
    "paper.write",
    ["(write|save) {text:text} to [the] [file] {path:path}"],
    {"path": STRING, "text": STRING},
    ["path", "text"],
    roles={"text": ParameterRole.CONTENT},
)
LIST = definition("paper.list", ["list [the] files"], {})
FETCH = definition(
    "web.fetch",
    ["(fetch|get) {url:url} [up to {max_bytes:number} bytes]"],
    {"url": STRING, "max_bytes": {"type": "integer"}},
    ["url"],
)
NOTIFY = definition(
    "web.notify",
    ["notify {url:url} that {payload:message}"],
    {"url": STRING, "payload": {"type": "object"}},
    ["url", "payload"],
    roles={"payload": ParameterRole.CONTENT},
)
REMIND = definition(
    "clock.remind",
    ["remind me of {text:text} on {at:date}"],
    {"text": STRING, "at": STRING},
    ["text", "at"],
    roles={"text": ParameterRole.CONTENT, "at": ParameterRole.TIME},
)
PAY = definition(
    "money.pay",
    ["pay {amount:number} to {account:word} with {pin:text} for {reason:text}"],
    {"amount": {"type": "number"}, "account": STRING, "pin": STRING, "reason": STRING},
    ["amount", "account", "pin"],
    roles={"amount": ParameterRole.AMOUNT, "pin": ParameterRole.SECRET, "reason": ParameterRole.CONTENT},
)
ALL = (SEND, READ, WRITE, LIST, FETCH, NOTIFY, REMIND, PAY)


def propose(
    prompt: str,
    actions: Sequence[ActionDefinition] = ALL,
    *,
    answers: Mapping[str, Any] | None = None,
    time_zone: str | None = None,
    refused: Sequence[ActionDefinition] = (),
    data: Sequence[Any] | None = None,
) -> Proposal:
    """Return what the planner proposes for ``prompt``; with ``data``, during a run."""
    context = {"answers": answers, "time_zone": time_zone}
    denied = [RefusedAction(action, Deny("denylist", f"{action.id} is denied.", "Ask for it.")) for action in refused]
    request = PlanningRequest(prompt=prompt, actions=actions, refused=denied, now=NOW, context=context, data=data)
    return asyncio.run(SentencePlanner().propose(request))


def steps(proposal: Proposal) -> list[tuple[str, dict[str, Any]]]:
    """Return each step as (action id, parameters)."""
    assert not proposal.questions, proposal.questions
    return [(step.action_id, step.params) for step in proposal.plan.steps]


def asked(proposal: Proposal) -> list[str]:
    """Return the parameters that are asked for, having seen that nothing is planned."""
    assert proposal.plan.steps == []
    return [question.param for question in proposal.questions]
