"""A primary, its replicas and Sentinels that watch them, as real processes, for tests of a failover."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

from redis import exceptions
from tests.redis_server import RedisServer, binary

SERVICE: Final = "steward"
_DOWN_AFTER_MS: Final = 1_500


class Sentinel(RedisServer):
    """One process that watches the servers of ``SERVICE`` and says on its output what it sees."""

    says_ready = "+monitor master"

    def __init__(self, primary: RedisServer, quorum: int) -> None:
        """Watch ``primary`` and its replicas; ``quorum`` Sentinels have to agree that it is gone."""
        self._primary, self._quorum = primary, quorum
        super().__init__()

    def command(self, *options: str) -> list[str]:
        """Return how it is started: it keeps what it learns in its own settings."""
        settings = self.folder / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary.port} {self._quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        return [binary(), str(settings), "--sentinel"]

    def read_until(self, *facts: str) -> str:
        """Return the line with which it has said each of these, in any order."""
        waiting = list(facts)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = next((fact for fact in waiting if fact in line), None)
            if found is not None:
                waiting.remove(found)
            if not waiting:
                return line
        raise AssertionError(f"the Sentinel ended without saying {waiting}")


class Sentinels:
    """One primary with replicas, and Sentinels, a majority of whom decides on a failover."""

    def __init__(self, replicas: int = 2, sentinels: int = 3) -> None:
        """Start everything and wait until the Sentinels know of each other and of the replicas."""
        options = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")
        self.servers = [RedisServer(*options)]
        of_primary = ("--replicaof", f"127.0.0.1 {self.servers[0].port}")
        self.servers += [RedisServer(*options, *of_primary) for _ in range(replicas)]
        for replica in self.servers[1:]:
            replica.wait_for("REPLICA sync: Finished with success")
        self.sentinels = [Sentinel(self.servers[0], sentinels // 2 + 1) for _ in range(sentinels)]
        for one in self.sentinels:
            one.read_until(*["+slave slave"] * replicas, *["+sentinel sentinel"] * (sentinels - 1))

    @property
    def url(self) -> str:
        """Return what REDIS_URL is."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def primary(self) -> RedisServer:
        """Return the server that takes writes, as the last of the Sentinels has it."""
        with closing(self.sentinels[-1].client()) as client:
            port = int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
        return next(server for server in self.servers if server.port == port)

    def failed_over(self) -> RedisServer:
        """Wait until the last of the Sentinels has another primary, which has a replica again, and return it; blocks.

        On a crowded machine a new primary may seem to be away, too, and be a replica again before it is asked: the Sentinels
        then say once more that they have switched.
        """
        while True:
            self.sentinels[-1].read_until("+switch-master")
            primary = self.primary()
            with closing(primary.client()) as client, suppress(exceptions.ConnectionError, exceptions.ResponseError):
                assert client.execute_command("WAIT", 1, 15_000) >= 1
                return primary

    def stop(self) -> None:
        """Stop everything for good."""
        for process in (*self.sentinels, *self.servers):
            process.stop()


@contextmanager
def sentinels(replicas: int = 2) -> Iterator[Sentinels]:
    """Start Sentinels with what they watch, and finally stop all of it."""
    running = Sentinels(replicas)
    try:
        yield running
    finally:
        running.stop()
