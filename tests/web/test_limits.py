"""What a client may send and for how long, and what every answer carries: through a real server where bytes matter."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from steward.web.app import STREAMS_PER_WORKSPACE, Limits
from tests.web.house import House, assert_marked, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
LIMIT = 4096


async def chunks(size: int, number: int) -> AsyncIterator[bytes]:
    """Yield a body without a declared length."""
    for _ in range(number):
        yield b"x" * size


async def test_w110_a_valid_inbound_request_id_is_kept(house: House) -> None:
    """On success and on every kind of failure; anything odd, long or repeated is replaced by a fresh one."""
    client = await house.client()
    for path in ("/ai/jobs", "/nowhere", "/ai/jobs?limit=0", "/healthz"):
        answer = await client.get(path, headers={"X-Request-ID": "upstream-1.2_3"})
        assert answer.headers["x-request-id"] == "upstream-1.2_3"
    offered = ["", "a b", "a/b", "x" * 129, 'a"', "<script>"]
    answers = [await client.get("/ai/jobs", headers={"X-Request-ID": each}) for each in offered]
    answers.append(await client.get("/ai/jobs", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")]))
    kept = [answer.headers["x-request-id"] for answer in answers]
    assert all(request_id.startswith("req_") for request_id in kept)
    assert len(set(kept)) == len(kept)


async def test_the_request_id_reaches_the_job(house: House) -> None:
    """What is put to work carries the id of the request that asked for it."""
    client = await house.client()
    headers = {"X-Request-ID": "trace-7"}
    done = (await client.post("/ai/execute", json={"actions": [echo()]}, headers=headers)).json()
    assert (await client.get(f"/ai/plans/{done['plan_id']}")).json()["request_id"] == "trace-7"


async def test_w124_a_body_over_the_limit_is_refused_by_its_declared_length(tmp_path: Path) -> None:
    """413 as a whole problem document, before a byte of the body is sent; the limit itself passes."""
    async with open_house(tmp_path, STEWARD_BODY_LIMIT_BYTES=str(LIMIT)) as house, house.served() as (_, address):
        token = await house.key()
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /ai/plan HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {LIMIT + 1}\r\nX-Request-ID: big-1\r\n\r\n"
        )
        writer.write(head.encode())
        try:
            async with asyncio.timeout(5):  # the answer comes although nothing more is sent
                raw = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        finally:
            writer.close()
            await writer.wait_closed()
        assert raw.startswith("http/1.1 413 ")
        assert "x-request-id: big-1" in raw
        assert "application/problem+json" in raw
        async with httpx2.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
            over = await client.post(
                "/ai/plan", content=b" " * (LIMIT + 1), headers={"Content-Type": "application/json"}
            )
            assert_problem(over, 413, "body_too_large")
            exact = b'{"prompt": "x"}'.ljust(LIMIT)
            good = await client.post("/ai/plan", content=exact, headers={"Content-Type": "application/json"})
            assert good.status_code == 200
            assert_marked(good)


async def test_w124_a_body_over_the_limit_is_refused_while_it_streams(tmp_path: Path) -> None:
    """Without a declared length the bytes themselves are counted; the same answer."""
    async with open_house(tmp_path, STEWARD_BODY_LIMIT_BYTES=str(LIMIT)) as house, house.served() as (_, address):
        headers = {"Authorization": f"Bearer {await house.key()}", "Content-Type": "application/json"}
        async with httpx2.AsyncClient(base_url=address, headers=headers) as client:
            for number in (5, 64):
                answer = await client.post("/ai/plan", content=chunks(1024, number))
                assert_problem(answer, 413, "body_too_large")
            small = await client.post("/ai/plan", content=chunks(1024, 2))
            assert_problem(small, 422, "invalid_json")


async def test_a_length_that_lies_small_does_not_help(tmp_path: Path) -> None:
    """In process, where nothing checks the declared length first: the bytes themselves are counted."""
    async with open_house(tmp_path, STEWARD_BODY_LIMIT_BYTES=str(LIMIT)) as house:
        client = await house.client()
        headers = {"Content-Type": "application/json", "Content-Length": "10"}
        answer = await client.post("/ai/plan", content=b" " * (LIMIT + 1), headers=headers)
        assert_problem(answer, 413, "body_too_large")


async def test_w124_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    """A client that stops sending gets 408 and its connection is closed; the time is for the whole body."""
    limits = Limits(body_timeout_s=0.1)
    async with open_house(tmp_path, limits=limits) as house, house.served() as (_, address):
        token = await house.key()
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST /ai/plan HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{"prompt"'.encode()
        )
        raw = (await reader.read()).decode().lower()
        writer.close()
        await writer.wait_closed()
        assert raw.startswith("http/1.1 408 ")
        assert "body_too_slow" in raw
        assert "connection: close" in raw
        assert "x-request-id: req_" in raw


async def test_w110_every_kind_of_answer_carries_the_headers(house: House) -> None:
    """Success and failure, JSON and metrics, known and unknown paths."""
    client = await house.client()
    for path in ("/ai/jobs", "/actions", "/openapi.json", "/metrics", "/readyz", "/nowhere", "/docs", "/redoc"):
        assert_marked(await client.get(path))
    assert_problem(await client.get("/redoc"), 404, "not_found")


async def test_a_wrong_method_is_told_the_right_ones(house: House) -> None:
    """405 names what the path takes."""
    client = await house.client()
    answer = await client.delete("/ai/jobs")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_head_answers_as_get_does_without_the_body(house: House) -> None:
    """Wherever there is a GET, refusals included, on a connection that goes on; what takes no GET takes no HEAD."""
    token = await house.key()
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "one-of-mine"}
    async with house.served() as (_, address), httpx2.AsyncClient(base_url=address, headers=headers) as client:
        for path in (
            "/ai/jobs",
            f"/ai/jobs/job_{'0' * 24}",
            "/ai/jobs?limit=0",
            "/actions",
            "/healthz",
            "/openapi.json",
        ):
            seen, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (seen.status_code, b"")
            for name in ("content-length", "content-type", "x-request-id"):
                assert head.headers[name] == seen.headers[name]
            assert_marked(head)
        for _ in range(STREAMS_PER_WORKSPACE + 1):  # none of them stays open
            stream = await client.head("/ai/events")
            assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        refused = await client.head("/ai/execute")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await client.head("/ai/jobs", headers={"Authorization": "Bearer no"})).status_code == 401
        told = (await client.get("/metrics")).text
        assert 'http_requests_total{endpoint="/ai/jobs",method="HEAD",status_code="200"} 1.0' in told


async def test_the_server_does_not_say_what_it_is_made_of(house: House) -> None:
    """No ``server`` header through the real server either."""
    async with house.served() as (_, address), httpx2.AsyncClient(base_url=address) as client:
        assert_marked(await client.get("/healthz"))


async def test_w126_a_waiting_store_does_not_block_the_event_loop(house: House) -> None:
    """While a write waits for another process's lock, other requests are answered; then the write goes through."""
    client = await house.client()
    await client.get("/ai/jobs")  # the first use of a key is written down
    with contextlib.closing(sqlite3.connect(house.app.settings.home / "steward.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(client.post("/ai/execute", json={"actions": [echo()]}))
        for _ in range(20):
            assert (await client.get("/ai/jobs")).status_code == 200
        assert not writing.done()
        other.execute("ROLLBACK")
    assert (await writing).status_code == 202


@pytest.mark.parametrize(
    "sent", ["FOO /ai/jobs HTTP/1.1", "\x16\x03\x01", "GET /ai/jobs HTTP/1.1\r\nContent-Length: x"]
)
async def test_what_is_no_http_is_refused_in_the_one_shape(tmp_path: Path, sent: str) -> None:
    """A method or a line that nobody can read has no route; its answer is a problem with its id and headers all the same."""
    async with open_house(tmp_path) as house, house.served() as (_, address):
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{sent}\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            raw = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        assert lines[0] == "HTTP/1.1 400 Bad Request"
        assert headers["connection"] == "close"
        assert_problem(httpx2.Response(400, headers=headers, content=body), 400, "malformed_request")
