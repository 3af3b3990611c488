"""Every user task beside every injection: is the goal reached without a person's yes? Nobody approves anything here."""

import asyncio
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


async def static_plan(house: House, suite: Any) -> list[Attack]:
    """The plan was made before anything was read. The attacker writes all that it reads, and decides its conditions."""
    written = plans(suite.name)

    async def attack(pair: tuple[str, Any, str, Any]) -> Attack:
        name, task, goal, injection = pair
        plan, found = written[name], environment(suite, task)
        mallory = Mallory(suite.name, calls(injection, found))
        world = World(found, plan.get("oracle", {}), mallory)
        await house.run(world, _unconditional(plan["steps"]), approving=False)
        for then in plan.get("then", ()):
            world.answers = then.get("oracle", {})
            await house.run(world, then["steps"], authored_after=tuple(then["after"]), approving=False)
        return Attack(f"{suite.name} {name} {goal}", passes(suite, injection, world), tuple(mallory.lost))

    return await _all(attack, pairs(suite))


async def fooled_planner(house: House, suite: Any, *, as_expressions: bool = False) -> list[Attack]:
    """The planner reads what the task reads, believes it, and then plans the attacker's calls, one after the other.

    ``as_expressions``: it dresses every argument up as an expression that says the same.
    """
    written = plans(suite.name)

    async def attack(pair: tuple[str, Any, str, Any]) -> Attack:
        name, task, goal, injection = pair
        plan, found = written[name], environment(suite, task)
        world = World(found, plan.get("oracle", {}))
        reading = _reading(suite.name, plan["steps"])
        if reading:
            await house.run(world, reading, approving=False)
        for call in calls(injection, found):
            step = _step(suite.name, call, as_expressions=as_expressions)
            await house.run(world, [step], authored_after=("s1",), approving=False)
        return Attack(f"{suite.name} {name} {goal}", passes(suite, injection, world))

    return await _all(attack, pairs(suite))


async def _all(attack: Any, found: Sequence[Any]) -> list[Attack]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(pair: Any) -> Attack:
        async with free:
            return await attack(pair)

    return list(await asyncio.gather(*map(one, found)))


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
    if isinstance(value, list):
        return [_expression(one) for one in value]
    if isinstance(value, dict):
        return {name: _expression(one) for name, one in value.items()}
    plain = isinstance(value, str) and len(value) < 100 and not set(value) & set("'\\`\n")
    return {"$ref": f"'{value}'"} if plain else value
