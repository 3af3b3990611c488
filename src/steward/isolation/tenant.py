"""One of the two workspaces: its keys, what it holds, and how it speaks to the server at the server's own pace."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx2

from steward.identity import Role
from steward.isolation.forge import Forge, Request
from steward.isolation.values import Canaries, Holdings

ROLES: Final = (Role.ADMIN, Role.DEVELOPER, Role.APPROVER, Role.AUDITOR, Role.VIEWER)
"""Every role of a workspace, the mightiest first."""
REQUEST_ID: Final = "isolation-{tag}-{number:08}"
_TIMEOUT_S: Final = 30.0
_QUIET_S: Final = 0.05
"""How long a stream has to be quiet for what it had to say to be over, in seconds."""
_MOST_WAITS: Final = 20
_LONGEST_WAIT_S: Final = 60.0


class CannotAudit(Exception):
    """The audit cannot be carried out; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str
    document: Any
    """The JSON in it; None if it is none."""

    @property
    def good(self) -> bool:
        """Whether it is a success."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def everything(self) -> str:
        """Headers and body, to be searched."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers.items()), self.text])


@dataclass
class Tenant:
    """A workspace with a key for every role."""

    tag: str
    workspace_id: str
    tokens: Mapping[Role, str]
    http: httpx2.AsyncClient
    canaries: Canaries = field(init=False)
    holdings: Holdings = field(default_factory=Holdings)
    sent: int = 0
    waited_s: float = 0.0

    def __post_init__(self) -> None:
        """Know oneself."""
        self.canaries = Canaries(self.tag)
        self.holdings.add("workspace_id", self.workspace_id)
        for token in self.tokens.values():
            self.holdings.tools.add(key_id := f"key_{token.split('_')[1]}")
            self.holdings.add("actor_id", key_id)

    @property
    def forge(self) -> Forge:
        """What makes its requests."""
        return Forge(self.holdings, self.canaries)

    def headers(self, role: Role | None) -> dict[str, str]:
        """Return the headers of one more request with the key of a role (None: without a credential)."""
        self.sent += 1
        given = {"X-Request-ID": REQUEST_ID.format(tag=self.tag, number=self.sent)}
        return given if role is None else {**given, "Authorization": f"Bearer {self.tokens[role]}"}

    async def send(self, request: Request, role: Role | None = Role.ADMIN) -> Answer:
        """Send a request, again and later where the server says that it is too much; return the answer."""
        quoted = {name: quote(value, safe="") for name, value in request.in_path.items()}
        path = request.operation.path.format(**quoted)
        headers = {name: value.encode() for name, value in request.headers.items()}
        return await self.call(
            request.operation.method, path, role, params=request.query, json=request.body, more_headers=headers
        )

    async def call(
        self, method: str, path: str, role: Role | None = Role.ADMIN, *, more_headers: Any = None, **parts: Any
    ) -> Answer:
        """Send a request to a path."""
        for _ in range(_MOST_WAITS):
            headers = {**self.headers(role), **(more_headers or {})}
            try:
                response = await self._response(method, path, headers=headers, **parts)
            except httpx2.TransportError as error:
                raise CannotAudit(
                    f"The server stopped answering at {method} {path} ({type(error).__name__})."
                ) from error
            self.http.cookies.clear()  # a session that was opened on the way is nobody's credential here
            if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                return _answer(response)
            pause = min(float(response.headers.get("retry-after", "1")), _LONGEST_WAIT_S)
            self.waited_s += pause
            await asyncio.sleep(pause)
        raise CannotAudit(f"{method} {path} is answered with 429 whatever the pace; raise the limits for the audit.")

    async def _response(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        """Return the whole answer, or of one that never ends what comes before it is quiet."""
        async with self.http.stream(method, path, timeout=_TIMEOUT_S, **parts) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aread()
                return response
            lines = response.aiter_lines()
            heard = [await anext(lines)]
            with suppress(TimeoutError, StopAsyncIteration):
                while True:
                    heard.append(await asyncio.wait_for(anext(lines), _QUIET_S))
        return httpx2.Response(response.status_code, headers=_without_length(response.headers), text="\n".join(heard))

    async def own(self, request: Request, role: Role = Role.ADMIN) -> Answer:
        """Send a request of its own and remember what it and a good answer to it hold."""
        answer = await self.send(request, role)
        if answer.good:
            self.holdings.learn(request.body)
            for name, value in (*request.headers.items(), *request.in_path.items()):
                self.holdings.add(name, value)
            self.holdings.learn(answer.document)
        return answer

    @asynccontextmanager
    async def listening(self, path: str, role: Role = Role.ADMIN) -> AsyncIterator[list[str]]:
        """Listen to a stream of events while the block runs; yields the lines that have come."""
        heard: list[str] = []
        async with self.http.stream("GET", path, headers=self.headers(role), timeout=None) as response:
            lines = response.aiter_lines()
            heard.append(await anext(lines))

            async def listen() -> None:
                async for line in lines:
                    heard.append(line)  # noqa: PERF401 - it is read meanwhile

            task = asyncio.create_task(listen())
            try:
                yield heard
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError, httpx2.TransportError):
                    await task


def _without_length(headers: httpx2.Headers) -> dict[str, str]:
    dropped = {"content-length", "transfer-encoding", "content-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in dropped}


def _answer(response: httpx2.Response) -> Answer:
    try:
        document = response.json()
    except ValueError:
        document = None
    return Answer(response.status_code, dict(response.headers), response.text, document)
