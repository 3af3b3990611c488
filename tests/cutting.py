"""Requests that are sent again and again while somebody cuts connections: each is to be made once, whatever its sender heard."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from steward.errors import StoreUnavailable
from steward.identity import Principal
from steward.work_store import Submitted
from tests.contracts.builders import ALPHA, BETA, World, request_claim

_CLIENTS: Final = 9
_EACH: Final = 6
_PAUSES_S: Final = (0.001, 0.004, 0.012)


@contextmanager
def cutting(cut: Callable[[], int]) -> Iterator[list[int]]:
    """Cut connections on a thread of its own, again and again; yield how many were cut each time."""
    stop, cuts = threading.Event(), list[int]()

    def go_on() -> None:
        while not stop.wait(_PAUSES_S[len(cuts) % len(_PAUSES_S)]):
            cuts.append(cut())

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield cuts
    finally:
        stop.set()
        thread.join()


def _who(client: int) -> Principal:
    return BETA if client % 2 else ALPHA


async def send_all(world: World) -> dict[tuple[int, int], Submitted]:
    """Send requests of two workspaces, each until it is answered; every third client gives up waiting for the first answer."""
    made: dict[tuple[int, int], Submitted] = {}

    async def client(number: int) -> None:
        for request in range(_EACH):
            gives_up = number % 3 == 0
            while (number, request) not in made:
                claims = [request_claim(f"{number}-{request}")]
                sending = asyncio.create_task(world.submit(who=_who(number), claims=claims))
                if gives_up:
                    gives_up = False
                    await asyncio.wait((sending,), timeout=0)
                    sending.cancel()
                ((sending,), _) = await asyncio.wait((sending,))
                if sending.cancelled() or isinstance(sending.exception(), StoreUnavailable):
                    continue
                made[number, request] = sending.result()

    async with asyncio.timeout(60):
        await asyncio.gather(*map(client, range(_CLIENTS)))
    return made


async def assert_made_once(world: World, made: dict[tuple[int, int], Submitted]) -> None:
    """Each answer was the request's own, each request is one plan of its workspace, one job and one event."""
    for (number, request), answer in made.items():
        again = None
        while again is None:
            with suppress(StoreUnavailable):  # of a connection that was cut as the last, and is found so now
                again = await world.submit(who=_who(number), claims=[request_claim(f"{number}-{request}")])
        assert (again.duplicate, again.plan_id, again.job_ids) == (True, answer.plan_id, answer.job_ids)
    for who in (ALPHA, BETA):
        mine = {answer.plan_id for (number, _), answer in made.items() if _who(number) is who}
        plans = (await world.engine.open(who).list_plans(limit=100)).plans
        assert ({plan.plan_id for plan in plans}, len(plans)) == (mine, len(mine))
        assert await world.engine.open(who).queue_depth() == len(mine)
        assert sorted(str(event.plan_id) for event in await world.log(who)) == sorted(mine)
