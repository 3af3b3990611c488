"""Ports that stay those of one test: between two starts of its server nobody else on the machine is given the number."""

import socket
from typing import Self


class HeldPort:
    """A port of 127.0.0.1 that the system gives to nobody, and at which a server that says SO_REUSEADDR may listen.

    It is bound, and nothing listens by it: so whoever connects while no server runs is refused, as by a free one.
    """

    def __init__(self) -> None:
        """Take a free one."""
        self._bound = socket.socket()
        self._bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bound.bind(("127.0.0.1", 0))
        self.number: int = self._bound.getsockname()[1]

    def __enter__(self) -> Self:
        """Hold it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self.close()

    def close(self) -> None:
        """Let the system give it to others."""
        self._bound.close()
