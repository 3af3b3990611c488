"""The page about states, held against the code: the edges that it draws are those that the store takes, and no others."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from steward.approval import Verdict
from steward.ids import IdFactory
from steward.job import TRANSITIONS, JobStatus
from steward.plan import PlanStatus
from steward.work_store import APPROVAL_S, DRAFT_S, Submission
from tests.conftest import FakeClock
from tests.contracts.backends import SqliteBackend
from tests.contracts.builders import World, failure

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "states.md"
Edge = tuple[str, str]


def section(heading: str) -> str:
    """Return the text under one heading."""
    return PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def drawn(heading: str) -> dict[Edge, str]:
    """Return the edges of a section's diagram with their letters, those from the start left out."""
    found = re.findall(r"^    (\w+) --> (\w+): (\w)$", section(heading), re.MULTILINE)
    assert len({letter for _, _, letter in found}) == len(found), "two edges have one letter"
    return {(before, after): letter for before, after, letter in found}


def beginnings(heading: str) -> set[str]:
    """Return the states in which the section's diagram starts."""
    return set(re.findall(r"^    \[\*\] --> (\w+)$", section(heading), re.MULTILINE))


def sentences(heading: str) -> dict[str, str]:
    """Return what a section's table says about each state."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section(heading), re.MULTILINE))


def legend(heading: str) -> list[str]:
    """Return the letters that a section's legend explains, in order."""
    return re.findall(r"^\| (\w) \| .+ \| .+\. ?(?:\(.+\.\))? \|$", section(heading), re.MULTILINE)


def test_the_edges_of_jobs_are_the_transitions() -> None:
    """The drawing and ``TRANSITIONS`` have exactly the same edges."""
    allowed = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
    assert set(drawn("Job edges")) == allowed


@pytest.mark.parametrize("heading", ["Job edges", "Plan edges"])
def test_every_edge_is_explained(heading: str) -> None:
    """Each letter of a drawing has its line in the legend: who moves it, and when."""
    assert legend(heading) == list(drawn(heading).values())


@pytest.mark.parametrize(("heading", "states"), [("Job states", JobStatus), ("Plan states", PlanStatus)])
def test_every_state_has_a_sentence(heading: str, states: type[JobStatus] | type[PlanStatus]) -> None:
    """Each state is described by one whole sentence, in the order in which the code has them."""
    said = sentences(heading)
    assert list(said) == list(states)
    assert [text for text in said.values() if not re.fullmatch(r"[A-Z].+\.", text)] == []


class Walker:
    """Moves one plan and notes every edge that its status takes."""

    def __init__(self, world: World) -> None:
        """Start with no edge seen."""
        self.world = world
        self.edges: set[Edge] = set()
        self.starts: set[str] = set()
        self._last: dict[str, str] = {}

    async def see(self, plan_id: str) -> None:
        """Note where the plan is now."""
        status = str((await self.world.plan_of(plan_id)).status)
        before = self._last.get(plan_id)
        if before is None:
            self.starts.add(status)
        elif before != status:
            self.edges.add((before, status))
        self._last[plan_id] = status

    async def draft(self, **changes: Any) -> Submission:
        """Keep a draft and return what would execute it."""
        plan = self.world.plan(**changes)
        await self.world.alpha.draft(plan)
        await self.see(plan.plan_id)
        return self.world.submission(plan=plan)

    async def submit(self, *, approved: bool = True, steps: int = 1) -> tuple[str, str | None, tuple[str, ...]]:
        """Submit a plan that was no draft; return its id, its approval's and its jobs'."""
        jobs = [self.world.job(f"s{number + 1}") for number in range(steps)]
        done = await self.world.submit(*jobs, approved=approved)
        await self.see(done.plan_id)
        return done.plan_id, done.approval_id, done.job_ids

    async def decide(self, verdict: Verdict) -> None:
        """Submit a plan that asks, and answer."""
        plan_id, approval_id, _ = await self.submit(approved=False)
        assert approval_id is not None
        await self.world.alpha.decide_approval(approval_id, "c" * 64, verdict, None)
        await self.see(plan_id)


async def _executed(walk: Walker) -> None:
    plain = await walk.draft()
    await walk.world.alpha.submit(plain)
    await walk.see(plain.plan.plan_id)
    asking = await walk.draft()
    approval = walk.world.approval(asking.plan.plan_id)
    await walk.world.alpha.submit(Submission(plan=asking.plan, jobs=asking.jobs, approval=approval))
    await walk.see(asking.plan.plan_id)


async def _never_executed(walk: Walker) -> None:
    for status in (PlanStatus.DRAFT, PlanStatus.NEEDS_INPUT):
        dropped = (await walk.draft(status=status)).plan.plan_id
        await walk.world.alpha.cancel_plan(dropped)
        await walk.see(dropped)
        forgotten = (await walk.draft(status=status)).plan.plan_id
        walk.world.clock.advance(DRAFT_S + 1)
        await walk.world.dispatcher.sweep()
        await walk.see(forgotten)


async def _approvals(walk: Walker) -> None:
    for verdict in Verdict:
        await walk.decide(verdict)
    late, _, _ = await walk.submit(approved=False)
    walk.world.clock.advance(APPROVAL_S + 1)
    await walk.world.dispatcher.sweep()
    await walk.see(late)
    dropped, _, _ = await walk.submit(approved=False)
    await walk.world.alpha.cancel_plan(dropped)
    await walk.see(dropped)


async def _carried_out(walk: Walker) -> None:
    done, _, (job_id,) = await walk.submit()
    await walk.world.run(job_id)
    await walk.see(done)
    dropped, _, _ = await walk.submit()
    await walk.world.alpha.cancel_plan(dropped)
    await walk.see(dropped)
    broken, _, (job_id,) = await walk.submit()
    await walk.world.run(job_id, failure())
    await walk.see(broken)
    await walk.world.alpha.retry_job(job_id)
    await walk.see(broken)


async def _walk(folder: Path, clock: FakeClock, *stories: Callable[[Walker], Awaitable[None]]) -> Walker:
    async with SqliteBackend(folder).open(clock, IdFactory(clock)) as engine:
        walk = Walker(World(engine, clock))
        for story in stories:
            await story(walk)
        return walk


def test_the_edges_of_plans_are_those_that_plans_take(tmp_path: Path, clock: FakeClock) -> None:
    """Stories that take plans everywhere they can go walk every drawn edge, start in every drawn start, and no other."""
    walk = asyncio.run(_walk(tmp_path, clock, _executed, _never_executed, _approvals, _carried_out))
    assert walk.edges == set(drawn("Plan edges"))
    assert walk.starts == beginnings("Plan edges")


def test_jobs_start_where_the_drawing_starts(tmp_path: Path, clock: FakeClock) -> None:
    """A new job is in one of the four states in which the drawing starts, and each of them can be had."""

    async def starts(walk: Walker) -> None:
        world = walk.world
        jobs = [world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60))]
        submitted = await world.submit(*jobs)
        held = await world.submit(approved=False)
        walk.starts |= {*await world.statuses(submitted), *await world.statuses(held)}

    walk = asyncio.run(_walk(tmp_path, clock, starts))
    assert walk.starts == beginnings("Job edges")
