"""The Python client against a running server, and against one that loses answers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import trustme

from steward.client import AsyncSteward, EventsLost, NoAnswer, Refused, Steward, answers
from steward.identity import Role
from tests.actions.servers import Site, web_server
from tests.web.house import House, open_house

REFUSAL = {
    "type": "t",
    "title": "Later",
    "status": 503,
    "detail": "Later.",
    "code": "store_unavailable",
    "request_id": "r",
}

_TYPES: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    Any: None,
}


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation without a worker."""
    async with open_house(tmp_path) as opened:
        yield opened


class FarEnd(ThreadingHTTPServer):
    """Answers each request with the next of its answers; None: the connection is lost after the request was read."""

    def __init__(self, *next_answers: tuple[int, dict[str, str], bytes] | None) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        left, seen = list(next_answers), self.seen

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                answer = left.pop(0)
                self.close_connection = True
                if answer is None:
                    return
                self.send_response(answer[0])
                for name, value in answer[1].items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer[2])

            do_GET = do_POST = _answer  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Stay quiet."""

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def far_end(*next_answers: tuple[int, dict[str, str], bytes] | None) -> Iterator[tuple[FarEnd, Steward]]:
    """Run a far end with a client for it."""
    with FarEnd(*next_answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with Steward(f"http://127.0.0.1:{server.server_port}", "stw_a_secret", patience_s=5) as steward:
                yield server, steward
        finally:
            server.shutdown()
            thread.join()


def good(document: Any) -> tuple[int, dict[str, str], bytes]:
    """Return an answer that is a success."""
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def refused(status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return an answer that is a problem."""
    return status, headers, json.dumps(REFUSAL | {"status": status}).encode()


def stream(*events: str) -> tuple[int, dict[str, str], bytes]:
    """Return a stream that ends after these events."""
    return 200, {"Content-Type": "text/event-stream"}, "".join(f"{event}\n\n" for event in events).encode()


@pytest.mark.parametrize("answer", [refused(503, **{"Retry-After": "0"}), None], ids=["refused", "lost"])
def test_a_client_without_patience_asks_once(answer: tuple[int, dict[str, str], bytes] | None) -> None:
    """Whatever the answer is, and however soon another would be welcome."""
    with far_end(answer, good({"actions": [], "request_id": "r"})) as (server, _):
        address = f"http://127.0.0.1:{server.server_port}"
        with Steward(address, "stw_a_secret", patience_s=0) as hasty, pytest.raises((NoAnswer, Refused)):
            hasty.actions()
        assert len(server.seen) == 1


async def test_from_a_sentence_to_a_job(house: House) -> None:
    """Both clients plan, execute, follow and list against a running server."""
    async with house.served() as (_, url), house.worker():
        key = await house.key()
        async with AsyncSteward(url, key) as steward:
            plan = await steward.preview("sample.echo", {"text": "hello"})
            submitted = await steward.execute(plan["plan_id"])
            types = []
            async for event in steward.events(plan_id=plan["plan_id"]):
                types.append(event["type"])
                if event["type"] == "plan.completed":
                    break
            assert types
            assert [job["status"] async for job in steward.jobs(plan_id=plan["plan_id"])] == ["completed"]
            assert (await steward.show_plan(plan["plan_id"]))["status"] == "completed"
            assert (await steward.execute(plan["plan_id"]))["job_ids"] == submitted["job_ids"]

        def waiting() -> None:
            with Steward(url, key) as steward:
                again = steward.preview("sample.echo", {"text": "hello"})
                assert steward.run_preview(again["plan_id"])["status"] == "completed"
                assert [event["type"] for event, _ in zip(steward.events(plan_id=again["plan_id"]), "12", strict=False)]
                assert "sample.echo" in {action["id"] for action in steward.actions()}
                with pytest.raises(Refused) as caught:
                    steward.show_job("job_../../../healthz")
                assert (caught.value.status, caught.value.code) == (404, "not_found")

        await asyncio.to_thread(waiting)


async def test_the_making_of_a_plan_can_be_watched(house: House) -> None:
    """Both clients tell what it is at and return what they would have returned; a refusal is the same exception."""
    async with house.served() as (_, url):
        key = await house.key()
        phases: list[str] = []
        async with AsyncSteward(url, key) as steward:
            made = await steward.plan("echo", on_progress=lambda now: phases.append(now["phase"]))
            assert [question["param"] for question in made["questions"]] == ["text"]

        def waiting() -> None:
            with Steward(url, key) as steward:
                revised = steward.revise(
                    made["plan_id"], answers={"text": "hi"}, on_progress=lambda now: phases.append(now["phase"])
                )
                assert revised["steps"][0]["params"] == {"text": "hi"}
                for wrong in ({"nobody": "x"}, {}):
                    with pytest.raises(Refused) as caught:
                        steward.revise(made["plan_id"], answers=wrong, on_progress=lambda _: None)
                    assert (caught.value.status, len(caught.value.errors)) == (422, 1)

        await asyncio.to_thread(waiting)
    assert phases == ["reading_catalogue", "checking"] * 2


def test_a_plan_that_is_never_told_to_its_end_is_no_answer() -> None:
    """The server is gone in the middle: that is said. One that tells nothing on the way, as an older one, is understood."""
    begun = 'event: progress\ndata: {"phase": "asking_model", "attempt": 1, "tokens_in": 0, "tokens_out": 0}'
    told: list[Any] = []
    with far_end(stream(begun), good({"plan_id": "plan_1"})) as (server, steward):
        with pytest.raises(NoAnswer, match="in the middle"):
            steward.plan("hello", on_progress=told.append)
        assert steward.plan("hello", on_progress=told.append)["plan_id"] == "plan_1"
    assert [one["phase"] for one in told] == ["asking_model"]
    assert server.seen[0][1]["accept"] == "text/event-stream"


async def test_lists_are_walked_to_their_end(house: House) -> None:
    """A list longer than a page comes whole, each row once."""
    async with house.served() as (_, url), AsyncSteward(url, await house.key()) as steward:
        for _ in range(3):
            await steward.execute_actions([{"action_id": "sample.echo", "params": {"text": "x"}} for _ in range(45)])
        found = [job["job_id"] async for job in steward.jobs()]
    assert len(found) == len(set(found)) == 135


async def test_a_refusal_is_an_exception_with_what_the_server_said(house: House) -> None:
    """Scope, code and request id are there; the key is not."""
    async with house.served() as (_, url):
        key = await house.key(role=Role.VIEWER)
        async with AsyncSteward(url, key) as steward:
            with pytest.raises(Refused) as caught:
                await steward.execute_actions([{"action_id": "sample.echo"}])
    error = caught.value
    assert (error.status, error.code, error.facts["scope"]) == (403, "missing_scope", "actions:execute")
    assert error.request_id
    assert key not in f"{error!r} {error} {steward!r} {vars(steward)!r}"


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    """The second try of an execution carries the idempotency key of the first."""
    with far_end(None, good({"plan_id": "plan_1"})) as (server, steward):
        assert steward.execute("plan_1")["plan_id"] == "plan_1"
    first, second = [headers["idempotency-key"] for _, headers, _ in server.seen]
    assert first == second


def test_what_is_not_repeatable_is_sent_once() -> None:
    """A decision whose answer was lost is not sent again."""
    with far_end(None) as (server, steward), pytest.raises(NoAnswer):
        steward.approve("appr_1", "digest")
    assert len(server.seen) == 1


def test_retry_after_is_honoured() -> None:
    """A server that asks for a pause gets it; one that asks for longer than the client is patient is not waited for."""
    with far_end(refused(503, **{"Retry-After": "1"}), good({"actions": [], "request_id": "r"})) as (server, steward):
        assert steward.actions() == []
    assert len(server.seen) == 2
    with far_end(refused(429, **{"Retry-After": "60"})) as (server, steward):
        with pytest.raises(Refused) as caught:
            steward.actions()
        assert caught.value.retry_after_s == 60


def test_a_stream_goes_on_after_its_last_event() -> None:
    """A lost stream is opened again with the id of what was seen last, be it only the place where it began."""
    event = {"event_id": "evt_2", "type": "plan.completed"}
    streams = (
        stream("id: evt_1\nretry: 1"),
        stream(f"id: evt_2\nevent: x\ndata: {json.dumps(event)}"),
        stream('event: gap\ndata: {"last_event_id": "evt_9"}'),
    )
    with far_end(*streams) as (server, steward):
        told = steward.events()
        assert next(told)["event_id"] == "evt_2"
        with pytest.raises(EventsLost) as caught:
            next(told)
    assert caught.value.last_event_id == "evt_9"
    assert [headers.get("last-event-id") for _, headers, _ in server.seen] == [None, "evt_1", "evt_2"]


def test_w87_what_is_no_steward_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is no JSON, an address that is none, and a missing key are told apart from refusals."""
    with far_end((502, {}, b"<html>"), (200, {}, b"<html>")) as (_, steward):
        for _ in range(2):
            with pytest.raises(NoAnswer):
                steward.actions()
    monkeypatch.delenv("STEWARD_API_KEY", raising=False)
    for url, key in (
        ("ftp://example.com", "k"),
        ("http://user:password@example.com", "k"),
        ("http://a", None),
        ("", "k\n"),
    ):
        with pytest.raises(ValueError, match=r"api_key|url|API key") as caught:
            Steward(url, key)
        assert "password@" not in str(caught.value)


def _differences(hint: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str) -> Iterator[str]:
    """Yield where a type and a published schema say different things."""
    schema = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    args = get_args(hint)
    if is_typeddict(hint):
        if (
            hint.__required_keys__ != set(schema["required"])
            or get_type_hints(hint).keys() != schema["properties"].keys()
        ):
            yield f"{at}: the fields"
        for name, field in get_type_hints(hint).items():
            yield from _differences(field, schema["properties"].get(name, {}), schemas, f"{at}.{name}")
    elif get_origin(hint) is list:
        yield from _differences(args[0], schema.get("items", {}), schemas, f"{at}[]")
    elif get_origin(hint) is Literal:
        if set(args) != set(schema.get("enum", ())):
            yield f"{at}: the words"
    elif NoneType in args:
        forms = [form for form in schema.get("anyOf", ()) if form.get("type") != "null"]
        if len(forms) != 1 or len(schema["anyOf"]) != 2:
            yield f"{at}: whether it may be null"
        else:
            yield from _differences(args[0], forms[0], schemas, at)
    elif schema.get("type") != _TYPES[get_origin(hint) or hint]:
        yield f"{at}: {hint} or {schema.get('type')}"


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(scheme: str) -> None:
    """However the address is spelt: no request goes to a server that cannot show who it is."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    site = Site({})
    async with (
        web_server(site, tls=tls) as port,
        AsyncSteward(f"{scheme}://127.0.0.1:{port}", "k", patience_s=0) as client,
    ):
        with pytest.raises(NoAnswer):
            await client.actions()
    assert site.requests == []


async def test_the_types_are_those_of_the_published_description(house: House) -> None:
    """Every answer's type has the fields that the description gives it, with the same types, and as many."""
    schemas = house.api.openapi()["components"]["schemas"]
    types = {name: hint for name, hint in vars(answers).items() if is_typeddict(hint) and name != "RequestedStep"}
    assert len(types) > 15
    found = [told for name, hint in types.items() for told in _differences(hint, schemas[name], schemas, name)]
    assert found == []
