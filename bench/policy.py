"""A decision of policy, and the check of a plan: what every step costs before anything runs."""

import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from figure import Figure, median
from samples import CLOCK, SOMEBODY

from steward.actions import ActionCatalogue
from steward.actions.builtin import builtin_actions
from steward.orchestrator import proposed
from steward.plan import PlannedAction
from steward.plan_check import PlanCheck
from steward.policies.cedar import CedarPolicy, Ground
from steward.policies.cedar_rules import default_rules
from steward.policies.cedar_schema import Language
from steward.policies.cedar_text import rules_of
from steward.policies.lists import ListPolicy
from steward.vault import Vault

_ROUNDS = 3_000
_STEPS = 10
_OWN = 'forbid (principal, action in Action::"money", resource) when { context has amount && context.amount > 500 };'
_MAIL = {"to": ["office@bench.example"], "subject": "Lift", "text": "The lift is repaired."}


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
    """Return the steps, each to an address that policy has not been asked about before."""
    return [
        step.model_copy(update={"params": {**step.params, "to": [f"office@{index}.{number}.example"]}})
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
    check = PlanCheck(catalogue, Vault(("a secret key for a bench that is long enough",)))
    steps = proposed(
        prompt="bench",
        intent="bench",
        steps=[{"action_id": "email.send", "params": {**_MAIL, "subject": f"Lift {n}"}} for n in range(_STEPS)],
        explanation="bench",
    ).steps
    policy = sets["a decision, default rules"]
    plans = (_elsewhere(steps, number) for number in count())
    cost = _us(max(rounds // 10, 10), lambda: check.check(policy, SOMEBODY, next(plans))) / 1000
    return [*figures, Figure(f"the check of a plan of {_STEPS} steps", cost, "ms")]
