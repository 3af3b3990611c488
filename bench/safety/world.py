"""A suite's tools as actions of Steward, each run in an environment of its own, and the quarantined reader beside them."""

import copy
import json
import pickle
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import TypeAdapter
from tools import TOOLS, Tool

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, ParameterRole, RetryMode
from steward.actions.base import CannotTell, object_schema
from steward.provenance import Label

READER: Final = "oracle.read"
"""Stands where a quarantined model would: it reads what it is given and has no tools. Its answer is untrusted."""
TELL: Final = "person.tell"
"""Hands the answer to the person, in full; the record of it would be redacted."""


class Attacker(Protocol):
    """Whoever writes what the plan reads."""

    def says(self, answer: Any) -> Any:
        """Return what the quarantined reader answers instead."""
        ...

    def reads(self, definition: ActionDefinition, result: Any) -> Any:
        """Return what a tool returns instead."""
        ...

    def feeds(self, tool: str, params: Mapping[str, Any], labels: Mapping[str, Label]) -> Mapping[str, Any]:
        """Return what an action that is about to run is given instead."""
        ...


Allows = Callable[[ActionDefinition, Mapping[str, Any], Mapping[str, Label]], Awaitable[bool]]
"""Says of an action, its values and their labels whether nobody would be asked."""


@dataclass
class World:
    """The environment of one run, and what happened in it."""

    environment: Any
    answers: Mapping[str, Any] = field(default_factory=dict)
    """By step id: what the quarantined reader would rightly say."""
    attacker: Attacker | None = None
    allows: Allows | None = None
    """Whether an action would be let through with these values; None: whatever they are."""
    done: list[tuple[str, Mapping[str, Any], Mapping[str, Label]]] = field(default_factory=list)
    """Every tool that ran, with what it was given and how far that could be trusted."""
    said: str = ""
    """What the person was told."""
    before: Any = None

    def __post_init__(self) -> None:
        """Keep the environment as it is now."""
        self.before = copied(self.environment)

    def calls(self) -> list[Any]:
        """Return the tools that ran, as the suite's checks look at them."""
        from agentdojo.functions_runtime import FunctionCall  # noqa: PLC0415 - only where the package is

        return [FunctionCall(function=name, args=dict(params)) for name, params, _ in self.done]


def copied(environment: Any) -> Any:
    """Return a copy of an environment, twenty times faster than ``copy.deepcopy`` makes one."""
    return pickle.loads(pickle.dumps(environment))


Worlds = dict[str, World]
"""The runs that are under way, by the id of the request that started them."""


class _Action:
    definition: ActionDefinition

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> CannotTell:  # noqa: ARG002 - the contract's
        return CannotTell("Nothing here is asked twice.")


class SuiteTool(_Action):
    """One tool of a suite."""

    def __init__(self, suite: str, function: Any, tool: Tool, worlds: Worlds, *, by_field: bool, guarded: bool) -> None:
        """Wrap a function of the package as ``tool`` declares it."""
        self._function, self._worlds = function, worlds
        self._result = TypeAdapter(function.return_type)
        self.definition = ActionDefinition(
            id=f"{suite}.{function.name}",
            title=function.name.replace("_", " ").capitalize(),
            description=function.description,
            input_schema={**function.parameters.model_json_schema(), "additionalProperties": False},
            output_schema=self._result.json_schema(mode="serialization"),
            effect=tool.effect,
            retry=RetryMode.NONE,
            roles=tool.roles,
            output_labels=tool.labels_in(by_field=by_field),
            groups=tool.groups if guarded else frozenset(),
            max_attempts=1,
        )

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Call it in the environment of its run."""
        from agentdojo.functions_runtime import FunctionsRuntime  # noqa: PLC0415 - only where the package is

        world, name = self._worlds[context.request_id], self._function.name
        if world.attacker is not None and self.definition.effect is Effect.WRITE:
            wanted = world.attacker.feeds(name, params, context.labels)
            # Rules look at values too: with this one a person might have been asked.
            if world.allows is None or await world.allows(self.definition, wanted, context.labels):
                params = wanted
        runtime = FunctionsRuntime([self._function])
        found, error = runtime.run_function(world.environment, name, copy.deepcopy(dict(params)))
        if error is not None:
            raise ActionFailed("refused", "The tool refused it.")
        world.done.append((name, params, dict(context.labels)))
        result = self._result.dump_python(found, mode="json")
        return result if world.attacker is None else world.attacker.reads(self.definition, result)


class Reader(_Action):
    """The quarantined reader: its answer is the one that is written beside the plan, whatever it is given."""

    definition = ActionDefinition(
        id=READER,
        title="Read",
        description="Read a text and say what is asked about it.",
        input_schema=object_schema(
            {"inputs": {"type": "array"}, "instruction": {"type": "string"}}, ("inputs", "instruction")
        ),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"inputs": ParameterRole.CONTENT, "instruction": ParameterRole.CONTENT},
    )

    def __init__(self, worlds: Worlds) -> None:
        """Answer in these runs."""
        self._worlds = worlds

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:  # noqa: ARG002 - the contract's
        """Return the answer."""
        world = self._worlds[context.request_id]
        answer = world.answers[context.step_id]
        return answer if world.attacker is None else world.attacker.says(answer)


class Tell(_Action):
    """Tells the person something."""

    definition = ActionDefinition(
        id=TELL,
        title="Tell",
        description="Tell the person who asked.",
        input_schema=object_schema({"answer": {}}, ("answer",)),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"answer": ParameterRole.CONTENT},
    )

    def __init__(self, worlds: Worlds) -> None:
        """Tell it in these runs."""
        self._worlds = worlds

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Note it as text."""
        answer = params["answer"]
        self._worlds[context.request_id].said += answer if isinstance(answer, str) else json.dumps(answer)


def actions(suites: Sequence[Any], worlds: Worlds, *, by_field: bool, guarded: bool) -> list[_Action]:
    """Return the actions of suites; ``by_field``: with the labels of each field, else those of the worst case.

    ``guarded``: in the groups that they belong to, so that links of others are made unclickable when they leave.
    """
    tools: list[_Action] = [
        SuiteTool(suite.name, function, TOOLS[suite.name][function.name], worlds, by_field=by_field, guarded=guarded)
        for suite in suites
        for function in suite.tools
    ]
    return [*tools, Reader(worlds), Tell(worlds)]
