"""What happens around every request, whatever route it takes or misses: pure ASGI, so that streams pass through unbuffered.

``Envelope`` (outermost) gives each request its id and each answer its headers, counts it, writes the one log line, and
turns what nobody foresaw into a plain 500. ``BodyLimit`` bounds how much and how long a client may send; it acts where
the body is read, so what is refused before that is refused unread.
"""

import asyncio
import re
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steward.errors import BodyTooLarge, StewardError
from steward.ids import IdFactory
from steward.telemetry import Telemetry
from steward.web.problems import BodyTooSlow, problem, unforeseen
from steward.web.request_facts import RequestFacts, facts_of, keep_facts, route_of

_LENGTH_DIGITS: Final = 20
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = structlog.get_logger("steward.web")


class Envelope:
    """Identifies, marks, counts and logs every request, and answers for what went wrong inside."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, ids: IdFactory) -> None:
        """Wrap ``app``."""
        self._app = app
        self._telemetry = telemetry
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).getlist("x-request-id")
        kept = len(offered) == 1 and _REQUEST_ID.fullmatch(offered[0])
        facts = RequestFacts(offered[0] if kept else self._ids.new("req"), scope["method"])
        bodiless = facts.method == "HEAD"
        if bodiless:  # as GET, in a copy: the server, which has the original, sends no body
            scope = {**scope, "method": "GET"}
        keep_facts(scope, facts)
        began = time.perf_counter()
        status, ended = 0, False

        async def marked(message: Message) -> None:
            nonlocal status, ended
            if bodiless and message["type"] == "http.response.body":
                if not ended:  # all of it: a stream would never end
                    ended = True
                    await send({"type": "http.response.body"})
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({**SECURITY_HEADERS, "X-Request-ID": facts.request_id, **facts.headers})
                self._count(scope, facts, status, time.perf_counter() - began)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=facts.request_id):
            try:
                await self._app(scope, receive, marked)
            except ClientDisconnect:
                _log.info("The client went away.", action="client_gone", route=route_of(scope))
            except Exception:  # noqa: BLE001 - the last door: whatever it is, the client gets a plain 500
                _log.exception("A request failed.", action="request_failed", route=route_of(scope))
                if not status:
                    await unforeseen(facts.request_id)(scope, receive, marked)
            finally:
                structlog.contextvars.unbind_contextvars("workspace_id")

    def _count(self, scope: Scope, facts: RequestFacts, status: int, seconds: float) -> None:
        """Count and log an answer as it begins: a stream that stays open for hours is no slow answer."""
        workspace_id = facts.principal.workspace_id if facts.principal else None
        route = route_of(scope)
        self._telemetry.http_request(facts.method, route, status, seconds)
        if facts.decision is not None:
            self._telemetry.security_decision(facts.decision, workspace_id)
        _log.info(
            "A request was answered.",
            action="request_answered",
            method=facts.method[:16],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
        )


class BodyLimit:
    """Refuses a body by its declared length, by its real length while it streams, and by how long it takes."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int, timeout_s: float) -> None:
        """Wrap ``app``."""
        self._app = app
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, with a bounded ``receive``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = _BoundedBody(receive, Headers(scope=scope), self._limit_bytes, self._timeout_s)
        try:
            await self._app(scope, bounded, send)
        except StewardError as error:  # a part of the app that has no problem handlers of its own read the body
            if bounded.refused is not error:
                raise
            await problem(error, facts_of(scope).request_id)(scope, receive, send)


class _BoundedBody:
    """One request's ``receive``, which raises once the body is too long or too slow."""

    def __init__(self, receive: Receive, headers: Headers, limit_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._left = limit_bytes
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._complete = False
        declared = headers.get("content-length", "")[:_LENGTH_DIGITS]
        self._declared = int(declared) if declared.isdecimal() else 0
        self.refused: StewardError | None = None

    async def __call__(self) -> Message:
        if self._complete:  # what comes now is the client going away, whenever it does
            return await self._receive()
        if self._declared > self._limit_bytes:
            raise self._refusal(BodyTooLarge(f"The body may have at most {self._limit_bytes} bytes."))
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise self._refusal(BodyTooSlow()) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._refusal(BodyTooLarge(f"The body may have at most {self._limit_bytes} bytes."))
        self._complete = not message.get("more_body", False)
        return message

    def _refusal(self, error: StewardError) -> StewardError:
        self.refused = error
        return error
