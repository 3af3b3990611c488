"""``WorkEngine`` over Redis: one opened server, from which both faces come."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from steward.clock import Clock
from steward.event import EventSink, LogEnds
from steward.identity import Principal
from steward.ids import IdFactory
from steward.key_schema import ReadSink
from steward.work_stores.redis import moving
from steward.work_stores.redis.company import Company
from steward.work_stores.redis.dispatcher import RedisDispatcher
from steward.work_stores.redis.durability import Durability, EffectSafety, open_durability
from steward.work_stores.redis.lean import begin_lean
from steward.work_stores.redis.legacy.migrating import Migrator
from steward.work_stores.redis.legacy.phases import SchemaStart, start
from steward.work_stores.redis.legacy.schema import RedisKeySchema
from steward.work_stores.redis.mending import Mended, mend
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.store import RedisWorkStore, Shared

_FEW_KEYS: Final = 40_000


class RedisWorkEngine:
    """``WorkEngine`` over Redis."""

    def __init__(self, shared: Shared, durability: Durability) -> None:
        """Use an open server."""
        self._shared = shared
        self.key_schema = RedisKeySchema(Migrator(shared.server, shared.ids))
        """Where the migration from the older software's keys stands."""
        self._dispatcher = RedisDispatcher(shared, durability)

    def open(self, principal: Principal) -> RedisWorkStore:
        """Return the work of the principal's workspace."""
        return RedisWorkStore(self._shared, principal)

    @property
    def dispatcher(self) -> RedisDispatcher:
        """The installation's face."""
        return self._dispatcher

    async def ping(self) -> None:
        """Return if Redis answers."""
        await self._shared.server.send("PING")

    async def holds_work(self) -> bool:
        """Say whether anything is under way here, or a request would be known again."""
        return await moving.holds_work(self._shared.server)

    async def log_ends(self) -> LogEnds:
        """Return where the log stands."""
        return await moving.log_ends(self._shared.server)

    async def continue_after(self, ends: LogEnds) -> None:
        """Let the log go on after another one."""
        await moving.continue_after(self._shared.server, ends)

    async def mend(self, *, put_right: bool = True) -> Mended:
        """Compare whatever is derived with the records, put it right unless told only to look, and return what differed."""
        return await mend(self._shared.server, put_right=put_right)

    async def is_small(self) -> bool:
        """Say whether all records can be looked at in a few seconds."""
        databases = await self._shared.server.send("INFO", "keyspace")
        return sum(one["keys"] for one in databases.values()) <= _FEW_KEYS


@asynccontextmanager
async def open_redis_engine(
    url: str,
    *,
    clock: Clock,
    ids: IdFactory,
    safety: EffectSafety = "strict",
    sinks: Sequence[EventSink] = (),
    schema: SchemaStart | None = None,
    reads: ReadSink | None = None,
    looking: bool = False,
) -> AsyncIterator[RedisWorkEngine]:
    """Open an engine on the server at ``url`` and finally close its connections.

    ``schema``: settle the phase of the key schema and take over what the older software left; ``reads`` is told which
    records answer; ``looking``: leave a Redis that holds no work yet as it is.

    Raises ``ConfigurationError`` for a server that would lose work, ``StoreUnavailable`` for one that is away.
    """
    server = Server(url, clock, sinks)
    try:
        server.statistics.sink = reads
        await server.open()
        durability = await open_durability(server, safety)
        if not looking:
            await begin_lean(server)
        if schema is not None:
            server.statistics.phase = await start(Migrator(server, ids), schema)
        yield RedisWorkEngine(Shared(server, ids, Company(server)), durability)
    finally:
        await server.aclose()
