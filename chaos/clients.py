"""The clients of the load run: each asks one kind of thing again and again, and looks hard at every answer.

While the server is being replaced a client may fail to connect, or find that its idle connection was closed under it;
it then asks again. At any other time, and for any unexpected status, that is an error.
"""

import asyncio
import random
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx2

from chaos.deeds import LINE
from steward.event import event_id, event_sequence

_ANSWER_S: Final = 60.0
_AGAIN_S: Final = 0.1
_PAGES: Final = 4
_MOST_EVENTS: Final = 300
"""A follower hangs up after at most so many, and resumes."""
_SHOWN_ERRORS: Final = 20


@dataclass(slots=True)
class Tenant:
    """One workspace and what its clients know."""

    name: str
    token: str = field(repr=False)
    followers: list["Follower"] = field(default_factory=list)


@dataclass
class Crowd:
    """What all clients share."""

    address: str
    log: Path
    """Where the jobs write their lines."""
    until: float = 0.0
    """When the clients stop, on the loop's clock."""
    restarting: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    again: int = 0
    """Requests that met no server while it was being replaced."""
    labels: list[str] = field(default_factory=list)
    """What was accepted."""
    unanswered: int = 0
    """Accepted, but the answer did not arrive."""
    resumed: int = 0
    errors: list[str] = field(default_factory=list)
    _trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @property
    def goes_on(self) -> bool:
        """Whether clients should ask again."""
        return asyncio.get_running_loop().time() < self.until

    def wrong(self, sentence: str) -> None:
        """Note an error."""
        if len(self.errors) < _SHOWN_ERRORS:
            self.errors.append(sentence)

    @asynccontextmanager
    async def client(self, tenant: Tenant) -> AsyncIterator[httpx2.AsyncClient]:
        """Yield a connection of its own."""
        async with httpx2.AsyncClient(
            base_url=self.address,
            headers={"Authorization": f"Bearer {tenant.token}"},
            timeout=_ANSWER_S,
            trust_env=False,
            verify=self._trust,
        ) as client:
            yield client

    async def ask(
        self, client: httpx2.AsyncClient, kind: str, method: str, path: str, status: HTTPStatus, **rest: Any
    ) -> Any:
        """Return the answer's document, asking again only while the server is being replaced; None: it was an error."""
        while True:
            expected, began = self.restarting, time.monotonic()
            try:
                answer = await client.request(method, path, **rest)
            except httpx2.TransportError as error:
                if not (expected or self.restarting):
                    self.wrong(f"{kind}: {type(error).__name__} {error}")
                    return None
                self.again += 1
                await asyncio.sleep(_AGAIN_S)
                continue
            self.asked[kind] += 1
            self.slowest_s[kind] = max(self.slowest_s.get(kind, 0.0), time.monotonic() - began)
            if answer.status_code != status:
                self.wrong(f"{kind}: {answer.status_code} {answer.text[:200]}")
                return None
            return answer.json()


async def plans(crowd: Crowd, tenant: Tenant) -> None:
    """Turn sentences into plans."""
    async with crowd.client(tenant) as client:
        while crowd.goes_on:
            prompt = f"write 'number {secrets.token_hex(4)}' to notes/today.txt"
            found = await crowd.ask(client, "plan", "POST", "/ai/plan", HTTPStatus.OK, json={"prompt": prompt})
            if found and [step["action_id"] for step in found["steps"]] != ["file.write"]:
                crowd.wrong(f"plan: not the plan that was asked for: {found['steps']}")


async def executes(crowd: Crowd, tenant: Tenant) -> None:
    """Submit jobs, each under a key of its own."""
    async with crowd.client(tenant) as client:
        while crowd.goes_on:
            label = f"{tenant.name}-{secrets.token_hex(8)}"
            body = {"actions": [{"action_id": LINE, "params": {"path": str(crowd.log), "label": label}}]}
            key = {"Idempotency-Key": label}
            path = "/ai/execute"
            found = await crowd.ask(client, "execute", "POST", path, HTTPStatus.ACCEPTED, json=body, headers=key)
            if found:
                crowd.labels.append(label)
                crowd.unanswered += bool(found["duplicate"])


async def lists(crowd: Crowd, tenant: Tenant) -> None:
    """Walk down the first pages of the jobs, over and over."""
    async with crowd.client(tenant) as client:
        while crowd.goes_on:
            seen, cursor = list[str](), None
            for _ in range(_PAGES):
                query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
                page = await crowd.ask(client, "list", "GET", "/ai/jobs", HTTPStatus.OK, params=query)
                if not page:
                    break
                seen += [job["job_id"] for job in page["jobs"]]
                if (cursor := page["next_cursor"]) is None:
                    break
            if seen != sorted(set(seen), reverse=True):
                crowd.wrong("list: a walk showed a job twice or out of order")


class Follower:
    """Follows a workspace's events from the first one on, hangs up now and then, and resumes where it was."""

    def __init__(self, crowd: Crowd, tenant: Tenant) -> None:
        """Nothing seen yet."""
        self.seen = 0
        """The number of the last event; every one up to it came exactly once."""
        self._crowd = crowd
        self._tenant = tenant
        tenant.followers.append(self)

    async def follow(self) -> None:
        """Go on until cancelled."""
        async with self._crowd.client(self._tenant) as client:
            while True:
                expected = self._crowd.restarting
                try:
                    await self._once(client, random.randint(1, _MOST_EVENTS))
                except httpx2.TransportError as error:
                    if not (expected or self._crowd.restarting):
                        self._crowd.wrong(f"events: {type(error).__name__} {error}")
                    self._crowd.again += 1
                    await asyncio.sleep(_AGAIN_S)

    async def _once(self, client: httpx2.AsyncClient, most: int) -> None:
        where = {"Last-Event-ID": event_id(self.seen)}
        async with client.sse("/ai/events", headers=where) as stream:
            if stream.response.status_code != HTTPStatus.OK:
                await stream.response.aread()
                self._crowd.wrong(f"events: {stream.response.status_code} {stream.response.text[:200]}")
                return
            self._crowd.resumed += 1
            count = 0
            async for event in stream:
                if not event.data:  # the greeting, which repeats where the stream begins
                    continue
                if event.event == "bye":
                    return
                self._take(event.id)
                count += 1
                if count >= most:
                    return

    def _take(self, name: str) -> None:
        number = event_sequence(name) or 0
        if number != self.seen + 1:
            self._crowd.wrong(f"events: {self._tenant.name} saw {number} after {self.seen}")
        self.seen = number
        self._crowd.asked["events"] += 1
