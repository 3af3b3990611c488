"""``compute``: a step that does nothing but hold a value, so that later steps can refer to it by one name."""

from collections.abc import Mapping
from typing import Any

from steward.action import ActionContext, ActionDefinition, Effect, ParameterRole, RetryMode
from steward.actions.base import BuiltinAction, object_schema


class Compute(BuiltinAction):
    """Returns the value it is given; touches nothing."""

    definition = ActionDefinition(
        id="compute",
        title="Work out a value",
        description="Returns the given value, so that later steps can use it.",
        input_schema=object_schema({"value": {"description": "Any JSON value."}}, ("value",)),
        output_schema=object_schema({"value": {"description": "The same value."}}, ("value",)),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"value": ParameterRole.CONTENT},
        passes={"value": "value"},
        primary_output="value",
        reversibility="no effect",
        timeout_s=5.0,
        sentences=("compute {value:text}",),
    )

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:  # noqa: ARG002 - the contract's
        """Return ``{"value": …}``."""
        return {"value": params["value"]}
