"""Redis does not roll back: whatever a script meets, it writes all or nothing."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from steward.errors import StoreUnavailable
from steward.job import LEASE_S, HeldFor, JobStatus
from steward.spending import Spending
from steward.work_store import Lease, Settlement
from steward.work_stores.redis.keys import key
from steward.workspace import Budget, Cap
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World, action_claim, asking, done, failure, request_claim
from tests.redis_server import everything

pytestmark = pytest.mark.anyio

SPENDING = Spending(budgets={"messages_out": Budget(limit=9, window_s=3600)})
STRINGS: Final = {"claimed", "request_name", "action_name"}
SUBMITTED: Final = (
    *(("jobs_in", "alpha", "pending"), ("plans_in", "alpha", "running")),
    *(("ready", "alpha", "email.send"), ("workspace", "alpha")),
    *(("events", "alpha"), ("all_events",), ("installation",), ("request_name", "alpha", "r"), ("scheduled", "alpha")),
    *(("due",), ("action_name", "alpha", "a")),
)
LONE: Final = (("jobs_in", "alpha", "pending"), *(case for case in SUBMITTED if case[0] not in {"scheduled", "due"}))
FIRST: Final = (("ring",), ("ready_actions", "beta"), ("events", "beta"), ("workspace", "beta"))
CLAIMED: Final = (
    ("running", "alpha"),
    ("leases",),
    ("claimed", "w"),
    ("jobs_in", "alpha", "running"),
    ("starts", "alpha"),
)
SPENT: Final = (
    *(("spendings", "alpha", "messages_out"), ("units", "alpha", "messages_out")),
    *(("promises", "alpha", "messages_out"), ("budgets",), ("events", "alpha")),
)
SETTLED: Final = (("ended",), ("jobs_in", "alpha", "completed"), ("plans_in", "alpha", "completed"), ("leases",))
HELD: Final = (("undecided",), ("approvals_in", "alpha", "pending"), ("jobs_in", "alpha", "held"))
ASKED: Final = (
    *(("undecided",), ("approvals_in", "alpha", "pending"), ("jobs_in", "alpha", "held")),
    ("plans_in", "alpha", "awaiting_approval"),
)
DRAFTED: Final = (("drafts",), ("plans_in", "alpha", "draft"))


def _submit(world: World, _: list[Lease]) -> Awaitable[Any]:
    jobs = (world.job("s1"), world.job("s2", not_before=world.at(60)))
    return world.submit(*jobs, claims=[request_claim("r"), action_claim("a")])


def _hold(world: World, leases: list[Lease]) -> Awaitable[Any]:
    job = leases[0].job
    approval = world.approval(job.plan_id, job.job_id)
    return world.dispatcher.hold(leases[0].ref, HeldFor.APPROVAL, "look", approval)


VERBS: Final[dict[str, tuple[Callable[[World, list[Lease]], Awaitable[Any]], tuple[tuple[str, ...], ...]]]] = {
    "submit": (_submit, SUBMITTED),
    "submit one": (lambda world, _: world.submit(claims=[request_claim("r"), action_claim("a")]), LONE),
    "ask first": (lambda world, _: world.submit(world.job("s1"), world.job("s2", "s1"), approved=False), ASKED),
    "submit first": (lambda world, _: world.submit(who=BETA), FIRST),
    "claim": (lambda world, _: world.claim(1, "w", caps={"alpha": {"*": Cap(per_minute=9)}}), CLAIMED),
    "dispatch": (lambda world, leases: world.dispatcher.dispatch([leases[0].ref], {leases[0].ref: SPENDING}), SPENT),
    "settle": (lambda world, leases: world.dispatcher.settle([Settlement(leases[0].ref, done())]), SETTLED),
    "hold": (_hold, HELD),
    "draft": (lambda world, _: world.alpha.draft(world.plan()), DRAFTED),
    "fail": (
        lambda world, leases: world.dispatcher.settle([Settlement(leases[1].ref, failure())]),
        (("jobs_in", "alpha", "cancelled"), ("jobs_in", "alpha", "failed"), ("jobs_in", "alpha", "waiting")),
    ),
}
CASES: Final = [(verb, *damaged) for verb, (_, keys) in VERBS.items() for damaged in keys]


@pytest.mark.parametrize("case", CASES, ids="-".join)
async def test_w15_a_key_of_the_wrong_type_stops_a_verb_before_it_writes(
    world: World, raw: Any, case: tuple[str, ...]
) -> None:
    """Refused, and not a byte has changed; mended, the same verb works."""
    verb, kind, *parts = case
    call, name = VERBS[verb][0], key(kind, *parts)
    await world.submit()
    await world.submit(world.job("s1"), world.job("s2", "s1"))
    leases = list(await world.claim())
    await world.submit()
    kept = raw.dump(name)
    raw.delete(name)
    raw.rpush(name, "damage") if kind in STRINGS else raw.set(name, "damage")
    before = sorted(everything(raw))
    with pytest.raises(StoreUnavailable):
        await call(world, leases)
    assert sorted(everything(raw)) == before
    raw.delete(name)
    if kept is not None:
        raw.restore(name, 0, kept)
    await call(world, leases)


async def test_w15_what_only_older_versions_read_stops_a_submit_as_well(world: World, raw: Any) -> None:
    """While an older process may be at work its lists are kept, and refuse before anything is written."""
    raw.hdel(key("schema"), "lean")
    for name in (key("jobs", "alpha"), key("plans", "alpha"), key("home")):
        raw.set(name, "damage")
        before = sorted(everything(raw))
        with pytest.raises(StoreUnavailable):
            await world.submit()
        assert sorted(everything(raw)) == before
        raw.delete(name)
        await world.submit()


async def test_w43_a_damaged_record_is_shown_as_far_as_it_can_be_read(world: World, raw: Any) -> None:
    """One job whose record cannot be read hides no other; it is listed with what it is, and says so."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    one, two, three = submitted.job_ids
    raw.hset(key("job", "alpha", one), mapping={"history": "{", "enqueued_at": "x", "held_for": "fun"})
    raw.delete(key("job", "alpha", three))
    jobs = (await world.alpha.list_jobs(limit=10)).jobs
    assert [job.job_id for job in jobs] == [two, one]
    assert jobs[1].error is not None
    assert (jobs[1].error.code, jobs[1].step_id) == ("unreadable_record", "s1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("document", "{"),
        ("status", "finished"),
        ("created_at", "x"),
        ("finished_at", "soon"),
        ("finished_at", "9" * 400),
    ],
)
async def test_w43_a_damaged_plan_or_question_hides_no_other(world: World, raw: Any, field: str, value: str) -> None:
    """Both lists show the others, and the damaged one as far as it can be read."""
    (one, first), (two, second) = await asking(world), await asking(world)
    damaged = {"document": "detail", "finished_at": "decided_at"}.get(field, field)
    raw.hset(key("plan", "alpha", one.plan_id), field, value)
    if damaged != "status":  # it is listed by its status
        raw.hset(key("approval", "alpha", first), damaged, value)
    plans = (await world.alpha.list_plans(limit=9)).plans
    assert [plan.plan_id for plan in plans] == [two.plan_id, one.plan_id]
    assert "cannot be read" in plans[1].document["intent"]
    approvals = (await world.alpha.list_approvals(limit=9)).approvals
    assert [approval.approval_id for approval in approvals] == [second, first]


UNREADABLE: Final = (
    *(("spec", "2 x"), ("fence", "x"), ("attempts", "x"), ("history", "{"), ("labels", "x"), ("started_at", "soon")),
    *(("carried", "1"), ("depends_on", b"\xff"), ("dispatched_at", "soon")),
)


@pytest.mark.parametrize(("field", "value"), UNREADABLE, ids=str)
async def test_w43_a_ready_job_that_cannot_be_read_stops_nobody_elses(
    world: World, raw: Any, field: str, value: Any
) -> None:
    """The others are claimed and run; it waits for a person, who settles it, unless a worker can do without what is damaged."""
    damaged, one, other = await world.submit(), await world.submit(), await world.submit(who=BETA)
    raw.hset(key("job", "alpha", damaged.job_ids[0]), field, value)
    taken = {lease.job.job_id: lease for lease in await world.claim()}
    for job_id in (*one.job_ids, *other.job_ids):
        assert (await world.run(job_id)).status is JobStatus.COMPLETED
    job = await world.job_of(damaged.job_ids[0])
    if job.job_id in taken:
        assert field == "carried"
        return
    assert job.status is JobStatus.UNKNOWN
    assert job.error is not None
    assert job.error.code == "unreadable_record"
    assert (await world.alpha.resolve_job(job.job_id, "failed", "looked")).status is JobStatus.FAILED
    assert await world.claim() == ()


@pytest.mark.parametrize(("field", "value"), [("spec", "2 x"), ("history", "{"), ("fence", "x")])
async def test_w43_a_lost_lease_whose_job_cannot_be_read_stops_no_sweep(
    world: World, raw: Any, clock: FakeClock, field: str, value: str
) -> None:
    """The others come back; it waits for a person."""
    damaged, other = await world.submit(), await world.submit()
    await world.claim()
    raw.hset(key("job", "alpha", damaged.job_ids[0]), field, value)
    clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost == 1
    assert (await world.job_of(other.job_ids[0])).status is JobStatus.PENDING
    assert (await world.job_of(damaged.job_ids[0])).status is JobStatus.UNKNOWN
    assert (await world.dispatcher.sweep()).leases_lost == 0


@pytest.mark.parametrize("field", ["lease_until", "dispatched_at", "started_at", "spec"])
async def test_w43_a_running_job_that_is_damaged_stops_nobody_in_its_batch(world: World, raw: Any, field: str) -> None:
    """Those that are dispatched and settled together with it end as they should."""
    damaged, other = await world.submit(), await world.submit()
    refs = [lease.ref for lease in await world.claim()]
    raw.hset(key("job", "alpha", damaged.job_ids[0]), field, "x")
    await world.dispatcher.dispatch(refs)
    await world.dispatcher.settle([Settlement(ref, done()) for ref in refs])
    assert (await world.job_of(other.job_ids[0])).status is JobStatus.COMPLETED
