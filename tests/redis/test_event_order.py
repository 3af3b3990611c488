"""The order of events over all workspaces is kept in runs, one for each script; readers see single events."""

import itertools
from contextlib import closing
from typing import Any

import pytest

from steward.event import EventType, event_id
from steward.work_store import MIN_RETENTION_S
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World, done
from tests.redis.history import live

pytestmark = pytest.mark.anyio


async def test_reading_can_go_on_after_any_event(engine: RedisWorkEngine, world: World) -> None:
    """Whatever position a reader stopped at, also within a run, and however little it takes at once: no event twice, none missing."""
    await live(world)
    await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    await world.submit(world.job("s1"), world.job("s2"), who=BETA)
    await world.claim()
    every = await engine.dispatcher.events_after(0, limit=1000)
    assert all(one.position < two.position for one, two in itertools.pairwise(every))
    for number, event in enumerate(every, 1):
        assert await engine.dispatcher.events_after(event.position, limit=1000) == every[number:]
        assert await engine.dispatcher.events_after(event.position, limit=3) == every[number : number + 3]


async def test_runs_go_with_the_last_of_their_events(
    engine: RedisWorkEngine, world: World, raw: Any, clock: FakeClock
) -> None:
    """After a purge no run is left whose events are all gone, and those of plans that stay can still be read."""
    ended = [await world.submit(), await world.submit()]
    for submitted in ended:
        await world.run(submitted.job_ids[0])
    clock.advance(MIN_RETENTION_S + 1)
    staying = await world.submit()
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == len(ended)
    left = await engine.dispatcher.events_after(0, limit=1000)
    assert {event.plan_id for event in left} == {staying.plan_id}
    assert raw.xlen(key("all_events")) == 1


async def test_a_purge_within_runs_leaves_full_pages(engine: RedisWorkEngine, world: World, clock: FakeClock) -> None:
    """Where half of each run is gone, a reader who asks for so many events gets so many, as long as there are as many."""
    gone, staying = [await world.submit() for _ in range(3)], [await world.submit() for _ in range(3)]
    leases = await world.claim(limit=6)  # whose six events are one run
    for lease in leases:
        if lease.job.plan_id in {submitted.plan_id for submitted in gone}:
            await world.dispatch(lease)
            await world.settle(lease, done())
    clock.advance(MIN_RETENTION_S + 1)
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == len(gone)
    left = await engine.dispatcher.events_after(0, limit=1000)
    assert {event.plan_id for event in left} == {submitted.plan_id for submitted in staying}
    for limit in range(1, len(left) + 1):
        assert await engine.dispatcher.events_after(0, limit=limit) == left[:limit]


async def test_an_event_is_read_at_its_own_place_alone(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """A number that a power cut took from one event and that another one was given later does not stand for the first any more."""
    await world.submit()
    (event,) = await engine.dispatcher.events_after(0, limit=10)
    log = key("events", "alpha")
    ((at, fields),) = raw.xrange(log)
    raw.delete(log)
    raw.xadd(log, {**fields, b"position": event.position + 1_000_000}, id=at)
    assert await engine.dispatcher.events_after(0, limit=10) == ()


async def test_an_event_is_read_by_its_names_where_its_fields_stand_in_another_order(
    engine: RedisWorkEngine, world: World, raw: Any
) -> None:
    """Whoever wrote it, and whatever else it says: the archive and the workspace's readers see what they saw before."""
    await live(world)
    every = await engine.dispatcher.events_after(0, limit=1000)
    shown = await world.alpha.events_after(event_id(0), limit=1000)
    for log in (key("events", "alpha"), key("events", "beta")):
        entries = raw.xrange(log)
        raw.delete(log)
        for at, fields in entries:
            kind = {b"type": fields.pop(b"type")}
            raw.xadd(log, {**kind, **dict(reversed(fields.items())), b"more": b"said"}, id=at)
    assert await engine.dispatcher.events_after(0, limit=1000) == every
    assert await world.alpha.events_after(event_id(0), limit=1000) == shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", "{"),
        ("data", "[]"),
        ("data", b"\xff"),
        ("at", "soon"),
        ("at", "9" * 15),
        ("plan_id", b"\xff"),
        ("position", None),
    ],
)
async def test_w43_an_event_by_the_way_that_cannot_be_read_is_told_of(
    engine: RedisWorkEngine, world: World, raw: Any, field: str, value: str | bytes | None
) -> None:
    """It could have been anything; one beside it that can be read and tells nothing is left out."""
    await world.submit(world.job("s1"), world.job("s2"))
    await world.claim()
    await world.submit()
    log = key("events", "alpha")
    entries = raw.xrange(log)
    raw.delete(log)
    for number, (at, fields) in enumerate(entries, 1):
        told = {name: said for name, said in fields.items() if name != field.encode()}
        raw.xadd(log, fields if number != 2 else told | ({} if value is None else {field: value}), id=at)
    found = await engine.dispatcher.events_after(0, limit=1000)
    assert [event.type for event in found] == [
        *(EventType.PLAN_SUBMITTED, EventType.UNREADABLE, EventType.PLAN_SUBMITTED),
    ]


async def test_of_the_order_no_more_is_read_than_a_few_events_need(
    engine: RedisWorkEngine, world: World, raw: Any
) -> None:
    """A run has many events where there is much to read, and what tells of runs that come later is read when they do."""
    for _ in range(20):
        await world.submit(*[world.job(f"s{number}") for number in range(3)])
        await world.claim()
    asked = []
    with closing(raw.client()) as other, raw.monitor() as watch:
        page = await engine.dispatcher.events_after(0, limit=20)
        other.echo("that was it")
        while (seen := watch.next_command()["command"]) != "ECHO that was it":
            asked += [int(seen.rsplit(" ", 1)[1])] if seen.startswith(f"XRANGE {key('all_events')} ") else []
    assert len(page) == 20
    assert asked
    assert max(asked) <= 20 / 2


async def test_many_events_are_read_a_few_at_a_time(engine: RedisWorkEngine, world: World) -> None:
    """More events of one workspace than one command tells come whole and in order, with another's among them."""
    for who in (None, BETA, None):
        for _ in range(130):
            await (world.submit() if who is None else world.submit(who=who))
    found = await engine.dispatcher.events_after(0, limit=1000)
    assert [event.workspace_id for event in found] == ["alpha"] * 130 + ["beta"] * 130 + ["alpha"] * 130
    assert all(one.position < two.position for one, two in itertools.pairwise(found))


async def test_positions_go_on_above_what_was_given_out_whatever_the_servers_clock_says(
    engine: RedisWorkEngine, world: World, raw: Any
) -> None:
    """A clock that was ahead once stays behind what is known: no event is told at a position twice, or below another."""
    raw.hset(key("installation"), "position", 2**52)
    for _ in range(3):
        await world.submit()
    await world.submit(world.job("s1"), world.job("s2"))
    await world.run((await world.submit()).job_ids[0])
    told = [event.position - 2**52 for event in await engine.dispatcher.events_after(0, limit=1000)]
    assert told == [1, 2, 3, 4, 5, 12, 13, 14]  # between them are six that were claimed, which is not told
