"""Whatever stands in a field of one record, the records beside it go on: each verb that takes many passes by the damage."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from steward.caps import NO_CAPS
from steward.event import EventType, event_id
from steward.ids import IdFactory
from steward.job import LEASE_S, HandedBack, HeldFor, JobStatus, Outcome
from steward.plan import PlanStatus
from steward.work_store import Granted, Refused, Settlement, Submitted
from steward.work_stores.redis import RedisWorkEngine, open_redis_engine
from steward.work_stores.redis.keys import key
from steward.workspace import Cap
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, Ear, World, done, doubt, failure
from tests.redis_server import everything, shared_server

pytestmark = pytest.mark.anyio

HUGE: Final = b"9" * 400
NO_TEXT: Final = b"\xff\xfe"
CAPS: Final = {"alpha": {"*": Cap(per_minute=9)}}
"""With them each claim takes the full way."""
MONTH_S: Final = 30 * 24 * 3600
ear: Final = Ear()


@pytest.fixture
async def engine(database: int, clock: FakeClock) -> AsyncIterator[RedisWorkEngine]:
    """Open an engine of which somebody in the process hears every event."""
    ear.heard.clear()
    url, ids = shared_server().url(database), IdFactory(clock)
    async with open_redis_engine(url, clock=clock, ids=ids, safety="fast", sinks=[ear]) as opened:
        yield opened


def _damage(raw: Any, job_id: str, field: str, value: bytes | None) -> None:
    """Write this into a field of a job, or take the field out."""
    name = key("job", "alpha", job_id)
    if value is None:
        raw.hdel(name, field)
    else:
        raw.hset(name, field, value)


async def _three(world: World) -> tuple[Submitted, Submitted, Submitted]:
    """Return two plans of a workspace and one of another."""
    return await world.submit(), await world.submit(), await world.submit(who=BETA)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("fence", HUGE),
            ("fence", b"9007199254740993"),
            ("attempts", HUGE),
            ("attempts", b"nan"),
            ("attempts", b"1e999"),
        ),
        *(("claimed_at", HUGE), ("claimed_at", b"inf"), ("lease_until", None), ("spent", b"[1]"), ("history", b"[1]")),
        *(("workspace_id", b"beta"), ("job_id", NO_TEXT), ("spec", b"2 - \xff a b read none 1 1 1 1 r d d")),
    ],
    ids=str,
)
async def test_w43_no_field_of_a_lost_job_stops_the_sweep(
    world: World, raw: Any, clock: FakeClock, field: str, value: bytes | None
) -> None:
    """The others come back in the same sweep, and the damaged one is met once."""
    damaged, one, other = await _three(world)
    await world.claim()
    _damage(raw, damaged.job_ids[0], field, value)
    clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost >= 2
    assert (await world.job_of(one.job_ids[0])).status is JobStatus.PENDING
    assert (await world.job_of(other.job_ids[0], BETA)).status is JobStatus.PENDING
    if field in {"fence", "attempts"}:
        assert (await world.job_of(damaged.job_ids[0])).status is JobStatus.UNKNOWN
    assert (await world.dispatcher.sweep()).leases_lost == 0
    await world.claim()


@pytest.mark.parametrize("value", [HUGE, b"9007199254740993", b"-1", b"0x10", b"1e3", b"nan"], ids=str)
@pytest.mark.parametrize("field", ["fence", "attempts"])
@pytest.mark.parametrize("slowly", [False, True])
async def test_w43_a_number_that_cannot_be_reckoned_with_is_not_counted_on(
    world: World, raw: Any, field: str, value: bytes, slowly: bool
) -> None:
    """A fence that would be the same after one more claim is nobody's: the job waits for a person, whichever script meets it."""
    (job_id,) = (await world.submit()).job_ids
    _damage(raw, job_id, field, value)
    assert await world.claim(caps=CAPS if slowly else NO_CAPS) == ()
    assert (await world.job_of(job_id)).status is JobStatus.UNKNOWN
    assert raw.hget(key("job", "alpha", job_id), field) == value
    assert (await world.alpha.resolve_job(job_id, "failed", "looked")).status is JobStatus.FAILED


ENDS: Final[tuple[Outcome, ...]] = (done(), failure(), HandedBack(), doubt())


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("outcome", ENDS, ids=lambda outcome: type(outcome).__name__)
@pytest.mark.parametrize(
    "damage",
    [
        *(("attempts", b"x"), ("attempts", b'1,"a":\n'), ("attempts", HUGE), ("history", b"{"), ("history", b"[1]")),
        *(
            ("events", b"x"),
            ("spent", b"{"),
            ("spent", b'[1,["a"]]'),
            ("claimed_at", b"x"),
            ("claimed_at", HUGE),
            ("dispatched_at", b"x"),
            ("dispatched_at", HUGE),
        ),
        *(("workspace_id", b"beta"), ("workspace_id", b"a\nb"), ("job_id", NO_TEXT), ("step_id", NO_TEXT)),
        *(("spec", b"2 - \xff a b read none 1 1 1 1 r d d"), ("started_at", HUGE), ("enqueued_at", b"1e999")),
    ],
    ids=str,
)
async def test_w43_no_field_of_a_running_job_stops_those_in_its_batch(
    world: World, raw: Any, damage: tuple[str, bytes], outcome: Outcome, steps: int
) -> None:
    """They are dispatched and settled together with it, and whoever hears of it hears of all that was done."""
    field, value = damage
    damaged = await world.submit(*(world.job("s1"), world.job("s2", "s1")) if steps > 1 else ())
    one, other = await world.submit(), await world.submit(who=BETA)
    refs = [lease.ref for lease in await world.claim()]
    _damage(raw, damaged.job_ids[0], field, value)
    await world.dispatcher.renew(refs)
    await world.dispatcher.dispatch(refs)
    await world.dispatcher.settle([Settlement(ref, outcome) for ref in refs])
    assert (await world.job_of(one.job_ids[0])).status is not JobStatus.RUNNING
    assert (await world.job_of(other.job_ids[0], BETA)).status is not JobStatus.RUNNING
    dispatched = [event.job_id for event in ear.heard if event.type is EventType.JOB_DISPATCHED]
    assert {*one.job_ids, *other.job_ids} <= set(dispatched)
    assert len({event.position for event in ear.heard}) == len(ear.heard)
    if field not in {"spec", "step_id", "workspace_id"}:  # of which each event says something
        assert EventType.UNREADABLE not in {event.type for event in ear.heard}
    if value == b"{" and field == "history" and steps > 1:
        assert raw.hget(key("job", "alpha", damaged.job_ids[0]), field) == value
    if field == "claimed_at":
        assert (await world.job_of(damaged.job_ids[0])).history
    await world.claim()


async def test_w43_a_record_that_says_another_workspace_is_its_keys(world: World, raw: Any) -> None:
    """What a record says of whose it is opens nothing elsewhere: lease, lists and events stay where its key is."""
    submitted = await world.submit()
    (job_id,) = submitted.job_ids
    _damage(raw, job_id, "workspace_id", b"beta")
    assert set(await world.dispatcher.shown_plans([("alpha", submitted.plan_id)])) == {("alpha", submitted.plan_id)}
    assert (await world.plan_of(submitted.plan_id)).workspace_id == "alpha"
    (lease,) = await world.claim()
    assert (lease.ref.workspace_id, lease.job.workspace_id) == ("alpha", "alpha")
    await world.dispatcher.dispatch([lease.ref])
    await world.dispatcher.settle([Settlement(lease.ref, done())])
    assert (await world.alpha.list_jobs(limit=9, status=JobStatus.COMPLETED)).jobs[0].job_id == job_id
    assert not [name for name in raw.scan_iter() if b":beta" in name]
    assert {event.workspace_id for event in ear.heard} == {"alpha"}


@pytest.mark.parametrize("field", ["job_id", "plan_id"])
async def test_w43_bytes_that_are_no_text_do_not_stop_a_repair(
    world: World, raw: Any, engine: RedisWorkEngine, field: str
) -> None:
    """A name with them is compared like any other: what it stands in in error is put right."""
    (job_id,) = (await world.submit()).job_ids
    raw.hset(key("job", "alpha", job_id), field, NO_TEXT)
    await world.claim()
    raw.zadd(key("jobs_in", "alpha", "pending"), {NO_TEXT: 0})
    raw.hset(b"ai:plan:alpha:" + NO_TEXT, "events", "1")
    raw.zadd(key("leases"), {b"alpha " + NO_TEXT: 0})
    raw.zadd(b"ai:ready:alpha:" + NO_TEXT, {job_id: 0})
    raw.zadd(b"ai:ready:" + NO_TEXT + b":email.send", {job_id: 0})
    raw.zadd(b"ai:index:jobs:" + NO_TEXT, {job_id: 0})
    raw.hset(b"ai:workspace:" + NO_TEXT, "event_sequence", "7")
    assert await engine.holds_work()
    assert list((await engine.log_ends()).sequences) == ["alpha"]
    assert (await engine.mend(put_right=True)).differences
    assert not (await engine.mend(put_right=False)).differences
    assert raw.zscore(key("jobs_in", "alpha", "pending"), NO_TEXT) is None
    assert raw.zscore(key("leases"), b"alpha " + NO_TEXT) is None
    assert (await world.alpha.list_jobs(limit=9)).jobs[0].job_id == job_id


@pytest.mark.parametrize("numbers", [b"1-9007199254740993", HUGE, b"0-" + HUGE, b"1-99"])
async def test_w43_a_plan_that_says_too_many_events_takes_no_others_with_it(
    world: World, raw: Any, clock: FakeClock, numbers: bytes
) -> None:
    """It is purged in no time, and the events of plans that stay are there afterwards."""
    damaged = await world.submit(world.job("s1"), world.job("s2"))
    for job_id in damaged.job_ids:
        await world.run(job_id)
    stays = await world.submit()
    raw.hset(key("plan", "alpha", damaged.plan_id), "events", numbers)
    clock.advance(MONTH_S)
    await world.alpha.events_after(event_id(0), limit=99, plan_id=damaged.plan_id)
    assert await world.dispatcher.purge(0, archived=2**62) == 1
    left = (await world.alpha.events_after(event_id(0), limit=99)).events
    assert stays.plan_id in {event.plan_id for event in left}


async def test_w43_a_count_that_is_damaged_stops_only_its_plan(world: World, raw: Any) -> None:
    """Open jobs of a plan, and what a step still waits for: neither stops the settlements beside it."""
    counted, waiting = [await world.submit(world.job("s1"), world.job("s2", "s1")) for _ in "12"]
    other = await world.submit(who=BETA)
    refs = [lease.ref for lease in await world.claim()]
    raw.hset(key("plan", "alpha", counted.plan_id), "open_jobs", "x")
    raw.hset(key("job", "alpha", waiting.job_ids[1]), "waiting_on", "x")
    await world.dispatcher.dispatch(refs)
    await world.dispatcher.settle([Settlement(ref, done()) for ref in refs])
    assert (await world.job_of(other.job_ids[0], BETA)).status is JobStatus.COMPLETED
    assert await world.statuses(counted) == [JobStatus.COMPLETED, JobStatus.PENDING]
    assert await world.statuses(waiting) == [JobStatus.COMPLETED, JobStatus.WAITING]


async def test_w43_a_plan_whose_count_is_damaged_stops_no_settlement_in_short(world: World, raw: Any) -> None:
    """The same where each step stands for itself."""
    counted, other = await world.submit(world.job("s1"), world.job("s2")), await world.submit(who=BETA)
    refs = [lease.ref for lease in await world.claim()]
    raw.hset(key("plan", "alpha", counted.plan_id), "open_jobs", "x")
    await world.dispatcher.settle([Settlement(ref, done()) for ref in refs])
    assert (await world.job_of(other.job_ids[0], BETA)).status is JobStatus.COMPLETED
    assert await world.statuses(counted) == [JobStatus.COMPLETED] * 2


@pytest.mark.parametrize("what", ["position of a step", "plan of a question"])
async def test_w43_an_approval_that_cannot_be_followed_stops_no_other(
    world: World, raw: Any, clock: FakeClock, what: str
) -> None:
    """What nobody decided in time is turned down everywhere else."""
    one, two = [await world.submit(world.job("s1"), world.job("s2", "s1"), approved=False) for _ in "12"]
    if what == "position of a step":
        _damage(raw, one.job_ids[0], "spec", b"2 x")
    else:
        assert one.approval_id is not None
        raw.hset(key("approval", "alpha", one.approval_id), "plan_id", "plan_nobody")
    clock.advance(MONTH_S)
    assert (await world.dispatcher.sweep()).approvals_expired == 2
    assert await world.statuses(two) == [JobStatus.CANCELLED] * 2
    assert (await world.dispatcher.sweep()).approvals_expired == 0


@pytest.mark.parametrize("history", [b"{", b"[1]", b'[{"fence":"x","outcome":"failed"}]'])
async def test_w43_a_settlement_that_is_sent_again_meets_damage_and_the_next_goes_on(
    world: World, raw: Any, history: bytes
) -> None:
    """It cannot be known any more whether this one was made: it is refused, and what came with it is settled."""
    damaged, other = await world.submit(), await world.submit(who=BETA)
    first, second = [lease.ref for lease in await world.claim()]
    await world.dispatcher.settle([Settlement(first, failure())])
    raw.hset(key("job", first.workspace_id, first.job_id), "history", history)
    refused, granted = await world.dispatcher.settle([Settlement(first, failure()), Settlement(second, failure())])
    assert isinstance(refused, Refused)
    assert isinstance(granted, Granted)
    assert {first.job_id, second.job_id} == {*damaged.job_ids, *other.job_ids}


async def test_w43_a_plan_without_its_name_or_record_hides_no_other(world: World, raw: Any) -> None:
    """The first is shown by the name of its key; an entry of the list without a record is left out."""
    one, two = [await world.submit(world.job("s1"), world.job("s2")) for _ in "12"]
    raw.hdel(key("plan", "alpha", one.plan_id), "plan_id")
    raw.zadd(key("plans_in", "alpha", "running"), {"plan_0nobody": 0})
    plans = (await world.alpha.list_plans(limit=9)).plans
    assert [plan.plan_id for plan in plans] == [two.plan_id, one.plan_id]


async def test_w43_a_draft_whose_time_cannot_be_read_hides_no_other(world: World, raw: Any) -> None:
    """Whether it has expired nobody can say; the lists of drafts and of what has expired show the others."""
    one, two = world.plan(), world.plan()
    for plan in (one, two):
        await world.alpha.draft(plan)
    raw.hset(key("plan", "alpha", one.plan_id), "expires_at", "x")
    drafts = (await world.alpha.list_plans(limit=9, status=PlanStatus.DRAFT)).plans
    assert [plan.plan_id for plan in drafts] == [two.plan_id, one.plan_id]
    assert (await world.alpha.list_plans(limit=9, status=PlanStatus.EXPIRED)).plans == ()


async def test_w43_a_question_of_a_job_that_says_another_workspace_is_asked_in_its_own(world: World, raw: Any) -> None:
    """Nothing of it is written anywhere else."""
    submitted = await world.submit()
    (lease,) = await world.claim()
    _damage(raw, submitted.job_ids[0], "workspace_id", b"beta")
    approval = world.approval(submitted.plan_id, submitted.job_ids[0])
    await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "look", approval)
    assert (await world.approval_of(approval.approval_id)).workspace_id == "alpha"
    assert not [part for part in everything(raw) if b":beta" in part]


@pytest.mark.parametrize(
    "case", [(kind, when) for kind in ("job", "plan", "both") for when in ("ready", "mended", "running", "lost")]
)
async def test_w43_what_is_no_hash_is_no_record_and_stops_nobody(
    world: World, raw: Any, clock: FakeClock, engine: RedisWorkEngine, case: tuple[str, str]
) -> None:
    """Something else stands where a job, a plan, or one that carries the other should be: those beside it are claimed, settled, swept and listed."""
    kind, when = case
    damaged = await world.submit(*() if kind == "both" else (world.job("s1"), world.job("s2")))
    one, other = await world.submit(), await world.submit(who=BETA)
    refs = [] if when in {"ready", "mended"} else [lease.ref for lease in await world.claim()]
    name = key("plan", "alpha", damaged.plan_id) if kind == "plan" else key("job", "alpha", damaged.job_ids[0])
    raw.delete(name)
    raw.set(name, "damage")
    if when == "mended":
        await engine.mend(put_right=True)
    if when == "lost":
        clock.advance(LEASE_S + 1)
        await world.dispatcher.sweep()
        await world.dispatcher.sweep()
        refs = []
    if not refs:
        refs = [lease.ref for lease in await world.claim()]
        refs += [lease.ref for lease in await world.claim()]
    await world.dispatcher.renew(refs)
    await world.dispatcher.dispatch(refs)
    await world.dispatcher.settle([Settlement(ref, done()) for ref in refs])
    assert (await world.job_of(one.job_ids[0])).status is JobStatus.COMPLETED
    assert (await world.job_of(other.job_ids[0], BETA)).status is JobStatus.COMPLETED
    assert one.job_ids[0] in [job.job_id for job in (await world.alpha.list_jobs(limit=9)).jobs]
    assert one.plan_id in [plan.plan_id for plan in (await world.alpha.list_plans(limit=9)).plans]
    await engine.mend(put_right=True)
    assert not (await engine.mend(put_right=False)).differences
    clock.advance(MONTH_S)
    await world.dispatcher.sweep()
    assert await world.dispatcher.purge(0) >= 2
    assert raw.get(name) == b"damage"


@pytest.mark.parametrize("beside", [done(), failure()], ids=["quickly", "in full"])
async def test_w43_a_plan_of_which_an_ended_step_is_no_record_ends_all_the_same(
    world: World, raw: Any, beside: Outcome
) -> None:
    """Its last step is settled, with another workspace's in the same batch."""
    damaged, other = await world.submit(world.job("s1"), world.job("s2")), await world.submit(who=BETA)
    refs = {lease.job.job_id: lease.ref for lease in await world.claim()}
    first, last = damaged.job_ids
    await world.dispatcher.settle([Settlement(refs[first], done())])
    raw.delete(key("job", "alpha", first))
    raw.set(key("job", "alpha", first), "damage")
    await world.dispatcher.settle([Settlement(refs[last], done()), Settlement(refs[other.job_ids[0]], beside)])
    assert (await world.job_of(other.job_ids[0], BETA)).finished_at is not None
    assert (await world.plan_of(damaged.plan_id)).finished_at is not None


@pytest.mark.parametrize("slowly", [False, True])
async def test_w43_a_step_whose_need_is_no_record_is_claimed_without_its_result(
    world: World, raw: Any, slowly: bool
) -> None:
    """Whoever runs it finds that nothing came of what it needs; the others are claimed with it."""
    damaged, other = await world.submit(world.job("s1"), world.job("s2", "s1")), await world.submit(who=BETA)
    refs = {lease.job.job_id: lease.ref for lease in await world.claim()}
    first, last = damaged.job_ids
    await world.dispatcher.settle([Settlement(refs[first], done()), Settlement(refs[other.job_ids[0]], done())])
    raw.delete(key("job", "alpha", first))
    raw.set(key("job", "alpha", first), "damage")
    one = await world.submit(who=BETA)
    taken = {lease.job.job_id: lease for lease in await world.claim(caps=CAPS if slowly else NO_CAPS)}
    assert {last, *one.job_ids} <= set(taken)
    assert taken[last].inputs_sealed == {"s1": None}
