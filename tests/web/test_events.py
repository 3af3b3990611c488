"""The stream of events: live, resumable without loss, bounded, and gone in no time when the server stops."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi.routing
import httpx2
import pytest

from steward.directory import LOCAL_ACTOR
from steward.web import events
from steward.web.app import Limits
from tests.conftest import FakeClock
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
BEGINNING = {"Last-Event-ID": "evt_0000000000000000"}


class Stream:
    """Reads Server-Sent Events off an open answer."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def frame(self) -> dict[str, str]:
        """Return the next frame's fields; a comment stands under ``comment``; none at the end."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(": ")
            fields[name or "comment"] = value
        return fields

    async def event(self) -> dict[str, str]:
        """Return the next frame that is an event."""
        frame = await self.frame()
        while frame and "event" not in frame:
            frame = await self.frame()
        return frame

    async def types(self, number: int) -> list[str]:
        """Return the types of the next events."""
        return [(await self.event())["event"] for _ in range(number)]


@asynccontextmanager
async def streaming(
    client: httpx2.AsyncClient, headers: dict[str, str] | None = None, **query: str
) -> AsyncIterator[Stream]:
    """Open a stream and wait until it listens."""
    async with client.stream("GET", "/ai/events", headers=headers, params=query, timeout=10) as answer:
        stream = Stream(answer)
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "comment" in await stream.frame()
        yield stream


@asynccontextmanager
async def served(house: House, workspace_id: str = "acme") -> AsyncIterator[httpx2.AsyncClient]:
    """Serve the house and yield a client of its own over a real connection."""
    async with house.served() as (_, address):
        headers = {"Authorization": f"Bearer {await house.key(workspace_id)}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            yield client


@asynccontextmanager
async def neighbour(house: House, client: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client of another workspace on the same server."""
    headers = {"Authorization": f"Bearer {await house.key('beta')}"}
    async with httpx2.AsyncClient(base_url=client.base_url, headers=headers) as other:
        yield other


async def submit(client: httpx2.AsyncClient, *actions: dict[str, Any]) -> dict[str, Any]:
    """Put actions to work."""
    return (await client.post("/ai/execute", json={"actions": list(actions or (echo(),))})).json()


async def test_events_arrive_as_they_happen(house: House) -> None:
    """From now on: what was before does not show; id, type and data of each event agree."""
    async with served(house) as client:
        await submit(client)
        async with streaming(client) as stream, house.worker():
            done = await submit(client)
            seen = [await stream.event() for _ in range(2)]
            first = json.loads(seen[0]["data"])
            assert seen[0]["event"] == first["type"]
            assert seen[0]["id"] == first["event_id"]
            assert {"event_id", "type", "at", "plan_id", "job_id", "data"} <= first.keys()
            while (event := await stream.event())["event"] != "plan.completed" or (
                json.loads(event["data"])["plan_id"] != done["plan_id"]
            ):
                seen.append(event)
            ids = [event["id"] for event in seen]
            assert ids == sorted(set(ids))


async def test_a_stream_resumes_after_the_last_event_seen(house: House) -> None:
    """Whatever happened while nobody listened comes first, in order, once."""
    async with served(house) as client:
        done = [await submit(client) for _ in range(3)]
        async with streaming(client, BEGINNING) as stream:
            everything = [await stream.event() for _ in range(3)]
        assert [json.loads(event["data"])["plan_id"] for event in everything] == [each["plan_id"] for each in done]
        for position, event in enumerate(everything[:-1]):
            async with streaming(client, {"Last-Event-ID": event["id"]}) as stream:
                rest = [await stream.event() for _ in everything[position + 1 :]]
            assert rest == everything[position + 1 :]


async def test_a_client_that_saw_nothing_yet_resumes_where_it_began(house: House) -> None:
    """The first frame carries an id without an event, so a reconnect before the first event loses none."""
    async with served(house) as client:
        await submit(client)
        async with client.stream("GET", "/ai/events") as answer:
            first = await Stream(answer).frame()
        assert {"comment", "id", "retry"} <= first.keys()
        later = await submit(client)
        async with streaming(client, {"Last-Event-ID": first["id"]}) as stream:
            assert json.loads((await stream.event())["data"])["plan_id"] == later["plan_id"]


async def test_one_plans_events_are_replayed_from_its_first(house: House) -> None:
    """With ``plan_id`` the stream begins with the plan's own beginning and holds nothing else."""
    async with served(house) as client:
        await submit(client)
        done = await submit(client)
        await submit(client)
        async with streaming(client, plan_id=done["plan_id"]) as stream:
            await client.post(f"/ai/plans/{done['plan_id']}/cancel")
            seen = [await stream.event() for _ in range(3)]
        assert {json.loads(event["data"])["plan_id"] for event in seen} == {done["plan_id"]}
        assert seen[0]["event"] == "plan.submitted"
        assert seen[-1]["event"] == "plan.cancelled"


async def test_a_reader_that_was_away_too_long_is_told_of_the_gap(tmp_path: Path, clock: FakeClock) -> None:
    """Resuming before what the log keeps gives ``event: gap`` first, then what is kept; asking for all that is kept, none."""
    async with open_house(tmp_path, clock=clock) as house, served(house) as client:
        old = await submit(client)
        await client.post(f"/ai/plans/{old['plan_id']}/cancel")
        async with streaming(client, BEGINNING) as stream:
            first = await stream.event()
        clock.advance(86_400 * 2)
        assert await house.app.engine.dispatcher.purge(86_400) == 1
        kept = await submit(client)
        async with streaming(client, {"Last-Event-ID": first["id"]}) as stream:
            assert (await stream.event())["event"] == "gap"
            assert json.loads((await stream.event())["data"])["plan_id"] == kept["plan_id"]
        async with streaming(client, BEGINNING) as stream:
            assert json.loads((await stream.event())["data"])["plan_id"] == kept["plan_id"]


async def test_an_id_from_the_future_is_a_gap_and_not_silence(house: House) -> None:
    """A client of a log that was ahead (a restored backup) is told once, and hears what happens from now on."""
    async with served(house) as client, streaming(client, {"Last-Event-ID": "evt_0000000099999999"}) as stream:
        assert (await stream.event())["event"] == "gap"
        done = await submit(client)
        event = await stream.event()
        assert json.loads(event["data"])["plan_id"] == done["plan_id"]


async def test_another_workspaces_events_do_not_show(house: House) -> None:
    """A replay of everything kept is of the caller's workspace alone."""
    async with served(house, "acme") as client, neighbour(house, client) as other:
        await submit(other)
        mine = await submit(client)
        async with streaming(client, BEGINNING) as stream:
            assert json.loads((await stream.event())["data"])["plan_id"] == mine["plan_id"]


async def test_streams_are_bounded_per_workspace(tmp_path: Path) -> None:
    """One too many is 429 with Retry-After and the rule; another workspace has its own; a closed one frees its place."""
    async with open_house(tmp_path, limits=Limits(streams_per_workspace=2)) as house, served(house) as client:
        async with streaming(client), streaming(client):
            refused = await client.get("/ai/events")
            document = assert_problem(refused, 429, "rate_limited")
            assert document["rule"] == "event_streams"
            assert int(refused.headers["retry-after"]) >= 1
            async with neighbour(house, client) as other, streaming(other) as stream:
                assert stream.answer.status_code == 200
        async with asyncio.timeout(10):
            while not await opens(client):  # until the server has noticed that its clients are gone
                pass


async def opens(client: httpx2.AsyncClient) -> bool:
    """Say whether one more stream is let in."""
    async with streaming(client) as stream:
        return stream.answer.status_code == 200


async def test_a_stream_ends_with_its_credential(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the key is revoked the stream says goodbye at its next look and hands out nothing more."""
    monkeypatch.setattr(events, "RECHECK_S", 0.05)
    async with served(house) as client, streaming(client) as stream:
        key_id = client.headers["authorization"].removeprefix("Bearer ").split("_")[1]
        await house.app.directory.revoke_key(f"key_{key_id}", by=LOCAL_ACTOR)
        assert (await stream.event())["event"] == "bye"
        assert await stream.frame() == {}


async def test_nothing_that_happens_after_a_revocation_is_told(house: House) -> None:
    """An event ends the stream of a revoked key instead of being told, however lately the key was looked at."""
    async with served(house) as client, streaming(client) as stream:
        key_id = client.headers["authorization"].removeprefix("Bearer ").split("_")[1]
        await house.app.directory.revoke_key(f"key_{key_id}", by=LOCAL_ACTOR)
        other = await house.client()
        assert (await other.post("/ai/plan", json={"prompt": "echo hello"})).status_code == 200
        assert (await stream.event())["event"] == "bye"


async def test_an_idle_stream_is_kept_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment now and then, so that proxies do not cut it."""
    assert fastapi.routing._PING_INTERVAL == 15.0
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
    async with served(house) as client, streaming(client) as stream:
        assert await stream.frame() == {"comment": "ping"}


@pytest.mark.parametrize("how", ["signal", "flag"])
async def test_shutdown_takes_under_a_second_with_open_streams(house: House, how: str) -> None:
    """Every stream gets ``bye`` and ends; a wait for an action ends with 202; the server is gone in under a second."""
    async with house.served() as (server, address):
        headers = {"Authorization": f"Bearer {await house.key()}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            preview = (await client.post("/actions/preview", json=echo())).json()
            async with streaming(client) as one, streaming(client) as two:
                waiting = asyncio.create_task(
                    client.post(
                        "/actions/execute", json={"preview_id": preview["plan_id"], "wait_ms": 60_000}, timeout=10
                    )
                )
                assert await one.types(1) == ["plan.submitted"]
                began = asyncio.get_running_loop().time()
                if how == "signal":
                    server.handle_exit(signal.SIGTERM, None)
                else:
                    server.should_exit = True
                assert (await one.event())["event"] == "bye"
                assert await two.types(2) == ["plan.submitted", "bye"]
                assert await one.frame() == {}
                assert (await waiting).status_code == 202
                await house.stopped(server)
                assert asyncio.get_running_loop().time() - began < 1


async def test_a_stopping_server_leaves_the_process_to_its_owner(house: House) -> None:
    """A signal stops the server and is not raised again: what was opened around it can be closed in order."""
    async with house.served() as (server, _):
        signal.raise_signal(signal.SIGTERM)
        await house.stopped(server)
    assert server.should_exit
    assert not server.force_exit
