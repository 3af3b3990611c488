"""Opens this machine's installation as far as ``steward schema`` needs it: the work in Redis, and the audit."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, TypeVar

from steward.cli.exits import CommandFailed, ExitCode
from steward.directory import LOCAL_ACTOR
from steward.schema_desk import By

if TYPE_CHECKING:
    from steward.schema_desk import SchemaDesk
    from steward.settings import Settings
    from steward.telemetry import Telemetry

T = TypeVar("T")
LOCAL: Final = By(LOCAL_ACTOR)
"""Whoever is on the machine."""


def with_schema(work: "Callable[[SchemaDesk, Telemetry], Awaitable[T]]") -> T:
    """Return what ``work`` returns, given the desk of this machine's installation and the rule for labels."""
    from steward.logs import configure_logs

    configure_logs(for_good=False, least=logging.WARNING)  # a person reads along: no word on what goes well
    others = os.umask(0o077)  # the database is its owner's alone
    try:
        return asyncio.run(_run(_settings(), work))
    finally:
        os.umask(others)


def _settings() -> "Settings":
    """Return the settings; the audit is signed with the key of ``steward up`` where there is one."""
    from steward.settings import KEY_FILE, Settings

    home = Settings.load(secret_required=False).home
    settings = Settings.load(allow_generated_secret=(home / KEY_FILE).exists())
    if settings.redis_url is None:
        raise CommandFailed(
            "REDIS_URL is not set: only jobs in Redis have keys to move.",
            "Set REDIS_URL as the servers and workers have it.",
            ExitCode.USAGE,
        )
    return settings


async def _run(settings: "Settings", work: "Callable[[SchemaDesk, Telemetry], Awaitable[T]]") -> T:
    from steward.audit_logs.sql import SqlAuditLog
    from steward.bootstrap import build_telemetry
    from steward.clock import SystemClock
    from steward.database.engine import Database
    from steward.database.migrate import upgrade
    from steward.ids import IdFactory
    from steward.recorder import Recorder
    from steward.schema_desk import SchemaDesk
    from steward.vault import Vault
    from steward.work_stores.redis import open_redis_engine

    assert settings.redis_url is not None
    clock, telemetry = SystemClock(), build_telemetry(settings)
    async with AsyncExitStack() as at_the_end:
        settings.make_home()
        database = Database(settings.database_url)
        at_the_end.push_async_callback(database.aclose)
        upgrade(database)
        log = SqlAuditLog(database, Vault(settings.secret_keys), clock)
        recorder = Recorder(log, telemetry, required=settings.audit_mode == "required")
        at_the_end.push_async_callback(recorder.aclose)
        engine = await at_the_end.enter_async_context(
            open_redis_engine(
                settings.redis_url, clock=clock, ids=IdFactory(clock), safety=settings.redis_effect_safety
            )
        )
        return await work(SchemaDesk.of(engine, recorder, clock), telemetry)
