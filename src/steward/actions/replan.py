"""``plan.replan``: further steps, planned during the run by whoever planned the first ones, once something has been read.

The action only declares it: a worker has the steps planned and checked, and puts them in place (``steward.replanning``).
"""

from collections.abc import Mapping
from typing import Any

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, ParameterRole, RetryMode
from steward.actions.base import BuiltinAction, object_schema
from steward.plan import MAX_FURTHER, MAX_PROMPT_CHARS, REPLAN


class PlanReplan(BuiltinAction):
    """Stands for steps that are not known yet."""

    definition = ActionDefinition(
        id=REPLAN,
        title="Plan further steps",
        description=(
            f"Has at most {MAX_FURTHER} further steps planned during the run, from what was read; each is decided by itself, "
            "and one that sends or changes something asks a person."
        ),
        input_schema=object_schema(
            {
                "inputs": {
                    "type": "array",
                    "maxItems": 50,
                    "default": [],
                    "description": "The values to plan from, mostly results of earlier steps.",
                },
                "goal": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_PROMPT_CHARS,
                    "description": "What is to be done with them, as a person would ask for it.",
                },
            },
            ("goal",),
        ),
        output_schema={"type": "array", "description": "What the steps returned, in order."},
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"inputs": ParameterRole.CONTENT, "goal": ParameterRole.CONTENT},
        reversibility="no effect",
        groups=frozenset({"model"}),
        timeout_s=330.0,  # longer than a question to a language model may take, which has its own limit
        sentences=("plan further steps from {goal:text}",),
    )

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:  # noqa: ARG002 - the contract's
        """Refuse: no action may put steps in place, only a worker."""
        raise ActionFailed("not_in_a_plan", "Further steps are planned by a worker that runs a plan.")
