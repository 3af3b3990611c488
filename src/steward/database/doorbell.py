"""How processes on one SQLite file wake each other: a datagram after the commit, never polling.

Whoever listens binds a Unix datagram socket ``<topic>-<random>.sock`` in ``STEWARD_HOME/bells``; whoever has committed
something sends one datagram to each. A ring is only a hint ("look again"), so a lost one costs at most a listener's own
time-out. All that is inside it is whom it is about, so that what happens in one workspace does not wake those who follow
another. Sockets of processes that died are removed by the next ring.
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

_EVERYBODY: Final = ""
_MOST_NAMED: Final = 8
"""A ring about more than this is about everybody; so is the last of this many, for behind it one may have been lost."""
_BETWEEN: Final = ","
_RING_BYTES: Final = 1024
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
        self._listeners: dict[str, dict[_Listener, str]] = {}
        self._sockets: dict[str, tuple[socket.socket, str]] = {}
        self._sender: socket.socket | None = None
        self._pending: dict[str, set[str]] = {}
        self._directory = -1
        self._closed = False

    @contextlib.contextmanager
    def listen(self, topic: str, about: str = _EVERYBODY) -> Iterator[_Listener]:
        """Yield a listener for ``topic``, heard of by other processes while at least one is open.

        ``about`` is whose rings it hears beside those about everybody; blank: all.
        """
        listener = _Listener()
        group = self._listeners.setdefault(topic, {})
        if not group and self._folder is not None:
            self._bind(topic)
        group[listener] = about
        try:
            yield listener
        finally:
            del group[listener]
            if not group:
                self._unbind(topic)

    def ring(self, topic: str, about: str = _EVERYBODY) -> None:
        """Wake listeners of ``topic`` here at once, and elsewhere at the end of this turn of the event loop.

        ``about``: whom it concerns; blank: everybody.
        """
        self._sound(topic, {about})
        if self._folder is not None and not self._closed:
            if not self._pending:
                asyncio.get_running_loop().call_soon(self._flush)
            self._pending.setdefault(topic, set()).add(about)

    def _sound(self, topic: str, concerned: set[str]) -> None:
        for listener, about in self._listeners.get(topic, {}).items():
            if about in concerned or _EVERYBODY in concerned or about == _EVERYBODY:
                listener.ring()

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
        rings: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                rings.append(bell.recv(_RING_BYTES).decode("utf-8", "replace"))
        named = {name for ring in rings for name in ring.split(_BETWEEN)}
        self._sound(topic, named if len(rings) < _MOST_NAMED else {_EVERYBODY})

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        if self._closed:
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
                self._sender.sendto(_ring(concerned), self._address(name))
            except ConnectionRefusedError:  # nobody is behind it any more
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._directory)
            except OSError:  # it has rings enough waiting for it, or it has just gone
                continue


def _ring(concerned: set[str]) -> bytes:
    """Return what a datagram says of whom it is about."""
    few = _EVERYBODY not in concerned and len(concerned) <= _MOST_NAMED
    return (_BETWEEN.join(sorted(concerned)) if few else _EVERYBODY).encode()
