"""The work store on Redis: every transition a script, derived structures in one place, wake-ups instead of polling."""

from steward.work_stores.redis.engine import RedisWorkEngine, open_redis_engine
from steward.work_stores.redis.legacy.phases import SchemaStart

__all__ = ["RedisWorkEngine", "SchemaStart", "open_redis_engine"]
