"""In which phase an installation starts: as recorded in Redis, moved by ``AI_JOBS_NEW_SCHEMA``, or as the data there asks for."""

from dataclasses import dataclass
from typing import Final, Literal

from steward.errors import ConfigurationError
from steward.key_schema import Adopt, Phase
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.legacy.adopting import adopt_queue, adopt_records, fill
from steward.work_stores.redis.legacy.migrating import Migrator
from steward.work_stores.redis.legacy.pace import Pace
from steward.work_stores.redis.legacy.walking import Current, stretches
from steward.work_stores.redis.server import Server

Switch = Literal["off", "on"]
_ASKED: Final = {"off": Phase.LEGACY_READ, "on": Phase.NEW_READ}
_LOOKING_PER_S: Final = 50_000
_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class SchemaStart:
    """What a start brings."""

    switch: Switch | None = None
    """``AI_JOBS_NEW_SCHEMA``."""
    adopt: Adopt | None = None
    """Makes runnable jobs of those in the old queue."""


async def recorded_phase(server: Server) -> Phase | None:
    """Return the phase that Redis knows of; None: it was never recorded."""
    kept = await server.send("HGET", key("schema"), "phase")
    try:
        return None if kept is None else Phase(kept.decode())
    except ValueError as error:
        raise ConfigurationError(
            "REDIS_URL: the phase of the key schema recorded there is none that this version knows; a newer one wrote it."
        ) from error


async def begin(server: Server) -> bool:
    """Return whether a phase is recorded; without older software's jobs it is from now on, and is the one that holds."""
    if await recorded_phase(server) is not None:
        return True
    if await _first_phase(server, None) is Phase.LEGACY_READ:
        return False
    await server.run("schema_move", "", Phase.NEW_ONLY, 0)
    return True


async def start(migrator: Migrator, given: SchemaStart) -> Phase:
    """Settle the phase, and take over what the older software left; return once every job is in the lists.

    Raises ``ConfigurationError`` where ``AI_JOBS_NEW_SCHEMA`` and the record cannot both be right.
    """
    server = migrator.server
    kept = await recorded_phase(server)
    phase = await _first_phase(server, given.switch) if kept is None else _moved(kept, given.switch)
    if phase is not kept and phase is not None:
        await server.run("schema_move", kept or "", phase, 0)
        phase = await recorded_phase(server)
    if phase is None or phase is Phase.NEW_ONLY:
        return Phase.NEW_ONLY
    await adopt_queue(migrator, given.adopt)
    if await server.send("HGET", key("schema"), "adopted") is None:
        counts = await adopt_records(migrator)
        if counts["current"]:
            await fill(server, only_missing=True)
        await server.send("HSET", key("schema"), "adopted", "1", *(part for pair in counts.items() for part in pair))
    return phase


def _moved(kept: Phase, switch: Switch | None) -> Phase:
    if switch is None or (kept is Phase.NEW_ONLY and switch == "on"):
        return kept
    if kept is Phase.NEW_ONLY:
        raise ConfigurationError(
            "AI_JOBS_NEW_SCHEMA is off, but the old keys are neither written nor read any more: unset it, and go back with "
            "'steward schema back' if you must."
        )
    return _ASKED[switch]


async def _first_phase(server: Server, switch: Switch | None) -> Phase | None:
    """Return the phase of a Redis that knows none; None: there is nothing yet, and nothing to record."""
    if switch is not None:
        return _ASKED[switch]
    seen = False
    async for stretch in stretches(server, Pace(_LOOKING_PER_S), _BATCH):
        if any(not isinstance(one, Current) for one in stretch.records):
            return Phase.LEGACY_READ
        seen = seen or bool(stretch.records)
    return Phase.NEW_ONLY if seen else None
