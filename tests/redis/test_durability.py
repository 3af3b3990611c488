"""How sure the record of an effect is before the effect, and which servers are refused because they would lose work."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from steward.action import Effect, RetryMode
from steward.errors import ConfigurationError, StoreUnavailable
from steward.event import Event
from steward.ids import IdFactory
from steward.spending import Spending
from steward.work_store import Granted, Refused
from steward.work_stores.redis import open_redis_engine
from steward.work_stores.redis.durability import EffectSafety
from steward.workspace import Budget
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Start = Callable[..., RedisServer]
SPENDING = Spending(budgets={"messages_out": Budget(limit=9, window_s=3600)})


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a way to start servers with options."""
    started: list[RedisServer] = []

    def begin(*options: str) -> RedisServer:
        started.append(RedisServer(*options))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


def _waits(server: RedisServer) -> int:
    client = server.client()
    calls = client.info("commandstats").get("cmdstat_waitaof", {"calls": 0})["calls"]
    client.close()
    return calls


@pytest.mark.parametrize(
    ("effect", "retry", "waits"),
    [
        (Effect.WRITE, RetryMode.NONE, 1),
        (Effect.WRITE, RetryMode.KEYED, 0),
        (Effect.WRITE, RetryMode.PROBE, 1),
        (Effect.READ, RetryMode.NONE, 0),
    ],
)
async def test_what_must_not_be_forgotten_is_on_disk_before_it_happens(
    start: Start, clock: FakeClock, effect: Effect, retry: RetryMode, waits: int
) -> None:
    """Where the server writes to disk once a second, a dispatch waits for it, but for a keyed one, whose repeat is the
    same.
    """
    server = start("--appendonly", "yes", "--appendfsync", "everysec")
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        submitted = await world.submit(world.job(effect=effect, retry=retry))
        await world.run(submitted.job_ids[0])
    assert _waits(server) == waits


async def test_a_record_that_a_server_came_back_without_is_no_record(start: Start, clock: FakeClock) -> None:
    """Where the power fails between the record and the wait for the disk, the effect may not happen, however soon Redis is back."""
    server = start("--appendonly", "yes", "--appendfsync", "everysec")
    (file,) = (server.folder / "appendonlydir").glob("*.incr.aof")
    on_disk: list[bytes] = []

    def the_power_fails(event: Event) -> None:
        if event.type == "job.dispatched":
            server.kill()
            file.write_bytes(on_disk[0])
            server.start()

    ids = IdFactory(clock)
    async with open_redis_engine(server.url(), clock=clock, ids=ids, sinks=[the_power_fails]) as engine:
        world = World(engine, clock)
        submitted = await world.submit(world.job(effect=Effect.WRITE, retry=RetryMode.NONE))
        lease = await world.start(submitted.job_ids[0])
        on_disk.append(file.read_bytes())
        with pytest.raises(StoreUnavailable):
            await world.dispatch(lease)


@pytest.mark.parametrize(("fsync", "safety"), [("always", "strict"), ("everysec", "fast")])
async def test_nobody_waits_where_there_is_nothing_to_wait_for(
    start: Start, clock: FakeClock, fsync: str, safety: EffectSafety
) -> None:
    """A server that writes through needs no waiting, and ``fast`` wants none."""
    server = start("--appendonly", "yes", "--appendfsync", fsync)
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock), safety=safety) as engine:
        world = World(engine, clock)
        await world.run((await world.submit()).job_ids[0])
    assert _waits(server) == 0


@pytest.mark.parametrize(
    ("options", "safety", "named"),
    [
        (("--appendonly", "no"), "strict", "appendonly"),
        (("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"), "strict", "maxmemory-policy allkeys-lru"),
        (("--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"), "fast", "maxmemory-policy volatile-ttl"),
    ],
)
async def test_w22_a_server_that_would_lose_work_is_refused(
    start: Start, clock: FakeClock, options: tuple[str, ...], safety: EffectSafety, named: str
) -> None:
    """With one sentence that names the setting of Redis and what to do."""
    server = start(*options)
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock), safety=safety):
            pass
    assert named in refused.value.detail


@pytest.mark.parametrize("spends", [False, True])
@pytest.mark.parametrize("retry", [RetryMode.NONE, RetryMode.PROBE])
async def test_of_two_who_were_given_the_same_fence_one_begins(
    start: Start, clock: FakeClock, retry: RetryMode, spends: bool
) -> None:
    """The power takes a claim, and the job is claimed anew under the same fence: whose claim was forgotten has no effect."""
    server = start("--appendonly", "yes", "--appendfsync", "everysec")
    (file,) = (server.folder / "appendonlydir").glob("*.incr.aof")
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        (job_id,) = (await world.submit(world.job(retry=retry))).job_ids
        with closing(server.client()) as raw:  # while it flushes, a server keeps back what it would write
            raw.set("mark", 1)
            raw.execute_command("WAITAOF", 1, 0, 15_000)
        on_disk = file.read_bytes()
        forgotten = await world.start(job_id)
        server.kill()
        file.write_bytes(on_disk)
        server.start()
        clock.advance(1)
        lease = await world.start(job_id)
        assert lease.ref == forgotten.ref
        budget = {forgotten.ref: SPENDING} if spends else {}
        for _ in range(2):
            (answer,) = await engine.dispatcher.dispatch([forgotten.ref], budget)
            assert answer == Refused("fence")
            (answer,) = await engine.dispatcher.dispatch([lease.ref], budget)
            assert isinstance(answer, Granted)
