"""Where this installation's work lives: in its database, or in Redis; and when it may move from one to the other.

The database is there in any case, so it can always be asked. Redis is known only while ``REDIS_URL`` is set, so its address
is kept, sealed, in STEWARD_HOME for as long as work lives there. Moving is refused while anything is under way in the former
home or a request would be known again there: work would stand still, and a repeated request would be carried out twice.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Literal

from steward.audit_log import AuditLog
from steward.clock import Clock
from steward.errors import ConfigurationError, StewardError, StoreUnavailable
from steward.event import EventSink, LogEnds
from steward.ids import IdFactory
from steward.key_schema import Adopt, ReadSink
from steward.private_file import read_private, replace_private
from steward.settings import Settings
from steward.vault import SealBroken, Vault
from steward.work_store import WorkEngine
from steward.work_stores.sql import SqlWorkEngine
from steward.workspace import SYSTEM_WORKSPACE

NOTE: Final = "redis.sealed"
_PURPOSE: Final = "redis-url"

Archive = Callable[[WorkEngine], Awaitable[int]]
"""Takes all events of an engine into the audit."""


class WorkHome:
    """Opens the engine that work lives in."""

    def __init__(  # noqa: PLR0917 - it gathers all that a move takes
        self,
        settings: Settings,
        vault: Vault,
        clock: Clock,
        ids: IdFactory,
        archive: Archive,
        adopt: Adopt,
        reads: ReadSink,
    ) -> None:
        """Use an installation's settings and keys; ``archive`` what is left before leaving it.

        ``adopt`` takes what the older software left in its queue; ``reads`` is told which records answer.
        """
        self._settings = settings
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._archive = archive
        self._adopt = adopt
        self._reads = reads
        self._note = settings.home / NOTE

    async def open(
        self, in_database: SqlWorkEngine, audit_log: AuditLog, sinks: Sequence[EventSink], at_the_end: AsyncExitStack
    ) -> WorkEngine:
        """Return the open engine; raise ``ConfigurationError`` if work would be left behind."""
        url, moves = self._settings.redis_url, self._note.exists()
        if url is None:
            if self._settings.jobs_new_schema is not None:
                raise ConfigurationError("AI_JOBS_NEW_SCHEMA is about jobs in Redis: unset it, or set REDIS_URL.")
            ends = await self._leave_redis() if moves else LogEnds(0)
            await in_database.continue_after(_at_least(ends, await audit_log.position()))
            self._note.unlink(missing_ok=True)
            return in_database
        if not moves and await in_database.holds_work():
            raise ConfigurationError(
                "REDIS_URL is set, but there is work in the database that is under way, or that a repeated request would name: "
                "unset REDIS_URL until it has ended and AI_JOB_RETENTION_S has passed."
            )
        try:
            engine = await at_the_end.enter_async_context(self._redis(url, self._settings.redis_effect_safety, sinks))
        except StoreUnavailable as away:
            raise StoreUnavailable(f"REDIS_URL: {away.detail}") from away
        ends = LogEnds(0)
        if not moves:
            await self._archive(in_database)
            ends = await in_database.log_ends()
        await engine.continue_after(_at_least(ends, await audit_log.position()))
        self._remember(url)
        return engine

    def _redis(
        self,
        url: str,
        safety: Literal["strict", "fast"],
        sinks: Sequence[EventSink] = (),
        *,
        leaving: bool = False,
    ) -> AbstractAsyncContextManager[Any]:
        from steward.work_stores.redis import SchemaStart, open_redis_engine  # noqa: PLC0415 - a tenth of a start

        return open_redis_engine(
            url,
            clock=self._clock,
            ids=self._ids,
            safety=safety,
            sinks=sinks,
            schema=None if leaving else SchemaStart(self._settings.jobs_new_schema, self._adopt),
            reads=self._reads,
        )

    async def _leave_redis(self) -> LogEnds:
        """Return where the log in Redis ends, if nothing is left there that counts."""
        url, ends = self._remembered(), None
        try:
            async with self._redis(url, "fast", leaving=True) as engine:  # nothing has an effect there any more
                if not await engine.holds_work():
                    await self._archive(engine)
                    ends = await engine.log_ends()
        except StewardError as error:
            raise ConfigurationError(
                "REDIS_URL is not set, but work lives in a Redis that cannot be asked: set it again, or remove "
                f"{self._note} to give up what is there."
            ) from error
        if ends is None:
            raise ConfigurationError(
                "REDIS_URL is not set, but there is work in Redis that is under way, or that a repeated request would name: "
                "set it again until that has ended and AI_JOB_RETENTION_S has passed."
            )
        return ends

    def _remember(self, url: str) -> None:
        sealed = self._vault.seal(url, workspace_id=SYSTEM_WORKSPACE, purpose=_PURPOSE)
        replace_private(self._note, base64.b64encode(sealed).decode())

    def _remembered(self) -> str:
        try:
            sealed = base64.b64decode(read_private(self._note) or "", validate=True)
            return str(self._vault.unseal(sealed, workspace_id=SYSTEM_WORKSPACE, purpose=_PURPOSE))
        except (SealBroken, binascii.Error, OSError) as error:
            raise ConfigurationError(
                f"REDIS_URL is not set, but work lives in a Redis, and {self._note} that says which cannot be read: set it again, "
                "or remove that file to give up what is there."
            ) from error


def _at_least(ends: LogEnds, position: int) -> LogEnds:
    """Return where a log goes on so that the audit reads all that comes."""
    return LogEnds(max(ends.position, position), ends.sequences)
