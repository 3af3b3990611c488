"""How processes on one SQLite file wake each other: a datagram after the commit, never polling.

Whoever listens binds a Unix datagram socket ``<topic>-<random>.sock`` in ``STEWARD_HOME/bells``; whoever has committed
something sends one datagram to each. Sockets of processes that died are removed by the next ring.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from steward.database.bell import EVERYBODY, MOST_NAMED, Bell, read, written
from steward.errors import ConfigurationError

_RING_BYTES: Final = 1024
_MAX_SOCKET_PATH: Final = 100
"""Operating systems take at most 104 to 108 bytes."""


class Doorbell(Bell):
    """Rings listeners of a topic in this process and in every other one with the same folder. Use from one event loop."""

    def __init__(self, folder: Path | None) -> None:
        """Use ``folder`` for the sockets; None: this process only."""
        super().__init__()
        self._folder = folder
        self._sockets: dict[str, tuple[socket.socket, str]] = {}
        self._sender: socket.socket | None = None
        self._directory = -1

    def close(self) -> None:
        """Remove this process's sockets; from now on nobody elsewhere is rung."""
        super().close()
        for topic in list(self._sockets):
            self._leave(topic)
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

    def _attend(self, topic: str) -> None:
        if self._folder is None:
            return
        name = f"{topic}-{secrets.token_hex(8)}.sock"
        unfinished = f"{name}.new"  # seen by nobody: between its file and itself a socket looks like a dead one
        address = self._address(unfinished)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.setblocking(False)
        bell.bind(address)
        os.rename(unfinished, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        asyncio.get_running_loop().add_reader(bell, self._heard, topic, bell)
        self._sockets[topic] = (bell, name)

    def _leave(self, topic: str) -> None:
        bell, name = self._sockets.pop(topic, (None, ""))
        if bell is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            asyncio.get_running_loop().remove_reader(bell)
        bell.close()
        with contextlib.suppress(FileNotFoundError):
            (self._open_folder() / name).unlink()

    def _heard(self, topic: str, bell: socket.socket) -> None:
        rings: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                rings.append(bell.recv(_RING_BYTES).decode("utf-8", "replace"))
        # behind the last of many one may have been lost
        self._sound(topic, read(rings) if len(rings) < MOST_NAMED else {EVERYBODY})

    def _tell(self, pending: Mapping[str, set[str]]) -> None:
        if self._folder is None:
            return
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        own = {name for _, name in self._sockets.values()}
        self._open_folder()
        for name in os.listdir(self._directory):  # noqa: PTH208 - through the open folder, however long its name
            concerned = pending.get(name.partition("-")[0])
            if concerned is None or not name.endswith(".sock") or name in own:
                continue
            try:
                self._sender.sendto(written(concerned).encode(), self._address(name))
            except ConnectionRefusedError:  # nobody is behind it any more
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
            except OSError:  # it has rings enough waiting for it, or it has just gone
                continue
