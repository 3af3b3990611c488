"""The workspace's events as Server-Sent Events, resumable without loss.

An event's id is its place in the log, so a client that reconnects with ``Last-Event-ID`` goes on where it was. A stream
waits for the store to ring, for the server to stop and, before it tells anything and every now and then, asks again whether
its credential is still good; it never polls. FastAPI writes the wire format and the keep-alive comments.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from steward.clock import rfc3339
from steward.errors import BadRequest, Forbidden, NotFound, RateLimited, StoreUnavailable, Unauthenticated
from steward.event import Event, event_id, event_sequence
from steward.identity import Principal
from steward.web.dependencies import Previewer, Services, known_shape, principal_of, work_of
from steward.web.openapi import event_stream
from steward.web.secured_route import SecuredRoute
from steward.work_store import MAX_PAGE, Listener, WorkStore

RECHECK_S: Final = 15.0
"""How long, in seconds, a stream on which nothing happens may outlive its credential."""
_RETRY_STREAMS_S: Final = 5
_RECONNECT_MS: Final = 2000
_log = structlog.get_logger("steward.web")
router = APIRouter(prefix="/ai", tags=["events"], route_class=SecuredRoute)


@dataclass
class StreamLimit:
    """How many streams each workspace has open, and may have."""

    per_workspace: int
    _open: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def one(self, workspace_id: str) -> Iterator[None]:
        """Hold one of the workspace's streams; raise ``RateLimited`` when it has all of them open."""
        if self._open[workspace_id] >= self.per_workspace:
            raise RateLimited(
                "This workspace has as many event streams open as it may.",
                retry_after_s=_RETRY_STREAMS_S,
                facts={"rule": "event_streams", "limit": self.per_workspace},
            )
        self._open[workspace_id] += 1
        try:
            yield
        finally:
            self._open[workspace_id] -= 1
            if not self._open[workspace_id]:
                del self._open[workspace_id]


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a stream begins; everything that can be refused has been by then."""

    after: str
    plan_id: str | None
    asked: bool
    """Whether the client said where it was, so that it must be told of a gap."""


async def _start(
    principal: Previewer,
    services: Services,
    plan_id: Annotated[str | None, Query(description="Only events of this plan.")] = None,
    last_event_id: Annotated[
        str | None, Header(description="Go on after this event; `evt_0000000000000000`: everything that is kept.")
    ] = None,
) -> _Start:
    sequence = event_sequence(last_event_id)
    if last_event_id is not None and sequence is None:
        raise BadRequest("Last-Event-ID is not the id of an event.", code="invalid_event_id")
    store = work_of(services, principal)
    if plan_id is not None and await store.get_plan(known_shape(plan_id, "plan")) is None:
        raise NotFound
    if last_event_id is not None:
        return _Start(last_event_id, plan_id, asked=sequence != 0)
    if plan_id is not None:
        return _Start(event_id(0), plan_id, asked=False)
    now = await store.events_after(None, limit=1)
    return _Start(now.last_event_id, None, asked=False)


@dataclass(frozen=True, slots=True)
class _Bells:
    """What a stream waits for: the store's bell, and the server's stop."""

    listener: Listener
    stopping: asyncio.Task[Any]

    async def wait(self, timeout_s: float) -> None:
        """Return when something may have happened, the server stops, or ``timeout_s`` have passed."""
        rung = asyncio.ensure_future(self.listener.wait(timeout_s))
        try:
            await asyncio.wait({rung, self.stopping}, return_when=asyncio.FIRST_COMPLETED)
            if rung.done():
                rung.result()
        finally:
            rung.cancel()


async def _bells(request: Request, principal: Previewer, services: Services) -> AsyncIterator[_Bells]:
    """Hold one of the workspace's streams, and its bells, until the answer has ended in whatever way."""
    limit: StreamLimit = request.app.state.streams
    stopping = asyncio.ensure_future(request.app.state.stopping.wait())
    try:
        with limit.one(principal.workspace_id), work_of(services, principal).listen() as listener:
            yield _Bells(listener, stopping)
    finally:
        stopping.cancel()


def _document(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "type": event.type,
        "at": rfc3339(event.at),
        "actor_id": event.actor_id,
        "plan_id": event.plan_id,
        "job_id": event.job_id,
        "data": dict(event.data),
    }


@router.get(
    "/events",
    operation_id="events_stream",
    summary="Follow what happens",
    response_class=EventSourceResponse,
    responses=event_stream(404),
)
async def stream_events(
    request: Request,
    principal: Previewer,
    services: Services,
    start: Annotated[_Start, Depends(_start)],
    bells: Annotated[_Bells, Depends(_bells)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events: `id` is the event's, `event` its type, `data` JSON.

    Without `Last-Event-ID` the stream starts now, or with the plan's first event when `plan_id` is given. `event: gap`
    says that the log no longer reaches back: load again, then go on. `event: bye` says that the stream ends.
    """
    credential = _Credential(request, principal)
    yield ServerSentEvent(comment="listening", id=start.after, retry=_RECONNECT_MS)
    try:
        async for event in _follow(work_of(services, principal), start, bells, credential):
            yield event
    except StoreUnavailable:  # the client comes back with the last id it saw
        _log.warning("An event stream ended.", action="event_stream_ended", code=StoreUnavailable.code)
    yield ServerSentEvent(event="bye", data={"type": "bye"})


async def _follow(
    store: WorkStore, start: _Start, bells: _Bells, credential: "_Credential"
) -> AsyncIterator[ServerSentEvent]:
    """Yield events until the server stops or the credential is no longer good."""
    after, asked = start.after, start.asked
    while not bells.stopping.done() and await credential.still_good():
        page = await store.events_after(after, limit=MAX_PAGE, plan_id=start.plan_id)
        if page.gap and asked:
            yield ServerSentEvent(event="gap", data={"type": "gap", "last_event_id": page.last_event_id})
        asked = True
        if page.events and not await credential.still_good(at_once=True):
            return
        for event in page.events:
            yield ServerSentEvent(id=event.event_id, event=event.type, data=_document(event))
        if page.gap and page.last_event_id == after:  # an id from a log that is ahead of this one: go on with this one
            page = await store.events_after(None, limit=1)
        elif page.last_event_id == after:
            await bells.wait(RECHECK_S)
        after = page.last_event_id


class _Credential:
    """The credential that opened a stream, looked at again before events are told and every ``RECHECK_S`` seconds."""

    def __init__(self, request: Request, principal: Principal) -> None:
        self._request = request
        self._principal = principal
        self._checked_at = asyncio.get_running_loop().time()

    async def still_good(self, *, at_once: bool = False) -> bool:
        """Say whether the credential still stands for the same principal; unless ``at_once``, as of a moment ago."""
        now = asyncio.get_running_loop().time()
        if not at_once and now - self._checked_at < RECHECK_S:
            return True
        self._checked_at = now
        try:
            return await principal_of(self._request) == self._principal
        except (Unauthenticated, Forbidden):
            return False
