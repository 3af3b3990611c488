"""A decision of policy, the check of a plan, and the second look a worker takes: what every step costs before anything runs."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from figure import Figure, median
from samples import CLOCK, SOMEBODY

from steward.actions import ActionCatalogue
from steward.actions.builtin import builtin_actions
from steward.orchestrator import proposed
from steward.plan import PlannedAction
from steward.plan_check import PlanCheck, destinations, schema_problems, step_digests
from steward.policies.cedar import CedarPolicy, Ground
from steward.policies.cedar_rules import default_rules
from steward.policies.cedar_schema import Language
from steward.policies.cedar_text import rules_of
from steward.policies.lists import ListPolicy
from steward.vault import Vault

_ROUNDS = 3_000
_OWN = 'forbid (principal, action in Action::"money", resource) when { context has amount && context.amount > 500 };'
_MAIL = {"to": ["office@bench.example"], "subject": "Lift", "text": "The lift is repaired."}
_VAULT = Vault(("a secret key for a bench that is long enough",))
_PAGE = {"action_id": "http.get", "params": {"url": "https://office.bench.example/lift"}}
_AGAIN = 3
"""Times that the plan takes up what it read, with three steps each."""


def _told(number: int) -> list[dict[str, Any]]:
    """Return steps that pick something out of the page, keep it in a file, and write it to somebody: all by reference."""
    picked, kept = f"picked{number}", f"kept{number}"
    words = {"what": {"$ref": f"steps.{picked}.result.value"}, "where": {"$ref": f"steps.{kept}.result.path"}}
    return [
        {"id": picked, "action_id": "compute", "params": {"value": {"$ref": "steps.page.result.text"}}},
        {
            "id": kept,
            "action_id": "file.write",
            "params": {
                "path": f"lift/{number}.txt",
                "text": {"$template": "On the lift: {what}", "vars": {"what": words["what"]}},
            },
        },
        {
            "action_id": "email.send",
            "params": {**_MAIL, "text": {"$template": "{what} It is kept in {where}.", "vars": words}},
        },
    ]


def _catalogue() -> ActionCatalogue:
    catalogue = ActionCatalogue()
    found = builtin_actions(
        smtp_url="smtp://127.0.0.1:25",
        smtp_from="office@bench.example",
        webhook_secrets={},
        http_allow_hosts=frozenset(),
        files_root=Path("files"),
        clock=CLOCK,
    )
    for action in found:
        catalogue.add(action)
    return catalogue


def _policy(catalogue: ActionCatalogue, switched_on: frozenset[str], own: int) -> CedarPolicy:
    """Return a policy with these optional rules and so many of the workspace's own."""
    ground = Ground(
        workspace_id=SOMEBODY.workspace_id,
        lists=ListPolicy(catalogue, None, None),
        catalogue=catalogue,
        language=Language(catalogue.definitions()),
        own_domains=("bench.example",),
        switched_on=switched_on,
    )
    return CedarPolicy(ground, [rule for number in range(own) for rule in rules_of("bench", f"p{number}", _OWN)])


def _us(rounds: int, run: Callable[[], object]) -> float:
    """Return the processor time of a call in microseconds, at the median: nothing in it waits."""
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        run()
        times.append((time.thread_time() - began) * 1e6)
    return median(times)


def _elsewhere(steps: Sequence[PlannedAction], number: int) -> list[PlannedAction]:
    """Return the steps, every mail to an address that policy has not been asked about before."""
    return [
        step.model_copy(update={"params": {**step.params, "to": [f"office@{index}.{number}.example"]}})
        if "to" in step.params
        else step
        for index, step in enumerate(steps)
    ]


def measure(scale: int) -> list[Figure]:
    """Return the cost of a decision with more and more rules, each beside the default set, and of a plan's check."""
    rounds, catalogue = _ROUNDS // scale, _catalogue()
    every = frozenset(rule.name for rule in default_rules() if rule.optional) - {"reads_only"}
    sets = {
        "a decision, default rules": _policy(catalogue, frozenset(), 0),
        "a decision, five optional rules on": _policy(catalogue, every, 0),
        "a decision, 20 own rules": _policy(catalogue, frozenset(), 20),
    }
    figures: list[Figure] = []
    for what, policy in sets.items():
        fresh = ({**_MAIL, "to": f"office@{number}.example"} for number in count())  # a question never asked before
        cost = _us(rounds, lambda policy=policy, fresh=fresh: policy.decide(SOMEBODY, "email.send", next(fresh), {}))
        figures.append(
            Figure(what, cost, "µs", "default rules" if figures else "", figures[0].value if figures else None)
        )
    return [
        *figures,
        _checked(catalogue, sets["a decision, default rules"], max(rounds // 10, 10)),
        *_again(catalogue, sets["a decision, default rules"], rounds),
    ]


def _checked(catalogue: ActionCatalogue, policy: CedarPolicy, rounds: int) -> Figure:
    """Return what the check of a plan costs, decisions and digest included."""
    check = PlanCheck(catalogue, _VAULT)
    steps = proposed(
        prompt="bench",
        intent="bench",
        steps=[{"id": "page", **_PAGE}, *(step for number in range(_AGAIN) for step in _told(number))],
        explanation="bench",
    ).steps
    plans = (_elsewhere(steps, number) for number in count())
    cost = _us(rounds, lambda: check.check(policy, SOMEBODY, next(plans)).digest) / 1000
    return Figure(f"the check of a plan of {len(steps)} steps with references", cost, "ms")


def _again(catalogue: ActionCatalogue, policy: CedarPolicy, rounds: int) -> list[Figure]:
    """Return what a worker's second look costs a job: digest, schema and decision, for a known question and for a new one."""
    action = catalogue.get("email.send")
    assert action is not None
    definition = action.definition

    def look(params: Mapping[str, Any]) -> None:
        digest = {"step_id": "s1", "depends_on": (), "vault": _VAULT, "workspace_id": SOMEBODY.workspace_id}
        step_digests(definition, params=params, **digest)
        assert not schema_problems(definition, params)
        policy.decide(SOMEBODY, definition.id, destinations(definition, params), {"labels": {}, "resolved": True})

    known = ({**_MAIL, "to": [f"{number}@bench.example"]} for number in count())
    new = ({**_MAIL, "to": [f"office@{number}.again.example"]} for number in count())
    look(next(known))
    return [
        Figure("a worker's second look at a job, decided before", _us(rounds, lambda: look(next(known))), "µs"),
        Figure("a worker's second look at a job, not decided before", _us(rounds, lambda: look(next(new))), "µs"),
    ]
