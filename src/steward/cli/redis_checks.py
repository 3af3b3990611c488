"""What ``steward doctor`` looks at in Redis: does it answer, would it lose work, does what is derived agree with the records."""

from typing import TYPE_CHECKING

from steward.cli.checks import Finding
from steward.errors import ConfigurationError, StewardError

if TYPE_CHECKING:
    from steward.settings import Settings
    from steward.work_stores.redis import RedisWorkEngine


async def examine_redis(settings: "Settings", *, repair: bool) -> list[Finding]:
    """Connect, look at how Redis keeps what it is given, and compare what is derived; put that right if told to."""
    from steward.clock import SystemClock
    from steward.ids import IdFactory
    from steward.work_stores.redis import open_redis_engine

    assert settings.redis_url is not None
    clock = SystemClock()
    safety = settings.redis_effect_safety
    try:
        opened = open_redis_engine(
            settings.redis_url, clock=clock, ids=IdFactory(clock), safety=safety, looking=not repair
        )
        async with opened as engine:
            answers = f"It answers, and keeps what it is given (REDIS_EFFECT_SAFETY is {safety})."
            return [Finding("redis", "ok", answers), await _derived(engine, repair=repair)]
    except ConfigurationError as error:
        return [Finding("redis", "fail", error.detail, "Change that setting of Redis.")]
    except StewardError as error:
        return [Finding("redis", "fail", error.detail, "Start Redis, or correct REDIS_URL.")]


async def _derived(engine: "RedisWorkEngine", *, repair: bool) -> Finding:
    """Say whether indexes, queue, leases, schedules and counts agree with the records."""
    if not repair and not await engine.is_small():
        return Finding(
            "derived", "ok", "Not compared, there is much of it; 'steward doctor --repair' compares and repairs."
        )
    mended = await engine.mend(put_right=repair)
    if not mended.differences:
        return Finding("derived", "ok", f"It agrees with all {mended.seen} records.", counts={})
    counted = ", ".join(f"{kind} {number}" for kind, number in mended.differences.items())
    if repair:
        text = f"Put right, after looking at {mended.seen} records: {counted}."
        return Finding("derived", "ok", text, counts=mended.differences)
    text = f"What follows from the records differs from them: {counted}."
    return Finding("derived", "warn", text, "steward doctor --repair", counts=mended.differences)
