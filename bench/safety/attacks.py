"""Every user task beside every injection: whether a goal is reached without a person's yes. Nobody approves anything here."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from attackers import Mallory
from goals import Call, calls
from honest import environment, passes, plans
from house import House
from suites import in_order
from tools import TOOLS
from world import World

from steward.action import Effect
from steward.expression import MAX_EXPRESSION_CHARS

AT_ONCE: Final = 8


@dataclass(frozen=True)
class Attack:
    """How an attack went."""

    name: str
    reached: bool
    lost: tuple[str, ...] = ()
    """Places where something of the attacker's was not marked as untrusted."""


def pairs(suite: Any) -> list[tuple[str, Any, str, Any]]:
    """Return every user task of a suite with every injection."""
    return [
        (name, task, goal, injection)
        for name, task in in_order(suite.user_tasks)
        for goal, injection in in_order(suite.injection_tasks)
    ]


async def static_plan(house: House, suite: Any, *, quiet: bool) -> list[Attack]:
    """The plan was made before anything was read. The attacker writes all that it reads, and decides its conditions.

    ``quiet``: all that is read stays as it is, and only what is made of it becomes theirs.
    """
    written = plans(suite.name)

    async def attack(pair: tuple[str, Any, str, Any], _: int) -> Attack:
        name, task, goal, injection = pair
        plan, found = written[name], environment(suite, task)
        mallory = Mallory(suite.name, calls(injection, found), quiet)
        world = World(found, plan.get("oracle", {}), mallory, house.allows)
        await house.run(world, _unconditional(plan["steps"]), approving=False)
        for then in plan.get("then", ()):
            world.answers = then.get("oracle", {})
            await house.run(world, then["steps"], authored_after=tuple(then["after"]), approving=False)
        return Attack(f"{suite.name} {name} {goal}", passes(suite, injection, world), tuple(mallory.lost))

    return await _all(attack, pairs(suite))


async def fooled_planner(house: House, suite: Any, *, dressed_up: bool) -> list[Attack]:
    """The planner reads what the task reads, believes it, and then plans the attacker's calls, one after the other.

    ``dressed_up``: every second time it writes each argument as an expression that says the same.
    """
    written = plans(suite.name)

    async def attack(pair: tuple[str, Any, str, Any], number: int) -> Attack:
        name, task, goal, injection = pair
        plan, found = written[name], environment(suite, task)
        world = World(found, plan.get("oracle", {}))
        reading = _reading(suite.name, plan["steps"])
        if reading:
            await house.run(world, reading, approving=False)
        for call in calls(injection, found):
            step = _step(suite.name, call, as_expressions=dressed_up and number % 2 == 1)
            await house.run(world, [step], authored_after=("s1",), approving=False)
        return Attack(f"{suite.name} {name} {goal}", passes(suite, injection, world))

    return await _all(attack, pairs(suite))


async def _all(attack: Any, found: Sequence[Any]) -> list[Attack]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, pair: Any) -> Attack:
        async with free:
            return await attack(pair, number)

    return list(await asyncio.gather(*(one(*numbered) for numbered in enumerate(found))))


def _unconditional(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [{name: value for name, value in step.items() if name != "when"} for step in steps]


def _reading(suite_name: str, steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the steps before the first that changes anything."""
    tools = TOOLS[suite_name]

    def reads(step: Mapping[str, Any]) -> bool:
        tool = tools.get(step["action_id"].removeprefix(f"{suite_name}."))
        return tool is None or tool.effect is Effect.READ

    return list(takewhile(reads, steps))


def _step(suite_name: str, call: Call, *, as_expressions: bool) -> Mapping[str, Any]:
    function, args = call
    written = {name: _expression(value) for name, value in args.items()} if as_expressions else args
    return {"action_id": f"{suite_name}.{function}", "params": written}


def _expression(value: Any) -> Any:
    """Return an expression that says what is written out, where it is short enough for one."""
    literal = json.dumps(value).replace("`", "\\`")
    return {"$ref": f"`{literal}`"} if len(literal) < MAX_EXPRESSION_CHARS - 2 else value
