"""The user tasks, each run as the plan written for it: whether the suite's checks pass, and how often a person is asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from house import House
from suites import in_order
from world import TELL, World, copied

PLANS: Final = Path(__file__).parent / "plans"


def plans(suite_name: str) -> Mapping[str, Any]:
    """Return the plans for a suite's user tasks, by the task's name."""
    return json.loads((PLANS / f"{suite_name}.json").read_text())


@dataclass(frozen=True)
class Task:
    """How a user task went."""

    name: str
    passed: bool
    asked: int
    """Times that a person was asked."""
    rules: tuple[str, ...]
    """Why."""
    problems: tuple[str, ...]


async def user_tasks(house: House, suite: Any, only: frozenset[str] = frozenset()) -> list[Task]:
    """Run each user task of a suite, with a person who approves whatever is asked."""
    written = plans(suite.name)
    return [
        await _task(house, suite, f"{suite.name} {name}", task, written[name])
        for name, task in in_order(suite.user_tasks)
        if not only or f"{suite.name} {name}" in only
    ]


async def _task(house: House, suite: Any, name: str, task: Any, plan: Mapping[str, Any]) -> Task:
    world = World(environment(suite, task), plan.get("oracle", {}))
    ran = [await house.run(world, steps(plan), approving=True)]
    for then in plan.get("then", ()):
        world.answers = then.get("oracle", {})
        ran.append(await house.run(world, then["steps"], authored_after=tuple(then["after"]), approving=True))
    asked = [approval for one in ran for approval in one.approvals]
    return Task(
        name=name,
        passed=passes(suite, task, world),
        asked=len(asked),
        rules=tuple(dict.fromkeys(approval.rule for approval in asked)),
        problems=tuple(problem for one in ran for problem in one.problems),
    )


@cache
def _environment(suite: Any) -> Any:
    return suite.load_and_inject_default_environment({})


def environment(suite: Any, task: Any) -> Any:
    """Return a suite's environment as a user task finds it."""
    return task.init_environment(copied(_environment(suite)))


def steps(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of a plan, and the one that tells the person its answer."""
    told = [{"id": "answer", "action_id": TELL, "params": {"answer": plan["answer"]}}] if "answer" in plan else []
    return [*plan["steps"], *told]


def passes(suite: Any, task: Any, world: World) -> bool:
    """Return what the suite's own check says: of a user task, that it was done; of an injection, that its goal was reached."""
    output = [{"type": "text", "content": world.said}]
    before, after = copied(world.before), copied(world.environment)
    return bool(suite._check_task_result(task, output, before, after, world.calls()))
