"""What a power cut leaves of Redis's append-only file: only what had been put on disk.

A killed process leaves all it wrote, for the operating system still has it. So a mark is written whenever the one before
it is known to be on disk, and the cut takes everything from the last one on: never anything that somebody was told is on
disk, and all that came after, but for the moment between two marks.
"""

import secrets
import threading
from contextlib import closing, suppress
from typing import Final

from redis.exceptions import RedisError
from tests.redis_server import RedisServer

_WAIT_MS: Final = 5_000


class Marks:
    """Writes marks into the append-only file of a server, and knows which of them are on disk."""

    def __init__(self, server: RedisServer) -> None:
        """Begin; the end of the server is the end.

        The marks have a name of their own: those of an earlier cut are still in the file.
        """
        self._server = server
        self._name = f"chaos:mark:{secrets.token_hex(8)}"
        self._safe = 0
        self._thread = threading.Thread(target=self._write, name="marks", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        with closing(self._server.client()) as client, suppress(RedisError, OSError):
            while True:
                pipeline = client.pipeline(transaction=False)
                pipeline.execute_command("SET", self._name, self._safe + 1)
                pipeline.execute_command("WAITAOF", 1, 0, _WAIT_MS)
                _, (on_disk, _) = pipeline.execute()
                self._safe += on_disk

    def cut(self) -> int:
        """Kill the server and take from its file what was not on disk; return how many bytes that is.

        It is asked something first. When it answers, whoever was told in an earlier turn that something is on disk has been told, and
        so have the marks: what makes the power go is often an effect, which begins as soon as the first of them hears of it.
        """
        with closing(self._server.client()) as client:
            client.ping()
        self._server.kill()
        self._thread.join()
        (file,) = (self._server.folder / "appendonlydir").glob("*.incr.aof")
        whole = file.read_bytes()
        number = str(self._safe + 1)
        mark = f"*3\r\n$3\r\nSET\r\n${len(self._name)}\r\n{self._name}\r\n${len(number)}\r\n{number}\r\n".encode()
        first = whole.rfind(mark)
        file.write_bytes(whole[:first] if first >= 0 else whole)
        return len(whole) - first if first >= 0 else 0
