"""The engines that work can live in, each on a real server of its own: where the matrix and the fault runs play."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tests.postgresql import PostgresServer
from tests.redis_server import RedisServer


class Engine(StrEnum):
    """Where work lives."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    REDIS = "redis"


@dataclass(frozen=True, slots=True)
class Ground:
    """An engine, and the server it needs."""

    engine: Engine
    server: PostgresServer | RedisServer | None = None

    @property
    def redis(self) -> RedisServer:
        """The server of Redis."""
        assert isinstance(self.server, RedisServer)
        return self.server

    @property
    def postgresql(self) -> PostgresServer:
        """The server of PostgreSQL."""
        assert isinstance(self.server, PostgresServer)
        return self.server

    def place(self) -> dict[str, str]:
        """Return the settings that lead a house to an empty place of its own."""
        match self.server:
            case PostgresServer():
                return {"DATABASE_URL": self.server.url(self.server.new_database())}
            case RedisServer():
                return {"REDIS_URL": self.server.url(self.server.new_database())}
            case _:
                return {}


@contextmanager
def open_ground(engine: Engine) -> Iterator[Ground]:
    """Start the server that an engine needs; it is gone afterwards."""
    match engine:
        case Engine.POSTGRESQL:
            postgresql = PostgresServer()
            try:
                yield Ground(engine, postgresql)
            finally:
                postgresql.remove()
        case Engine.REDIS:
            redis = RedisServer("--appendonly", "yes", "--appendfsync", "everysec")
            try:
                yield Ground(engine, redis)
            finally:
                redis.stop()
        case Engine.SQLITE:
            yield Ground(engine)
