"""How processes on one SQLite file wake each other: a datagram after the commit, never polling.

Whoever listens binds a Unix datagram socket ``<topic>-<random>.sock`` in ``STEWARD_HOME/bells``; whoever has committed
something sends one empty datagram to each. A ring is only a hint ("look again"), so a lost one costs at most a listener's
own time-out, and nothing that matters is ever inside it. Sockets of processes that died are removed by the next ring.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steward.errors import ConfigurationError

_MAX_SOCKET_PATH: Final = 100
"""Operating systems take at most 104 to 108 bytes."""


class _Listener:
    """Remembers that the bell rang until somebody waits for it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True if it rang since the last wait, or rings within ``timeout_s``."""
        try:
            async with asyncio.timeout(max(timeout_s, 0.0)):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Doorbell:
    """Rings listeners of a topic in this process and in every other one with the same folder. Use from one event loop."""

    def __init__(self, folder: Path | None) -> None:
        """Use ``folder`` for the sockets; None: this process only."""
        self._folder = folder
        self._listeners: dict[str, set[_Listener]] = {}
        self._sockets: dict[str, tuple[socket.socket, str]] = {}
        self._sender: socket.socket | None = None
        self._pending: set[str] = set()
        self._directory = -1
        self._closed = False

    @contextlib.contextmanager
    def listen(self, topic: str) -> Iterator[_Listener]:
        """Yield a listener for ``topic``, heard of by other processes while at least one is open."""
        listener = _Listener()
        group = self._listeners.setdefault(topic, set())
        if not group and self._folder is not None:
            self._bind(topic)
        group.add(listener)
        try:
            yield listener
        finally:
            group.discard(listener)
            if not group:
                self._unbind(topic)

    def ring(self, topic: str) -> None:
        """Wake listeners of ``topic`` here at once, and elsewhere at the end of this turn of the event loop."""
        for listener in self._listeners.get(topic, ()):
            listener.ring()
        if self._folder is not None and not self._closed:
            if not self._pending:
                asyncio.get_running_loop().call_soon(self._flush)
            self._pending.add(topic)

    def close(self) -> None:
        """Remove this process's sockets; from now on nobody elsewhere is rung."""
        self._closed = True
        for topic in list(self._sockets):
            self._unbind(topic)
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _open_folder(self) -> Path:
        assert self._folder is not None
        if self._directory < 0:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory = os.open(self._folder, os.O_RDONLY)
        return self._folder

    def _address(self, name: str) -> str:
        folder = self._open_folder()
        path = str(folder / name)
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        if Path("/proc/self/fd").is_dir():  # a short way in to a folder with a long name
            return f"/proc/self/fd/{self._directory}/{name}"
        raise ConfigurationError("STEWARD_HOME is too long a path for a socket here; choose one under 60 characters.")

    def _bind(self, topic: str) -> None:
        name = f"{topic}-{secrets.token_hex(8)}.sock"
        unfinished = f"{name}.new"  # seen by nobody: between its file and itself a socket looks like a dead one
        address = self._address(unfinished)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        bell.bind(address)
        os.rename(unfinished, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        asyncio.get_running_loop().add_reader(bell, self._heard, topic, bell)
        self._sockets[topic] = (bell, name)

    def _unbind(self, topic: str) -> None:
        bell, name = self._sockets.pop(topic, (None, ""))
        if bell is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            asyncio.get_running_loop().remove_reader(bell)
        bell.close()
        with contextlib.suppress(FileNotFoundError):
            (self._open_folder() / name).unlink()

    def _heard(self, topic: str, bell: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                bell.recv(16)
        for listener in self._listeners.get(topic, ()):
            listener.ring()

    def _flush(self) -> None:
        topics, self._pending = self._pending, set()
        if self._closed:
            return
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        own = {name for _, name in self._sockets.values()}
        self._open_folder()
        for name in os.listdir(self._directory):  # noqa: PTH208 - through the open folder, however long its name
            if not name.endswith(".sock") or name in own or name.partition("-")[0] not in topics:
                continue
            try:
                self._sender.sendto(b"", self._address(name))
            except ConnectionRefusedError:  # nobody is behind it any more
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
            except OSError:  # it has rings enough waiting for it, or it has just gone
                continue
