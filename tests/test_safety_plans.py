"""The plans of the safety benchmark, without the package that they are measured with: each is well formed."""

import json
from pathlib import Path
from typing import Any

import pytest

from steward.orchestrator import proposed

PLANS = Path(__file__).parents[1] / "bench" / "safety" / "plans"
WRITTEN = {
    f"{path.stem} {name}": plan for path in PLANS.glob("*.json") for name, plan in json.loads(path.read_text()).items()
}
READER = "oracle.read"


@pytest.mark.parametrize("plan", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_plan_is_well_formed(plan: dict[str, Any]) -> None:
    """Its references lead to earlier steps, and whatever the quarantined reader is asked has an answer."""
    for part in (plan, *plan.get("then", ())):
        made = proposed(prompt="x", intent="x", explanation="x", steps=part["steps"], answer=part.get("answer"))
        asked = {step.id for step in made.steps if step.action_id == READER}
        assert asked == set(part.get("oracle", {}))
