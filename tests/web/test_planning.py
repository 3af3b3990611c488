"""A planning that is told while it goes on: what it says, what it never says, how it ends, and that it ends with who waits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from sqlalchemy import func, select

from steward.database.tables import model_tokens
from steward.web import planning
from tests.language_models.provider import KEY, plan, provider, step
from tests.web.house import House, assert_problem, open_house
from tests.web.test_plans import published

pytestmark = pytest.mark.anyio
STREAM: Final = {"Accept": "text/event-stream"}
WISH: Final = {"prompt": "Say hello to the hungry lion"}
GREETING: Final = plan(step("sample.echo", {"text": "hello"}))


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation with the built-in planner."""
    async with open_house(tmp_path) as opened:
        yield opened


def house_asking(home: Path, port: int) -> AbstractAsyncContextManager[House]:
    """Open an installation that asks the provider on this port."""
    base = f"http://127.0.0.1:{port}/v1"
    budget = "1000000"
    return open_house(
        home, AI_MODEL="openai:test-1", AI_BASE_URL=base, OPENAI_API_KEY=KEY, AI_MAX_TOKENS_PER_MIN=budget
    )


def events_in(answer: httpx2.Response) -> list[tuple[str, Any]]:
    """Return the events of an answer that has ended: type and data."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame.split("\n") for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]


async def test_the_built_in_planner_says_what_it_is_at(house: House) -> None:
    """Two phases, then the plan as it is kept; each event is as it is published."""
    client = await house.client()
    *told, (last, made) = events_in(await client.post("/ai/plan", json={"prompt": "echo 'hello'"}, headers=STREAM))
    assert [(name, said["phase"]) for name, said in told] == [
        ("progress", "reading_catalogue"),
        ("progress", "checking"),
    ]
    progress = await published(house, "PlanProgress")
    for _, said in told:
        progress.validate(said)
    (await published(house, "Plan")).validate(made)
    kept = (await client.get(f"/ai/plans/{made['plan_id']}")).json()
    assert last == "plan"
    assert {name for name in made if made[name] != kept[name]} <= {"created_at", "expires_at"}  # kept less exactly


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/event-stream", "text/html"])
async def test_nothing_is_told_to_those_who_did_not_ask_for_it_first(house: House, accept: str) -> None:
    """The answer is the plan, as it ever was."""
    client = await house.client()
    answer = await client.post("/ai/plan", json={"prompt": "echo 'hello'"}, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["status"] == "draft"


async def test_a_model_that_has_to_mend_its_plan_is_told_of(tmp_path: Path, anyio_backend: str) -> None:
    """Asking, checking, repairing, checking: which try it is and what it cost so far; not a word of what was asked or answered."""
    mistaken = plan(step("sample.lion", {"text": "roar"}))
    async with provider(mistaken, GREETING) as far, house_asking(tmp_path, far.port) as house:
        client = await house.client()
        answer = await client.post("/ai/plan", json=WISH, headers={"Accept": "text/event-stream, */*;q=0.1"})
    *told, (last, made) = events_in(answer)
    assert [(one["phase"], one["attempt"], one["tokens_in"], one["tokens_out"]) for _, one in told] == [
        ("reading_catalogue", 0, 0, 0),
        ("asking_model", 1, 0, 0),
        ("checking", 1, 120, 30),
        ("repairing", 2, 120, 30),
        ("checking", 2, 240, 60),
    ]
    assert (last, made["meta"]["tokens_in"], made["steps"][0]["params"]) == ("plan", 240, {"text": "hello"})
    assert all(set(one) == {"phase", "attempt", "tokens_in", "tokens_out"} for _, one in told)


async def test_answers_to_questions_are_planned_in_the_same_way(house: House) -> None:
    """The revision of a plan can be followed too."""
    client = await house.client()
    asked = (await client.post("/ai/plan", json={"prompt": "echo"})).json()
    answer = await client.post(f"/ai/plans/{asked['plan_id']}/revise", json={"answers": {"text": "hi"}}, headers=STREAM)
    *told, (last, made) = events_in(answer)
    assert [said["phase"] for _, said in told] == ["reading_catalogue", "checking"]
    assert (last, made["status"], made["steps"][0]["params"]) == ("plan", "draft", {"text": "hi"})


async def test_what_goes_wrong_is_told_in_the_words_of_the_whole_answer(tmp_path: Path, anyio_backend: str) -> None:
    """The last event holds the problem document that the answer would have been, and nothing of what the provider said."""
    refusal = (400, {"content-type": "application/json"}, b'{"error": {"message": "the lion is secret"}}')
    async with provider(refusal) as far, house_asking(tmp_path, far.port) as house:
        client = await house.client()
        named = {"X-Request-ID": "req-lion"}
        whole = await client.post("/ai/plan", json=WISH, headers=named)
        told = await client.post("/ai/plan", json=WISH, headers={**STREAM, **named})
    assert_problem(whole, 502, "model_failed")
    assert [name for name, _ in events_in(told)] == ["progress", "progress", "error"]
    assert told.text.endswith(f"event: error\ndata: {whole.text}\n\n")
    assert "secret" not in told.text


async def test_what_is_refused_before_it_begins_is_no_stream(house: House) -> None:
    """No credential, a body that does not fit: the status says so."""
    stranger = await house.client_with(None)
    assert_problem(await stranger.post("/ai/plan", json=WISH, headers=STREAM), 401, "unauthenticated")
    client = await house.client()
    assert (await client.post("/ai/plan", json={}, headers=STREAM)).status_code == 422
    foreign = await client.post(
        "/ai/plans/plan_01kb2w8v9c0000000000000a/revise", json={"answers": {"to": "me"}}, headers=STREAM
    )
    assert [(name, said["status"]) for name, said in events_in(foreign)] == [("error", 404)]


async def test_a_long_silence_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> None:
    """While the model thinks, comments say that the connection lives."""
    monkeypatch.setattr(planning, "KEEP_ALIVE_S", 0.01)
    async with provider(GREETING) as far, house_asking(tmp_path, far.port) as house:
        far.gate = asyncio.Event()
        async with (
            served(house) as client,
            client.stream("POST", "/ai/plan", json=WISH, headers=STREAM) as answer,
        ):
            lines = [line async for line in until_alive(answer, far.gate)]
    assert lines[-3].startswith("event: plan")


async def until_alive(answer: httpx2.Response, gate: asyncio.Event) -> AsyncIterator[str]:
    """Yield the lines of an answer, and open the gate once a comment has come."""
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            gate.set()
        yield line


@asynccontextmanager
async def served(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve the house and yield a client of its own over a real connection."""
    async with house.served() as (_, address):
        headers = {"Authorization": f"Bearer {await house.key()}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=10) as client:
            yield client


class Silent:
    """A provider that takes a question and says nothing, until whoever asked hangs up."""

    def __init__(self) -> None:
        self.asked, self.hung_up = asyncio.Event(), asyncio.Event()
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Listen on one connection to its end."""
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        while await reader.read(65_536):
            pass
        self.hung_up.set()
        writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    """Run such a provider."""
    far = Silent()
    async with await asyncio.start_server(far, "127.0.0.1", 0) as server:
        far.port = server.sockets[0].getsockname()[1]
        yield far


@pytest.mark.parametrize("headers", [STREAM, {}], ids=["streamed", "whole"])
async def test_nobody_waits_so_nothing_goes_on(tmp_path: Path, headers: dict[str, str], anyio_backend: str) -> None:
    """Whoever closes the connection stops the question to the model. It may have cost all that was reserved, so that counts; no
    plan is kept.
    """
    async with silent() as far, house_asking(tmp_path, far.port) as house:
        async with served(house) as client:
            wish = asyncio.create_task(client.post("/ai/plan", json=WISH, headers=headers))
            await far.asked.wait()
            reserved = await counted(house)
            wish.cancel()
            await asyncio.wait({wish})
            async with asyncio.timeout(5):
                await far.hung_up.wait()
            assert (await client.get("/ai/plans")).json()["plans"] == []
        assert await counted(house) == reserved > 4096
        metrics = (await (await house.client_with(None)).get("/metrics")).text
    assert 'ai_planner_requests_total{status="cancelled"} 1.0' in metrics


async def counted(house: House) -> int:
    """Return the tokens that count now, reserved or used."""
    total = select(func.coalesce(func.sum(model_tokens.c.amount), 0))
    return await house.app.database.read(lambda connection: int(connection.execute(total).scalar_one()))
