"""list_jobs and list_plans: every walk is complete, without repeats, newest first, and one's own."""

import itertools
import json
from dataclasses import fields

import pytest
from pydantic_core import to_json

from steward.job import JobStatus, ListedJob
from steward.plan import PlanStatus
from steward.views import job_view, jobs_json
from steward.work_store import WorkStore
from tests.contracts.builders import ALPHA, BETA, World, done, failure

pytestmark = pytest.mark.anyio


async def _walk(store: WorkStore, limit: int, **filters: object) -> list[ListedJob]:
    """Walk a listing from first page to last; no page but the last may be short of nothing."""
    jobs: list[ListedJob] = []
    after: str | None = None
    while True:
        page = await store.list_jobs(limit=limit, after=after, **filters)  # pyrefly: ignore
        jobs += page.jobs
        assert len(page.jobs) <= limit
        if page.next_after is None:
            return jobs
        assert page.jobs, "a page that is not the last is never empty"
        after = page.next_after


async def _fill(world: World, plans: int, jobs: int) -> list[str]:
    """Submit ``plans`` plans of ``jobs`` jobs each; return the job ids in the order they came in."""
    ids: list[str] = []
    for _ in range(plans):
        world.clock.advance(0.005)
        ids += (await world.submit(*[world.job(f"s{n}") for n in range(jobs)])).job_ids
    return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, 100])
async def test_w34_w35_w36_w40_a_walk_returns_each_job_once_newest_first(world: World, limit: int) -> None:
    """A walk over 150 jobs at any limit returns each exactly once, newest first across pages."""
    ids = await _fill(world, 3, 50)
    assert [job.job_id for job in await _walk(world.alpha, limit)] == ids[::-1]


async def test_w34_a_thousand_jobs(world: World) -> None:
    """A thousand jobs are walked in pages of 7 and of 100 without a gap or a repeat."""
    ids = await _fill(world, 20, 50)
    for limit in (7, 100):
        assert [job.job_id for job in await _walk(world.alpha, limit)] == ids[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, 100])
async def test_w34_w37_a_walk_survives_what_happens_meanwhile(world: World, limit: int) -> None:
    """While others are enqueued, started, finished, cancelled and retried, each job that was there is listed once."""
    ids = await _fill(world, 3, 40)
    doings = itertools.cycle(["submit", "run", "fail", "cancel", "claim"])
    seen: list[str] = []
    after: str | None = None
    for turn in itertools.count():
        page = await world.alpha.list_jobs(limit=limit, after=after)
        seen += [job.job_id for job in page.jobs]
        if page.next_after is None:
            break
        after = page.next_after
        if turn % max(1, 10 // limit) == 0:
            await _something(world, next(doings))
    assert [job_id for job_id in seen if job_id in set(ids)] == ids[::-1]
    assert len(set(seen)) == len(seen)


async def _something(world: World, doing: str) -> None:
    world.clock.advance(0.01)
    if doing == "submit":
        await world.submit(world.job("s1"), world.job("s2", "s1"))
    elif doing == "claim":
        await world.claim(limit=3)
    elif doing in {"run", "fail"}:
        for lease in await world.claim(limit=2):
            await world.settle(lease, failure())
            if doing == "run":
                await world.alpha.retry_job(lease.job.job_id)
    else:
        pending = await world.alpha.list_jobs(limit=1, status=JobStatus.PENDING)
        for job in pending.jobs:
            await world.alpha.cancel_job(job.job_id)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_w42_filters_narrow_the_walk(world: World, limit: int) -> None:
    """A status filter, a plan filter and both together return exactly the jobs they name, newest first."""
    submitted = [await world.submit(world.job("s1"), world.job("s2"), world.job("s3", "s2")) for _ in range(4)]
    for one in submitted[::2]:
        await world.run(one.job_ids[0])
        await world.run(one.job_ids[1], failure())
    everything = await _walk(world.alpha, 100)
    for status in (None, *JobStatus):
        for plan_id in (None, *(one.plan_id for one in submitted), world.ids.new("plan")):
            wanted = [job for job in everything if status in {None, job.status} and plan_id in {None, job.plan_id}]
            assert await _walk(world.alpha, limit, status=status, plan_id=plan_id) == wanted


async def test_w42_jobs_that_keep_a_status_are_listed_under_it_while_others_leave(world: World) -> None:
    """A walk under a status filter returns each job that had the status throughout exactly once."""
    ids = await _fill(world, 2, 30)
    kept, seen, after = set(ids), list[str](), None
    while True:
        page = await world.alpha.list_jobs(limit=4, after=after, status=JobStatus.PENDING)
        seen += [job.job_id for job in page.jobs]
        if (after := page.next_after) is None:
            break
        kept -= {lease.job.job_id for lease in await world.claim(limit=2)}
    assert len(seen) == len(set(seen))
    assert kept <= set(seen)


async def test_w38_a_small_workspace_among_many_foreign_jobs(world: World) -> None:
    """The first page holds the workspace's own job although a thousand foreign ones are newer and older."""
    await _fill(world, 10, 50)
    lone = await world.submit(who=BETA)
    await _fill(world, 10, 50)
    page = await world.beta.list_jobs(limit=10)
    assert [job.job_id for job in page.jobs] == list(lone.job_ids)
    assert page.next_after is None


async def test_w45_the_depth_beside_a_page_is_ones_own(world: World) -> None:
    """queue_depth counts this workspace's ready jobs and follows claims, ends and releases."""
    await _fill(world, 2, 20)
    lone = await world.submit(world.job("s1"), world.job("s2", "s1"), who=BETA)
    assert (await world.beta.list_jobs(limit=1)).queue_depth == 1
    assert await world.dispatcher.depth() == {"alpha": 40, "beta": 1}
    await world.run(lone.job_ids[0])
    assert (await world.beta.list_jobs(limit=1)).queue_depth == 1
    depth = await world.dispatcher.depth()
    assert (depth.get("alpha", 0), depth.get("beta", 0)) == (0, 1)


async def test_the_exact_last_page_says_it_is_the_last(world: World) -> None:
    """When the page is exactly full and nothing follows, there is no next one."""
    await _fill(world, 1, 6)
    page = await world.alpha.list_jobs(limit=3)
    page = await world.alpha.list_jobs(limit=3, after=page.next_after)
    assert (len(page.jobs), page.next_after) == (3, None)
    assert (await world.beta.list_jobs(limit=3)).jobs == ()
    assert (await world.beta.list_jobs(limit=3)).next_after is None


async def test_w47_no_combination_returns_a_foreign_job(world: World) -> None:
    """Whatever the cursor, status or plan: only jobs and plans of the store's own workspace come back."""
    mine = await world.submit(world.job("s1"), world.job("s2"))
    theirs = await world.submit(world.job("s1"), world.job("s2"), who=BETA)
    afters = [None, *mine.job_ids, *theirs.job_ids, "job_zzzzzzzzzzzzzzzzzzzzzzzz", "", "%", "job_"]
    for after in afters:
        for plan_id in (None, mine.plan_id, theirs.plan_id):
            for status in (None, JobStatus.PENDING):
                page = await world.alpha.list_jobs(limit=50, after=after, plan_id=plan_id, status=status)
                assert {job.workspace_id for job in page.jobs} <= {"alpha"}
                assert {job.job_id for job in page.jobs} <= {*mine.job_ids}
    for after in (None, mine.plan_id, theirs.plan_id, "plan_zzzzzzzzzzzzzzzzzzzzzzzz"):
        page_of_plans = await world.alpha.list_plans(limit=50, after=after)
        assert {plan.workspace_id for plan in page_of_plans.plans} <= {"alpha"}
        assert {plan.plan_id for plan in page_of_plans.plans} <= {mine.plan_id}


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_plans_are_walked_like_jobs(world: World, limit: int) -> None:
    """A walk over plans returns each once, newest first, also when new ones arrive, and filters by status."""
    ids = []
    for _ in range(12):
        world.clock.advance(0.01)
        ids.append((await world.submit()).plan_id)
        draft = world.plan()
        await world.alpha.draft(draft)
        ids.append(draft.plan_id)
    await world.submit(who=BETA)
    for status, wanted in ((None, ids), (PlanStatus.RUNNING, ids[::2]), (PlanStatus.DRAFT, ids[1::2])):
        seen, after = list[str](), None
        while True:
            page = await world.alpha.list_plans(limit=limit, after=after, status=status)
            seen += [plan.plan_id for plan in page.plans]
            if (after := page.next_after) is None:
                break
            assert page.plans
            world.clock.advance(0.01)
            if limit > 1:
                await world.submit(who=ALPHA)
        assert [plan_id for plan_id in seen if plan_id in set(wanted)] == wanted[::-1]
        assert len(set(seen)) == len(seen)


async def test_a_listed_job_is_the_job(world: World) -> None:
    """What a listing shows of a job is what a get shows, in every state, and again after it has changed."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"))
    await _assert_listed_as_got(world)
    await world.run(submitted.job_ids[0])
    await world.run(submitted.job_ids[2], outcome=failure())
    await _assert_listed_as_got(world)
    await world.alpha.retry_job(submitted.job_ids[2])
    await world.alpha.cancel_job(submitted.job_ids[1])
    await _assert_listed_as_got(world)


@pytest.mark.parametrize("size", [1, 20_000])
async def test_a_page_that_was_seen_shows_what_has_changed_since(world: World, size: int) -> None:
    """A job that ends or goes, a new one, and another workspace's page that reads alike: each look shows what is there now."""
    first, other = await world.submit(*[world.job(f"s{n}") for n in range(5)]), await world.submit(who=BETA)
    for number, job_id in enumerate(first.job_ids):
        before = await world.alpha.list_jobs(limit=5)
        assert (await world.alpha.list_jobs(limit=5)).jobs == before.jobs
        await world.run(job_id, done({"text": f"{number}" * size}))
        listed = {job.job_id: job for job in (await world.alpha.list_jobs(limit=5)).jobs}
        assert listed[job_id].result == {"text": f"{number}" * size}
        views = json.loads(b"[%b]" % jobs_json(tuple(listed.values())))
        assert [view["status"] for view in views][::-1] == [*await world.statuses(first)]
    newest = await world.submit()
    assert [job.job_id for job in (await world.alpha.list_jobs(limit=2)).jobs] == [*newest.job_ids, first.job_ids[-1]]
    assert [(job.job_id, job.workspace_id) for job in (await world.beta.list_jobs(limit=5)).jobs] == [
        (other.job_ids[0], "beta")
    ]


async def _assert_listed_as_got(world: World) -> None:
    listed = (await world.alpha.list_jobs(limit=10)).jobs
    assert len(listed) == 3
    views = json.loads(b"[%b]" % jobs_json(listed))
    for job, view in zip(listed, views, strict=True):
        got = await world.alpha.get_job(job.job_id)
        assert got is not None
        assert [getattr(job, f.name) for f in fields(ListedJob)] == [getattr(got, f.name) for f in fields(ListedJob)]
        assert view == json.loads(to_json(job_view(got)))
    everything = [await world.alpha.get_job(job.job_id) for job in listed]
    assert json.loads(b"[%b]" % jobs_json(tuple(filter(None, everything)))) == views


async def test_a_draft_past_its_time_is_listed_as_what_it_reads(world: World) -> None:
    """Before any sweep, a draft past its time is listed as expired, and a status filter goes by what is shown."""
    draft = world.plan()
    await world.alpha.draft(draft)
    await world.submit()
    world.clock.advance(3601)
    listed = {plan.plan_id: plan.status for plan in (await world.alpha.list_plans(limit=10)).plans}
    assert listed[draft.plan_id] is PlanStatus.EXPIRED
    for status in PlanStatus:
        found = [plan.plan_id for plan in (await world.alpha.list_plans(limit=10, status=status)).plans]
        assert found == [plan_id for plan_id, shown in listed.items() if shown is status], status
