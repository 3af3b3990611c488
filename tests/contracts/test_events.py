"""The log: facts in the order they were committed, resumable, narrow where asked, honest about what is gone."""

import itertools

import pytest

from steward.errors import StewardError
from steward.event import BY_THE_WAY, Event, EventType, event_id, event_sequence
from steward.ids import IdFactory
from steward.work_store import RETENTION_S
from tests.conftest import FakeClock
from tests.contracts.backends import Backend
from tests.contracts.builders import BETA, Ear, World, again, failure

pytestmark = pytest.mark.anyio


async def _history(world: World) -> None:
    """Let several plans live and end, in two workspaces."""
    first = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.submit(who=BETA)
    await world.run(first.job_ids[0], again(world.at(1)))
    world.clock.advance(2)
    await world.run(first.job_ids[0])
    await world.run(first.job_ids[1], failure())
    second = await world.submit(world.job("s1"), approved=False)
    await world.alpha.cancel_plan(second.plan_id)


async def test_ids_grow_by_one_in_order_of_commit(world: World) -> None:
    """Within a workspace the sequence has no gap and no repeat, and times never go back."""
    await _history(world)
    events = await world.log()
    numbers = [event_sequence(event.event_id) for event in events]
    assert numbers == list(range(1, len(events) + 1))
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert {event.workspace_id for event in events} == {"alpha"}


async def test_the_story_of_a_job(world: World) -> None:
    """A job's events tell its life in order: started, dispatched, to be retried, released, started, dispatched, done."""
    submitted = await world.submit()
    await world.run(submitted.job_ids[0], again(world.at(1)))
    world.clock.advance(2)
    await world.run(submitted.job_ids[0])
    assert await world.kinds(submitted.job_ids[0]) == [
        EventType.JOB_STARTED,
        EventType.JOB_DISPATCHED,
        EventType.JOB_RETRY_SCHEDULED,
        EventType.JOB_RELEASED,
        EventType.JOB_STARTED,
        EventType.JOB_DISPATCHED,
        EventType.JOB_COMPLETED,
    ]
    assert (await world.log())[-1].type is EventType.PLAN_COMPLETED
    by_worker = [event for event in await world.log() if event.type is EventType.JOB_STARTED]
    assert {event.actor_id for event in by_worker} == {None}


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
async def test_a_reader_resumes_after_the_last_id_it_saw(world: World, limit: int) -> None:
    """Reading page by page from last_event_id gives every event once, and then nothing until more happens."""
    await _history(world)
    everything = await world.log()
    seen: list[Event] = []
    last = event_id(0)
    while page := await world.alpha.events_after(last, limit=limit):
        assert not page.gap
        assert len(page.events) <= limit
        if not page.events:
            break
        seen += page.events
        last = page.last_event_id
        assert last == page.events[-1].event_id
    assert tuple(seen) == everything
    assert page.last_event_id == last
    await world.submit()
    assert [event.type for event in (await world.alpha.events_after(last, limit=9)).events] == [
        EventType.PLAN_SUBMITTED
    ]


async def test_without_an_id_only_the_newest_is_named(world: World) -> None:
    """None gives no events but where the log ends; going on from there gives what follows, also from an empty log."""
    empty = await world.alpha.events_after(None, limit=10)
    assert (empty.events, empty.gap) == ((), False)
    await _history(world)
    everything = await world.log()
    from_empty = await world.alpha.events_after(empty.last_event_id, limit=1000)
    assert (from_empty.events, from_empty.gap) == (everything, False)
    newest = await world.alpha.events_after(None, limit=10)
    assert (newest.events, newest.gap, newest.last_event_id) == ((), False, everything[-1].event_id)


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_a_plan_filter_narrows_and_still_moves_on(world: World, limit: int) -> None:
    """Filtered, a reader gets exactly the plan's events and ends where the log ends, also if all were filtered out."""
    wanted = await world.submit(world.job("s1"), world.job("s2"))
    await _history(world)
    await world.run(wanted.job_ids[0])
    await _history(world)
    everything = await world.log()
    for plan_id in (wanted.plan_id, world.ids.new("plan")):
        seen: list[Event] = []
        last = event_id(0)
        for _ in range(len(everything) + 2):
            page = await world.alpha.events_after(last, limit=limit, plan_id=plan_id)
            assert len(page.events) <= limit
            seen += page.events
            if (last := page.last_event_id) == everything[-1].event_id:
                break
        assert seen == [event for event in everything if event.plan_id == plan_id]
        assert last == everything[-1].event_id


async def test_w47_another_workspaces_plan_is_a_filter_that_lets_nothing_through(world: World) -> None:
    """Whoever narrows the own log to a foreign plan sees nothing of it, and ends where the own log ends."""
    foreign = await world.submit(world.job("s1"), world.job("s2"))
    await world.submit(who=BETA)
    store = world.engine.open(BETA)
    own = await store.events_after(None, limit=1)
    page = await store.events_after(event_id(0), limit=100, plan_id=foreign.plan_id)
    assert (page.events, page.last_event_id) == ((), own.last_event_id)


async def test_workspaces_count_for_themselves(world: World) -> None:
    """What happens in one workspace neither shows nor leaves holes in another's numbers."""
    await _history(world)
    for who in (BETA, world.alpha.principal):
        numbers = [event_sequence(event.event_id) for event in await world.log(who)]
        assert numbers == list(range(1, len(numbers) + 1))
    assert {event.workspace_id for event in await world.log(BETA)} == {"beta"}


async def test_a_refused_verb_appends_nothing(world: World) -> None:
    """After an error, or a refusal, the log is what it was and no sink was told."""
    submitted = await world.submit()
    await world.run(submitted.job_ids[0])
    before = await world.log()
    with pytest.raises(StewardError):
        await world.alpha.cancel_job(submitted.job_ids[0])
    with pytest.raises(StewardError):
        await world.alpha.cancel_plan(submitted.plan_id)
    assert await world.log() == before


async def test_a_reader_who_was_away_too_long_is_told_of_the_gap(world: World) -> None:
    """After a purge, whoever stood before what is gone gets ``gap``; whoever had read it all does not."""
    gone = await world.submit()
    await world.run(gone.job_ids[0])
    read_it_all = (await world.alpha.events_after(None, limit=1)).last_event_id
    world.clock.advance(RETENTION_S + 1)
    await world.submit()
    assert await world.dispatcher.purge(RETENTION_S) == 1
    for missed in (event_id(0), event_id(1)):
        page = await world.alpha.events_after(missed, limit=100)
        assert page.gap
        assert not (await world.alpha.events_after(page.last_event_id, limit=100)).gap
    page = await world.alpha.events_after(read_it_all, limit=100)
    assert not page.gap
    assert [event.type for event in page.events] == [EventType.PLAN_SUBMITTED]


async def test_a_gap_in_the_middle_is_a_gap(world: World) -> None:
    """Something live may be older than what was purged: a reader who stood between them has missed events."""
    await world.submit()
    stood = (await world.alpha.events_after(None, limit=1)).last_event_id
    gone = await world.submit()
    await world.run(gone.job_ids[0])
    world.clock.advance(RETENTION_S + 1)
    await world.dispatcher.purge(RETENTION_S)
    assert (await world.alpha.events_after(stood, limit=100)).gap


async def test_numbers_go_on_after_everything_was_purged(world: World) -> None:
    """A purge of all there was does not start the numbers anew: no id ever stands for two facts."""
    gone = await world.submit()
    await world.run(gone.job_ids[0])
    last = (await world.alpha.events_after(None, limit=1)).last_event_id
    world.clock.advance(RETENTION_S + 1)
    await world.dispatcher.purge(RETENTION_S)
    await world.submit()
    page = await world.alpha.events_after(last, limit=10)
    assert not page.gap
    assert [event_sequence(event.event_id) for event in page.events] == [(event_sequence(last) or 0) + 1]


async def test_the_installation_reads_everything_in_order_of_commit(world: World) -> None:
    """The dispatcher's reader gets all workspaces' events once, positions growing, in pages of any size.

    What is left out tells nothing, and the last event of all never is.
    """
    await _history(world)
    seen: list[Event] = []
    while page := await world.dispatcher.events_after(seen[-1].position if seen else 0, limit=4):
        seen += page
    assert all(one.position < two.position for one, two in itertools.pairwise(seen))
    for who in (BETA, world.alpha.principal):
        own = [event.event_id for event in seen if event.workspace_id == who.workspace_id]
        log = await world.log(who)
        left_out = {event.event_id for event in log if event.event_id not in own and event.type in BY_THE_WAY}
        assert own == [event.event_id for event in log if event.event_id not in left_out]
        assert not any("error_code" in event.data for event in log if event.event_id in left_out)
    await world.submit()
    await world.claim()
    assert (await world.dispatcher.events_after(seen[-1].position, limit=9))[-1].type is EventType.JOB_STARTED


async def test_sinks_are_told_what_was_committed_in_order(world: World, ear: Ear) -> None:
    """A sink hears every event of this process once, in order, by the time the verb has returned."""
    for number in range(3):
        await _history(world)
        assert len(ear.heard) > number
        for who in (BETA, world.alpha.principal):
            told = [event.event_id for event in ear.heard if event.workspace_id == who.workspace_id]
            assert told == [event.event_id for event in await world.log(who)]
    heard, (submitted, *_) = len(ear.heard), await world.log()
    with pytest.raises(StewardError):
        await world.alpha.cancel_plan(submitted.plan_id or "")
    assert len(ear.heard) == heard


async def test_sinks_are_told_after_the_commit(backend: Backend, clock: FakeClock) -> None:
    """At the moment a sink hears of a plan, somebody who looks past the engine finds it committed."""
    found: list[bool] = []

    def look(event: Event) -> None:
        found.append(backend.holds(event.plan_id or "nowhere"))

    async with backend.open(clock, IdFactory(clock), [look]) as engine:
        world = World(engine, clock)
        for _ in range(3):
            submitted = await world.submit()
            await world.run(submitted.job_ids[0])
    assert len(found) == 15
    assert all(found)


async def test_a_listener_hears_of_new_events(world: World) -> None:
    """A store's listener returns at once after something happened, and False when nothing did."""
    with world.alpha.listen() as listener:
        while await listener.wait(0.01):
            pass
        await world.submit()
        assert await listener.wait(5)
        while await listener.wait(0.01):
            pass
        assert not await listener.wait(0.01)


async def test_a_worker_hears_of_ready_jobs_from_another_process(backend: Backend, clock: FakeClock) -> None:
    """The dispatcher's listener hears of a job that another engine on the same store made ready."""
    async with backend.open(clock, IdFactory(clock)) as here, backend.open(clock, IdFactory(clock)) as there:
        with here.dispatcher.listen() as listener:
            while await listener.wait(0.01):
                pass
            await World(there, clock).submit()
            assert await listener.wait(10)
        assert len((await here.dispatcher.claim("w", limit=5)).leases) == 1


async def test_the_installations_reader_hears_of_every_workspace(world: World) -> None:
    """One listener, rung by events of any workspace; it also finds the plans that events name, whosever they are."""
    with world.dispatcher.hear_events() as listener:
        alpha = await world.submit()
        assert await listener.wait(10)
        beta = await world.submit(who=BETA)
        assert await listener.wait(10)
        assert not await listener.wait(0)
        named = {
            *(("beta", beta.plan_id), ("alpha", alpha.plan_id)),
            *(("alpha", "plan_nobody_has"), ("alpha", beta.plan_id)),
        }
        at_hand = await world.dispatcher.shown_plans(named)
    found = await world.dispatcher.shown_plans(named)
    assert found == at_hand
    plans = {"alpha": await world.plan_of(alpha.plan_id), "beta": await world.beta.get_plan(beta.plan_id)}
    assert found == {(name, plan.plan_id): plan.shown() for name, plan in plans.items() if plan is not None}
    assert len(found) == len(plans)
    assert await world.dispatcher.shown_plans([]) == {}
