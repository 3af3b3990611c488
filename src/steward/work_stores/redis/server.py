"""The Redis server behind the engine: connections, scripts, and errors in the words of the house.

A command whose answer was lost is sent again, up to three times, within the two seconds in which a 503 is due; every script
can be sent twice.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from ssl import SSLError
from typing import Any, Final

import structlog
from pydantic_core import from_json
from redis.asyncio import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as Unanswered

from steward.clock import Clock, milliseconds
from steward.errors import (
    AnotherPersonRequired,
    ApprovalMismatch,
    ApproverRoleRequired,
    ConfigurationError,
    Conflict,
    IdempotencyKeyReused,
    IdempotencyMixed,
    IllegalTransition,
    NotFound,
    PlanExpired,
    StewardError,
    StoreUnavailable,
)
from steward.event import EventSink, EventType
from steward.redis_address import redis_address
from steward.work_stores.redis.bells import Bells
from steward.work_stores.redis.connecting import Pools
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.legacy.statistics import Statistics, phase_of
from steward.work_stores.redis.line import Line
from steward.work_stores.redis.records import committed_event
from steward.work_stores.redis.scripts import script

_ANSWER_S: Final = 1.8
"""Longest time for everything that one operation takes, resending included."""
_BREATH_S: Final = 0.05
"""How long after the call that made them due counts are left."""
_PLAIN: Final = frozenset({"submit_one", "submit_ones", "submit", "claim", "dispatch", "settle", "list_jobs"})
"""Scripts whose events say of themselves at whose request they are, or are at nobody's; and the read that is asked for most."""
_REFUSALS: Final[dict[str, type[StewardError]]] = {
    kind.__name__: kind
    for kind in (
        *(AnotherPersonRequired, ApprovalMismatch, ApproverRoleRequired, Conflict, IdempotencyKeyReused),
        *(IdempotencyMixed, IllegalTransition, NotFound, PlanExpired),
    )
}
_log = structlog.get_logger("steward.redis")


def refusal(name: bytes, detail: bytes, facts: bytes) -> StewardError:
    """Return the error that a script's refusal stands for."""
    known = from_json(facts) if facts else {}
    code = known.pop("code", None)
    return _REFUSALS[name.decode()](detail.decode() or None, code=code, facts=known)


class Server:
    """One Redis server, with the clock by which its work is judged and those who hear of what was committed."""

    def __init__(self, url: str, clock: Clock, sinks: Sequence[EventSink] = ()) -> None:
        """Use the server at ``url``; nothing is sent yet."""
        self.clock = clock
        self._sinks = tuple(sinks)
        wanted = {str(kind) for sink in sinks for kind in getattr(sink, "wants", EventType)}
        self._wanted = f" {' '.join(sorted(wanted))} " if wanted else ""
        try:
            self.address = redis_address(url)
        except ValueError as error:
            raise ConfigurationError(f"REDIS_URL {error}.") from None
        self._pools = Pools(self.address, _ANSWER_S)
        self._line = Line(self._pools.waiting, ExponentialBackoff(cap=0.2, base=0.05), again=2, patience_s=_ANSWER_S)
        self._client: Any = Redis(connection_pool=self._pools.working)
        self._name = secrets.token_hex(4)
        self._leaving: asyncio.Task[None] | None = None
        self.statistics = Statistics()
        """What the phases of the key schema were like."""
        self.bells = Bells(self._pools.waiting, self._name.encode())
        """Wake those who wait, on a connection of their own that waits for as long as it takes."""

    async def open(self) -> None:
        """Connect; raise ``StoreUnavailable`` if the server is away."""
        await self.send("PING")
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self.bells.open()
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    @property
    def now(self) -> int:
        """The time in milliseconds."""
        return milliseconds(self.clock.now())

    async def run(self, name: str, *arguments: Any) -> Any:
        """Run a script and return its answer; sinks have been told of its events by then."""
        wanted, given = script(name), self._given(name, arguments)
        return await self._heard(
            await self.look("EVALSHA", wanted.sha, 0, *given, instead=("EVAL", wanted.text, 0, *given))
        )

    async def run_with(self, name: str, *arguments: Any, following: Sequence[tuple[Any, ...]]) -> tuple[Any, list[Any]]:
        """Run a script and then commands on its connection; return its answer and theirs.

        So they are answered by a server that knows what the script did, not by one that came back without it.
        """
        first = ("EVALSHA", script(name).sha, 0, *self._given(name, arguments))
        told, *answers = await self.send_together(first, *following)
        return await self._heard(told), answers

    def _given(self, name: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        asked_by = "" if name in _PLAIN else structlog.contextvars.get_contextvars().get("request_id", "")
        return (self.now, self._wanted, self._name, asked_by, *arguments)

    async def _heard(self, told: Sequence[Any]) -> Any:
        """Return the answer of a script, once sinks and bells know what it did; raise its refusal."""
        kind, answer, *rest = told
        if kind == b"refused":
            raise refusal(answer, *rest)
        events, rung = rest
        for event in map(committed_event, events):
            for sink in self._sinks:
                sink(event)
        self.bells.ring(rung)
        return answer

    async def look(self, *command: Any, instead: tuple[Any, ...] | None = None) -> Any:
        """Ask one thing on the line that all share; ``instead``: what to ask if the server lacks the script.

        Returns the answer as it came, in bytes.
        """
        began = time.monotonic()
        try:
            try:
                answer = await self._line.ask(*command)
            except NoScriptError:
                assert instead is not None
                answer = await self._line.ask(*instead)
        except (RedisError, OSError) as error:
            self.statistics.call(began, failed=True)
            if isinstance(error, TimeoutError):
                await self._line.doubt()
            raise _translated(error) from error
        if self.statistics.call(began, failed=False) and (self._leaving is None or self._leaving.done()):
            self._leaving = asyncio.create_task(self._leave_counts_soon())
        return answer

    async def send(self, *command: Any) -> Any:
        """Send one command on a connection of its own and return its answer as the client library reads it."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    async def send_together(self, *commands: tuple[Any, ...], failing: bool = False) -> list[Any]:
        """Send commands one after the other on one connection and return their answers; ``failing``: errors among them."""
        began = time.monotonic()
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(_ANSWER_S):
                answers = await pipeline.execute(raise_on_error=not failing)
        except (RedisError, OSError) as error:
            self.statistics.call(began, failed=True)
            raise _translated(error) from error
        self.statistics.call(began, failed=False)
        return answers

    async def _leave_counts_soon(self) -> None:
        """Leave counts once whoever made them due has gone on: in a process that has little to do it might be a lone job."""
        await asyncio.sleep(_BREATH_S)
        await self.leave_counts()

    async def leave_counts(self) -> None:
        """Add what was counted to what stands in Redis, and look which phase it is now; it may fail, and nobody minds."""
        with suppress(StewardError, ValueError):
            *_, phase = await self.send_together(*self.statistics.take(), ("HGET", key("schema"), "phase"))
            self.statistics.phase = phase_of(phase)

    async def aclose(self) -> None:
        """Leave what was counted, and close every connection."""
        if self._leaving is not None:
            self._leaving.cancel()
        await self.leave_counts()
        await self.bells.aclose()
        await self._line.hang_up()
        await self._client.aclose()
        await self._pools.aclose()


def _translated(error: BaseException) -> StewardError:
    """Return what the caller is told; what the server said may name keys, so it goes to the log."""
    if isinstance(error.__cause__ or error.__context__, SSLError):
        return StoreUnavailable("Redis's certificate is not trusted, or it does not speak TLS, so nothing was sent.")
    if isinstance(error, (Disconnected, Unanswered, OSError)):
        return StoreUnavailable("Redis cannot be reached, or does not answer in time. Try again shortly.")
    _log.error("Redis refused an operation.", action="redis_refused", error=str(error)[:200])
    return StoreUnavailable("Redis refused the operation, so nothing was changed; its reason is in the log.")
