"""A planning as it is answered: with the plan alone, or as Server-Sent Events that tell how far it is and end with the plan.

Either way it goes on only as long as somebody waits for it: whoever closes the connection stops the question to the language
model too. What the last event holds is, to the byte, what would have been the whole answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Self

from fastapi import Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from steward.errors import StewardError
from steward.planner import Progress, Tell, untold
from steward.telemetry import Telemetry
from steward.web.json_answer import json_answer
from steward.web.problems import answer_to

Planning = Callable[[Tell], Coroutine[Any, Any, dict[str, Any]]]
STREAM: Final = "text/event-stream"
KEEP_ALIVE_S: Final = 15.0
"""How long, in seconds, a stream may be silent before it says that it is alive."""
_ALIVE: Final = format_sse_event(comment="planning")
_NO_BUFFER: Final = {"X-Accel-Buffering": "no"}
_END: Final = b""


class PlanningCount:
    """Counts one request to the planner, however it ends."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Tell ``telemetry``."""
        self._telemetry = telemetry

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.perf_counter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Count how it ended."""
        self._telemetry.planner_request(_status(error), time.perf_counter() - self._began)


def _status(error: BaseException | None) -> str:
    if isinstance(error, asyncio.CancelledError | ClientDisconnect):
        return "cancelled"
    refused = isinstance(error, StewardError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "ok" if error is None else "refused" if refused else "error"


async def planned(request: Request, telemetry: Telemetry, planning: Planning) -> Response:
    """Return what a planning comes to; where ``Accept`` names ``text/event-stream`` first, what it is at as well."""
    if _wants_stream(request):
        return EventSourceResponse(_told(request, telemetry, planning), headers=_NO_BUFFER)
    with PlanningCount(telemetry):
        return json_answer(await _while_there(request, planning(untold)))


def _wants_stream(request: Request) -> bool:
    first = request.headers.get("accept", "").split(",")[0]
    return first.split(";")[0].strip().lower() == STREAM


async def _told(request: Request, telemetry: Telemetry, planning: Planning) -> AsyncIterator[bytes]:
    """Yield what is told until the planning has ended, and then how."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(progress: Progress) -> None:
        heard.put_nowait(_event("progress", json_answer(progress.as_dict())))

    async def to_its_end() -> None:
        try:
            with PlanningCount(telemetry):
                ended = _event("plan", json_answer(await planning(tell)))
        except Exception as error:  # noqa: BLE001 - the answer has begun, so this is the place to say what went wrong
            ended = _event("error", await answer_to(request, error))
        heard.put_nowait(ended)

    under_way = asyncio.ensure_future(_while_there(request, to_its_end()))
    under_way.add_done_callback(lambda _: heard.put_nowait(_END))
    try:
        while part := await _soon(heard):
            yield part
    finally:
        under_way.cancel()
        with suppress(asyncio.CancelledError, ClientDisconnect):
            await under_way


async def _soon(heard: asyncio.Queue[bytes]) -> bytes:
    """Return the next thing to tell; a sign of life if there is none for a while."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            return await heard.get()
    except TimeoutError:
        return _ALIVE


def _event(name: str, answer: Response) -> bytes:
    """Return what would have been a whole answer as an event; when another try makes sense goes along, in milliseconds."""
    wait_s = answer.headers.get("retry-after")
    retry = None if wait_s is None else int(wait_s) * 1000
    return format_sse_event(event=name, data_str=bytes(answer.body).decode(), retry=retry)


async def _while_there(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Return what ``work`` returns; cancel it, and raise ``ClientDisconnect``, once nobody waits for the answer any more."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    """Return once the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
