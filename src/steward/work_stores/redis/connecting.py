"""Pools of connections to the server that ``REDIS_URL`` names, or that the Sentinels it names say is the primary.

Behind Sentinels each new connection asks them first, and those that are idle are dropped when the answer has changed. So a
failover looks like any lost connection: the operation is sent again, to the new primary.
"""

import socket
from ssl import TLSVersion
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ReadOnlyError
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Unanswered

from steward.redis_address import RedisAddress

_CONNECT_S: Final = 0.6
_SENTINEL_S: Final = 0.3
"""How long one Sentinel may take: the next one has to be asked in time."""
_CONNECTIONS: Final = 32
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}
"""A primary whose machine is gone says nothing more: whoever only listens notices it after eleven seconds."""


class _BlockingSentinelPool(BlockingConnectionPool, SentinelConnectionPool):
    """Waits for a free connection, and asks the Sentinels for a new one."""


class Pools:
    """Connections for operations, of which there are enough, and connections that wait for messages."""

    def __init__(self, address: RedisAddress, patience_s: float) -> None:
        """``patience_s``: how long an operation may wait for a free connection. Nothing is connected yet."""
        common = _common(address)
        self._sentinel: Sentinel | None = None
        if address.service is None:
            kind, waiting = BlockingConnectionPool, ConnectionPool
        else:
            self._sentinel = Sentinel(address.hosts, sentinel_kwargs=_of_sentinels(address))
            kind, waiting = _BlockingSentinelPool, SentinelConnectionPool
            common |= {"service_name": address.service, "sentinel_manager": self._sentinel}
        self.working: ConnectionPool = kind(max_connections=_CONNECTIONS, timeout=patience_s, **common)
        self.waiting: ConnectionPool = waiting(**common)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.working.disconnect()
        await self.waiting.disconnect()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def _common(address: RedisAddress) -> dict[str, Any]:
    """Return what every connection to the server is made with."""
    common: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.05), 2),
        "retry_on_error": [Disconnected, Unanswered, BusyLoadingError, ReadOnlyError],
        "socket_connect_timeout": _CONNECT_S,
        "socket_timeout": None,  # one limit for all of an operation is the server's; theirs would swallow cancellations
        "username": address.username,
        "password": address.password,
        "db": address.database,
    }
    if address.socket is not None:
        return common | {"connection_class": UnixDomainSocketConnection, "path": address.socket}
    common |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    if address.service is not None:
        managed = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
        return common | {"connection_class": managed} | _tls(address)
    ((host, port),) = address.hosts
    return (
        common
        | {"connection_class": SSLConnection if address.tls else Connection, "host": host, "port": port}
        | _tls(address)
    )


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    checked = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_min_version": TLSVersion.TLSv1_2}
    return {**checked, **address.tls_files}


def _of_sentinels(address: RedisAddress) -> dict[str, Any]:
    """Return what connections to Sentinels are made with: one try each, for there are others."""
    limits = {"socket_connect_timeout": _SENTINEL_S, "socket_timeout": _SENTINEL_S, "retry": Retry(NoBackoff(), 0)}
    return {"protocol": 2, **limits, **address.sentinel_login, "ssl": address.tls, **_tls(address)}
