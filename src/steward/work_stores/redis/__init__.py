"""The work store on Redis: every transition a script, derived structures in one place, wake-ups instead of polling."""

from steward.work_stores.redis.engine import RedisWorkEngine, open_redis_engine

__all__ = ["RedisWorkEngine", "open_redis_engine"]
