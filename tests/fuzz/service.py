"""A whole service for fuzzing: the API behind a real server, a worker beside it, all on a thread of its own.

The tests stay plain functions, which is what hypothesis wants, and speak to it over loopback like any client.
"""

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
from hypothesis import HealthCheck, settings

from steward.identity import Role
from steward.rate_limit import RateRule
from tests.asking import Asking
from tests.web.house import open_house

SCALE: Final = int(os.environ.get("FUZZ_SCALE", "1"))
"""How many times as many examples as in the everyday run."""
NO_NETWORK: Final = "http.get,webhook.post"
"""Made-up requests must not leave this machine."""
ASKS: Final = "may I"
"""The text for which ``sample.count`` asks."""


RATES: Final = ",".join(f"{rule}=99999999/minute" for rule in RateRule)
"""The limits are there, and never reached."""
_START_S: Final = 30.0
_TRUST: Final = ssl.create_default_context()
"""Shared, since reading the authorities takes longer than a dozen requests."""


def examples(number: int) -> settings:
    """Return the settings of a property that tries ``number`` examples, and more in the long form."""
    return settings(
        max_examples=number * SCALE,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


@dataclass(frozen=True, slots=True)
class Service:
    """Where it listens, and who may speak to it."""

    address: str
    token: str = field(repr=False)
    other_token: str = field(repr=False)
    """Of another workspace."""

    @property
    def actor(self) -> str:
        """The id of the key that ``token`` is."""
        return "key_" + self.token.split("_")[1]

    def client(self, token: str | None = None) -> httpx2.Client:
        """Return a client that presents ``token`` (blank: none; None: the usual one)."""
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=30, verify=_TRUST)


class _Runner:
    """The thread, and what it and the tests tell each other."""

    def __init__(self, home: Path, asking: Asking) -> None:
        self._home = home
        self._asking = asking
        self._ready = threading.Event()
        self._service: Service | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="fuzzed-service")

    def start(self) -> Service:
        self._thread.start()
        assert self._ready.wait(_START_S), "the service did not start"
        assert self._service is not None, self._error
        return self._service

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)
        assert not self._thread.is_alive(), "the service did not stop"
        if self._error is not None:
            raise self._error

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is raised where the test stops the service
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with (
            open_house(self._home, asking=self._asking, ACTION_DENYLIST=NO_NETWORK, STEWARD_RATE_LIMITS=RATES) as house,
            house.worker(),
            house.served() as (_, address),
        ):
            self._service = Service(
                address=address,
                token=await house.key("acme", Role.ADMIN, owner="anna"),
                other_token=await house.key("beta", Role.ADMIN),
            )
            self._ready.set()
            await self._stop.wait()


@contextmanager
def running_service(home: Path, asking: Asking | None = None) -> Iterator[Service]:
    """Run a service in ``home`` while the block does; whatever broke it there is raised at the end.

    ``asking``: rules that ask; unless given, ``sample.count`` asks when its text is ``ASKS``.
    """
    if asking is None:
        asking = Asking()
        asking.ask("sample.count", when=lambda params: params.get("text") == ASKS)
    runner = _Runner(home, asking)
    service = runner.start()
    try:
        yield service
    finally:
        runner.stop()
