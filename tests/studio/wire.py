"""The line between a browser and its server: a plain TCP relay that a test can cut and mend."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Wire:
    """Relays every connection to a server on this machine, while it is whole."""

    def __init__(self, port: int) -> None:
        """Lead to ``port``."""
        self._port = port
        self._whole = True
        self._ends: list[socket.socket] = []
        self._lines: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """Where the server is, through this wire."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Begin to relay."""
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in [self._thread, *self._lines]:
            thread.join()
        self._listening.close()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        with self._lock:
            self._whole = False
            ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):  # it has ended already
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Relay again."""
        with self._lock:
            self._whole = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                line = threading.Thread(target=self._line, args=(near,))
                self._lines.append(line)
                line.start()

    def _line(self, near: socket.socket) -> None:
        """Relay one connection both ways until either end, or a test, ends it."""
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            with self._lock:
                self._ends += [near, far]
                whole = self._whole
            if not whole:
                return
            back = threading.Thread(target=_relay, args=(far, near))
            back.start()
            _relay(near, far)
            back.join()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65_536):
            sink.sendall(part)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
