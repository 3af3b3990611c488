"""The Redis server behind the engine: connections, scripts, and errors in the words of the house.

A command whose answer was lost is sent again, once or twice, within the two seconds in which a 503 is due; every script
can be sent twice.
"""

import asyncio
import secrets
from collections.abc import Sequence
from ssl import SSLError
from typing import Any, Final

import structlog
from pydantic_core import from_json
from redis.asyncio import Redis
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
from steward.event import EventSink
from steward.redis_address import redis_address
from steward.work_stores.redis.bells import Bells
from steward.work_stores.redis.connecting import Pools
from steward.work_stores.redis.records import committed_event
from steward.work_stores.redis.scripts import script

_ANSWER_S: Final = 1.8
"""Longest time for everything that one operation takes, resending included."""
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
        try:
            self.address = redis_address(url)
        except ValueError as error:
            raise ConfigurationError(f"REDIS_URL {error}.") from None
        self._pools = Pools(self.address, _ANSWER_S)
        self._client: Any = Redis(connection_pool=self._pools.working)
        self._listener: Any = Redis(connection_pool=self._pools.waiting)
        self._name = secrets.token_hex(4)
        self.bells = Bells(self._listener, self._name.encode())
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
        wanted = script(name)
        asked_by = structlog.contextvars.get_contextvars().get("request_id", "")
        given = (self.now, 1 if self._sinks else 0, self._name, asked_by, *arguments)
        kind, answer, *rest = await self.send(
            "EVALSHA", wanted.sha, 0, *given, instead=("EVAL", wanted.text, 0, *given)
        )
        if kind == b"refused":
            raise refusal(answer, *rest)
        events, rung = rest
        for event in map(committed_event, events) if self._sinks else ():
            for sink in self._sinks:
                sink(event)
        self.bells.ring(rung)
        return answer

    async def send(self, *command: Any, instead: tuple[Any, ...] | None = None) -> Any:
        """Send one command and return its answer; ``instead``: what to send if the server lacks the script."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                try:
                    return await self._client.execute_command(*command)
                except NoScriptError:
                    assert instead is not None
                    return await self._client.execute_command(*instead)
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    async def send_together(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands one after the other on one connection and return their answers."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await pipeline.execute()
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self.bells.aclose()
        await self._client.aclose()
        await self._listener.aclose()
        await self._pools.aclose()


def _translated(error: BaseException) -> StewardError:
    """Return what the caller is told; what the server said may name keys, so it goes to the log."""
    if isinstance(error.__cause__ or error.__context__, SSLError):
        return StoreUnavailable("Redis's certificate is not trusted, or it does not speak TLS, so nothing was sent.")
    if isinstance(error, (Disconnected, Unanswered, OSError)):
        return StoreUnavailable("Redis cannot be reached, or does not answer in time. Try again shortly.")
    _log.error("Redis refused an operation.", action="redis_refused", error=str(error)[:200])
    return StoreUnavailable("Redis refused the operation, so nothing was changed; its reason is in the log.")
