"""How sure the record of an effect must be before the effect: on disk (``strict``), or in Redis's memory (``fast``).

Redis answers before what was written is on disk. A power cut in between forgets a dispatch that was granted, and an effect
that nobody could repeat would be repeated. So ``strict`` waits, and is refused where waiting would mean nothing. Behind
Sentinels a replica may take over at any moment, so there ``strict`` also waits until one has the record.
"""

from typing import Any, Final, Literal

import structlog

from steward.errors import ConfigurationError, StoreUnavailable
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.server import Server

EffectSafety = Literal["strict", "fast"]
_WAIT_MS: Final = 1_500
_log = structlog.get_logger("steward.redis")


class Durability:
    """Knows what this server needs for a record to be safe."""

    def __init__(self, server: Server, *, on_disk: bool, copies: int = 0) -> None:
        """``on_disk``: whether to wait for the disk; ``copies``: for how many replicas."""
        self._server = server
        self._on_disk = on_disk
        self._copies = copies

    @property
    def waits(self) -> bool:
        """Whether there is anything to wait for."""
        return self._on_disk or self._copies > 0

    async def proven(self, name: str, *arguments: Any) -> Any:
        """Run a script that was answered once more, and return its answer once it is as safe as is asked for.

        Between a record and the wait the server may have been away and come back without the record, or another have taken
        over, within the time in which we connect anew. Said again on the connection that then waits, it is there, or refused.
        """
        waits = [("WAITAOF", 1, 0, _WAIT_MS)] if self._on_disk else []
        waits += [("WAIT", self._copies, _WAIT_MS)] if self._copies else []
        mark = ("HSET", key("installation"), "settled", "1")
        answer, (_, *told) = await self._server.run_with(name, *arguments, following=(mark, *waits))
        if self._on_disk and told.pop(0)[0] < 1:
            raise StoreUnavailable("Redis did not put the record on disk in time, so the effect may not happen yet.")
        if self._copies and told.pop() < self._copies:
            raise StoreUnavailable("No replica of Redis has the record in time, so the effect may not happen yet.")
        return answer


async def open_durability(server: Server, safety: EffectSafety) -> Durability:
    """Look at how the server keeps what it is given; refuse what loses work, warn of what may."""
    facts = {**await _info(server, "persistence"), **await _info(server, "memory"), **await _info(server, "server")}
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ConfigurationError(
            f"REDIS_URL: this Redis throws keys away when memory is short (maxmemory-policy {policy}); set it to noeviction."
        )
    if facts.get("aof_enabled") != "1":
        if safety == "strict":
            raise ConfigurationError(
                "REDIS_URL: this Redis keeps no append-only file, so a crash forgets which effects were begun: set "
                "'appendonly yes' there, or REDIS_EFFECT_SAFETY=fast to accept that."
            )
        _log.warning("Redis keeps no append-only file: what it holds is lost when it stops.", action="appendonly_no")
    waits = safety == "strict" and not await _writes_through(server)
    if waits and not _can_wait(facts):
        raise ConfigurationError(
            "REDIS_URL: this Redis cannot be asked to wait for its disk (that takes Redis 7.2 or Valkey): set 'appendfsync "
            "always' there, or REDIS_EFFECT_SAFETY=fast to accept what a power cut can cost."
        )
    copies = 1 if safety == "strict" and server.address.service is not None else 0
    return Durability(server, on_disk=waits, copies=copies)


async def _info(server: Server, section: str) -> dict[str, str]:
    """Return one section of what the server says about itself."""
    answer = await server.send("INFO", section)
    if isinstance(answer, dict):
        return {str(name): str(value) for name, value in answer.items()}
    lines = (line.partition(":") for line in answer.decode().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def _can_wait(facts: dict[str, str]) -> bool:
    if "valkey_version" in facts:
        return True
    numbers = facts.get("redis_version", "0.0").split(".")
    return (int(numbers[0]), int(numbers[1])) >= (7, 2)


async def _writes_through(server: Server) -> bool:
    """Say whether every write is on disk before it is answered; a server that does not tell is not trusted to."""
    try:
        answer = await server.send("CONFIG", "GET", "appendfsync")
    except StoreUnavailable:
        return False
    told = answer.get("appendfsync") if isinstance(answer, dict) else (answer[1] if len(answer) > 1 else b"")
    return told in {b"always", "always"}
