"""An open installation with its API in front, for tests: real database, real keys, and a worker when one is asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.clock import Clock
from steward.directory import LOCAL_ACTOR
from steward.errors import Conflict
from steward.identity import Role
from steward.settings import Settings
from steward.web.app import Limits, create_app
from steward.web.server import Server
from tests.asking import Asking
from tests.databases import lay_out

SECRET = "a secret for tests that is long enough to be one"


@dataclass
class House:
    """One installation."""

    app: Application
    api: FastAPI
    rooms: AsyncExitStack
    """Closes the clients that tests opened."""
    _serving: dict[Server, asyncio.Task[None]] = field(default_factory=dict)

    async def key(
        self,
        workspace_id: str = "acme",
        role: Role = Role.DEVELOPER,
        expires_in: timedelta | None = None,
        owner: str | None = None,
    ) -> str:
        """Return a fresh API key, making the workspace and the member that owns it if need be."""
        if role is not Role.OPERATOR:
            with suppress(Conflict):
                await self.app.directory.create_workspace(workspace_id, workspace_id.title(), by=LOCAL_ACTOR)
        key, token = mint_key(self.app.ids, self.app.clock, workspace_id, role, "office", expires_in, owner=owner)
        if owner is not None:
            await self.app.directory.set_member(workspace_id, owner, by=LOCAL_ACTOR)
        await self.app.directory.add_key(key, by=LOCAL_ACTOR)
        return token

    async def client(
        self, workspace_id: str = "acme", role: Role = Role.DEVELOPER, owner: str | None = None
    ) -> httpx2.AsyncClient:
        """Return a client with a key of its own, in front of the API without a network between."""
        return await self.client_with(await self.key(workspace_id, role, owner=owner))

    async def client_with(self, token: str | None, address: str = "127.0.0.1") -> httpx2.AsyncClient:
        """Return a client at ``address`` that presents ``token``."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.api, client=(address, 50_000)),
            base_url="http://steward.test",
            headers=headers,
        )
        return await self.rooms.enter_async_context(client)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Run a worker while the block does."""
        stop = asyncio.Event()
        worker = self.app.worker(concurrency=4)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    @asynccontextmanager
    async def served(self) -> AsyncIterator[tuple[Server, str]]:
        """Serve the API on a free port of this machine while the block runs; yields the server and its address."""
        server = Server(self.api, host="127.0.0.1", port=0)
        serving = self._serving[server] = asyncio.create_task(server.serve())
        try:
            await server.listening.wait()
            yield server, f"http://127.0.0.1:{server.port}"
        finally:
            server.should_exit = True
            await serving

    async def stopped(self, server: Server) -> None:
        """Wait until a served server has stopped by itself."""
        await asyncio.wait({self._serving[server]})


@asynccontextmanager
async def open_house(
    home: Path,
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
    asking: Asking | None = None,
    **env: str,
) -> AsyncIterator[House]:
    """Open an installation in ``home`` with the actions of these tests; ``asking`` rules that ask, ``env`` more settings."""
    variables = {
        "STEWARD_HOME": str(home),
        "STEWARD_SECRET_KEY": SECRET,
        "STEWARD_ACTIONS": "tests.web.sample_actions",
        **env,
    }
    await lay_out(home, env)
    async with (
        open_application(Settings.load(variables), clock=clock, around_policies=asking) as app,
        AsyncExitStack() as rooms,
    ):
        yield House(app, create_app(app, limits=limits), rooms)


def echo(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return an item of ``actions`` that runs ``sample.echo``."""
    return {"action_id": "sample.echo", "params": {"text": text}, **more}


def assert_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that ``answer`` is a whole problem document with the headers of every answer, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= document.keys()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"urn:steward:problem:{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert_marked(answer)
    assert "Traceback" not in answer.text
    return document


def assert_marked(answer: httpx2.Response) -> None:
    """Check the headers that every answer carries."""
    headers = answer.headers
    assert headers["x-request-id"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
