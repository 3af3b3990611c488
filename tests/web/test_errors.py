"""Every way to fail has the one shape of RFC 9457, the right status, and gives nothing away."""

import contextlib
import sqlite3
import time
from typing import Any

import httpx2
import pytest

from steward.errors import StoreUnavailable
from steward.identity import Role
from tests.web.house import House, assert_problem, echo

pytestmark = pytest.mark.anyio
JOB = "job_" + "0" * 24
PLAN = "plan_" + "0" * 24

BAD_REQUESTS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nowhere", {}, 404, "not_found"),
    ("GET", "/ai/jobs/", {}, 404, "not_found"),
    ("DELETE", "/ai/jobs", {}, 405, "method_not_allowed"),
    ("GET", "/ai/jobs?limit=0", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?limit=101", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?limit=-1", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?limit=ten", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?limit=1&limit=2", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?status=done", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?plan_id=nonsense", {}, 400, "bad_request"),
    ("GET", "/ai/jobs?cursor=-1", {}, 400, "invalid_cursor"),
    ("GET", "/ai/jobs?cursor=", {}, 400, "invalid_cursor"),
    ("GET", "/ai/jobs?colour=blue", {}, 422, "invalid"),
    ("GET", "/ai/plans?status=done", {}, 400, "bad_request"),
    ("GET", f"/ai/jobs/{JOB}", {}, 404, "not_found"),
    ("GET", f"/ai/plans/{PLAN}", {}, 404, "not_found"),
    ("GET", "/ai/events", {"headers": {"Last-Event-ID": "evt_1"}}, 400, "invalid_event_id"),
    ("GET", f"/ai/events?plan_id={PLAN}", {}, 404, "not_found"),
    ("GET", "/ai/jobs", {"content": b"{}"}, 422, "unexpected_body"),
    ("POST", "/ai/plan", {}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": []}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": 7}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": " \n"}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": "x" * 4001}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": "x", "colour": "blue"}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": "x", "context": {"colour": 1}}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": "x", "context": {"time_zone": "../etc/passwd"}}}, 422, "invalid"),
    ("POST", "/ai/plan", {"json": {"prompt": "x", "workspace_id": "other"}}, 403, "workspace_mismatch"),
    ("POST", "/ai/plan", {"json": {"prompt": "x", "workspace_id": 7}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"plan_id": PLAN, "actions": [echo()]}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"plan_id": PLAN}}, 404, "not_found"),
    ("POST", "/ai/execute", {"json": {"plan_id": "x"}}, 404, "not_found"),
    ("POST", "/ai/execute", {"json": {"actions": []}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"actions": [echo()], "run_at": "2030-01-01T00:00:00"}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"actions": [echo()], "run_at": 1900000000}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"actions": [echo()], "run_at": "1900000000"}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"actions": [echo()], "run_at": "9999-12-31T23:59:59-14:00"}}, 422, "invalid"),
    ("POST", "/ai/execute", {"json": {"actions": [{"action_id": "no.such"}]}}, 422, "unknown_action"),
    (
        "POST",
        "/ai/execute",
        {"json": {"actions": [echo()]}, "headers": {"Idempotency-Key": "a b"}},
        400,
        "invalid_idempotency_key",
    ),
    (
        "POST",
        "/ai/execute",
        {"json": {"actions": [echo()]}, "headers": [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]},
        400,
        "invalid_idempotency_key",
    ),
    ("POST", f"/ai/plans/{PLAN}/revise", {"json": {"answers": {"text": "x"}}}, 404, "not_found"),
    ("POST", f"/ai/plans/{PLAN}/revise", {"json": {}}, 422, "invalid"),
    ("POST", f"/ai/plans/{PLAN}/cancel", {}, 404, "not_found"),
    ("POST", f"/ai/plans/{PLAN}/cancel", {"json": {"why": "because"}}, 422, "invalid"),
    ("GET", f"/ai/plans/{PLAN}/explain", {}, 404, "not_found"),
    ("POST", f"/ai/jobs/{JOB}/cancel", {}, 404, "not_found"),
    ("POST", f"/ai/jobs/{JOB}/retry", {"json": {}}, 404, "not_found"),
    ("POST", f"/ai/jobs/{JOB}/resolve", {"json": {"outcome": "completed", "note": "seen"}}, 404, "not_found"),
    ("POST", f"/ai/jobs/{JOB}/resolve", {"json": {"outcome": "maybe", "note": "seen"}}, 422, "invalid"),
    ("POST", f"/ai/jobs/{JOB}/resolve", {"json": {"outcome": "failed", "note": " "}}, 422, "invalid"),
    ("GET", f"/ai/jobs/{JOB}/explain", {}, 404, "not_found"),
    ("POST", "/actions/preview", {"json": {"action_id": "no.such"}}, 422, "unknown_action"),
    ("POST", "/actions/preview", {"json": {"action_id": "No Such"}}, 422, "invalid"),
    ("POST", "/actions/preview", {"json": {"action_id": "sample.echo", "params": {"text": 5}}}, 422, "invalid"),
    ("POST", "/actions/preview", {"json": {"action_id": "sample.echo", "provider": "x"}}, 422, "invalid"),
    ("POST", "/actions/execute", {"json": {"preview_id": "nonsense"}}, 404, "not_found"),
    ("POST", "/actions/execute", {"json": {"preview_id": PLAN, "wait_ms": 60_001}}, 422, "invalid"),
    ("POST", "/actions/execute", {"json": {"preview_id": PLAN, "wait_ms": True}}, 422, "invalid"),
    ("POST", "/actions/execute", {"json": {}}, 422, "invalid"),
]


@pytest.mark.parametrize("bad_request", BAD_REQUESTS, ids=lambda row: f"{row[0]} {row[1]}"[:60])
async def test_every_way_to_fail_has_the_one_shape(
    house: House, bad_request: tuple[str, str, dict[str, Any], int, str]
) -> None:
    """Status, code, shape and headers, for each kind of bad request."""
    method, path, request_parts, status, code = bad_request
    client = await house.client()
    answer = await client.request(method, path, **request_parts)
    assert_problem(answer, status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe{}",
        b'{"prompt": NaN}',
        b'{"prompt": Infinity}',
        b'{"prompt": 1e999}',
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "a", "context": {"answers": {"x": "1", "x": "2"}}}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"prompt": ' + b"9" * 50_000 + b"}",
        b'{"prompt": "a"} trailing',
    ],
)
async def test_a_body_that_is_not_exactly_one_json_value_is_refused(house: House, body: bytes) -> None:
    """Malformed, ambiguous and unbounded JSON is 422, whatever it is, and never repeated in the answer."""
    client = await house.client()
    answer = await client.post("/ai/plan", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid" if not body else "invalid_json")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
async def test_another_content_type_is_refused(house: House, media_type: str | None) -> None:
    """A body counts as JSON only if it says so."""
    client = await house.client()
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.post("/ai/plan", content=b'{"prompt": "echo hi"}', headers=headers)
    assert_problem(answer, 422, "not_json")


async def test_a_content_type_with_parameters_or_suffix_is_json(house: House) -> None:
    """``application/json; charset=utf-8`` and ``application/*+json`` are what they say."""
    client = await house.client()
    for media_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.office+json"):
        answer = await client.post("/ai/plan", content=b'{"prompt": "x"}', headers={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text


async def test_w17_field_problems_point_at_the_field(house: House) -> None:
    """A wrong field deep inside is named by a JSON pointer; the value is not repeated."""
    client = await house.client()
    body = {"actions": [echo(), {"action_id": "sample.echo", "params": "secret-value"}], "colour~/": 1}
    answer = await client.post("/ai/execute", json=body)
    document = assert_problem(answer, 422, "invalid")
    assert {problem["pointer"] for problem in document["errors"]} == {"/actions/1/params", "/colour~0~1"}
    assert "secret-value" not in answer.text


async def test_w17_what_may_be_of_several_kinds_is_pointed_at_once(house: House) -> None:
    """Where it stands in what was sent, and in one sentence, whatever kinds there are."""
    client = await house.client()
    body = {"actions": [echo(), echo() | {"depends_on": ["s1", 1.5]}, echo() | {"for_each": "s1"}]}
    async with house.served() as (_, address), httpx2.AsyncClient(base_url=address, headers=client.headers) as served:
        document = assert_problem(await served.post("/ai/execute", json=body), 422, "invalid")
    assert document["errors"] == [
        {"pointer": "/actions/1/depends_on/1", "detail": "it must be the id of a step or its position"},
        {"pointer": "/actions/2/for_each", "detail": "it must be an expression or a list"},
    ]


async def test_query_problems_point_at_the_parameter(house: House) -> None:
    """A wrong parameter is named with ``/query`` in front."""
    client = await house.client()
    document = assert_problem(await client.get("/ai/jobs?limit=0&status=x"), 400, "bad_request")
    assert {problem["pointer"] for problem in document["errors"]} == {"/query/limit", "/query/status"}


async def test_a_huge_number_of_problems_gives_a_small_answer(house: House) -> None:
    """However much is wrong, the answer stays small."""
    client = await house.client()
    body = {"prompt": "x", **{f"{'k' * 500}{number}": 1 for number in range(500)}}
    answer = await client.post("/ai/plan", json=body)
    assert_problem(answer, 422, "invalid")
    assert len(answer.content) < 10_000


async def test_an_error_nobody_foresaw_is_a_plain_500(house: House) -> None:
    """The text of the exception stays inside."""

    async def broken() -> None:
        raise RuntimeError("postgresql://user:hunter2@db/steward")

    house.api.add_api_route("/broken", broken)
    client = await house.client()
    answer = await client.get("/broken")
    document = assert_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert set(document) == {"type", "title", "status", "detail", "code", "request_id"}


async def test_w44_a_store_that_is_gone_is_503_and_never_an_empty_success(house: House) -> None:
    """With its tables gone, every route that needs the store answers 503 with Retry-After."""
    client = await house.client()
    assert (await client.get("/ai/jobs")).status_code == 200
    drop_work(house)
    for path in ("/ai/jobs", "/ai/plans", f"/ai/jobs/{JOB}", "/ai/events"):
        answer = await client.get(path)
        assert_problem(answer, 503, StoreUnavailable.code)
        assert int(answer.headers["retry-after"]) >= 1
    assert_problem(await client.post("/ai/execute", json={"actions": [echo()]}), 503, StoreUnavailable.code)


@pytest.mark.slow
async def test_w2_a_locked_store_answers_503_in_time_and_the_retry_works(house: House) -> None:
    """While another process holds the write lock, execute is refused within 2 s; the same request then makes one job."""
    client = await house.client()
    body = {"actions": [echo(client_request_id="mail-1")]}
    with contextlib.closing(sqlite3.connect(house.app.settings.home / "steward.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert_problem(await client.post("/ai/execute", json=body), 503, StoreUnavailable.code)
        assert time.monotonic() - began < 2
    assert (await client.get("/ai/jobs")).json()["count"] == 0
    retried = (await client.post("/ai/execute", json=body)).json()
    assert (retried["duplicate"], len(retried["job_ids"])) == (False, 1)
    again = (await client.post("/ai/execute", json=body)).json()
    assert (again["duplicate"], again["job_ids"]) == (True, retried["job_ids"])


def drop_work(house: House) -> None:
    """Take every table but those of keys and workspaces away from a running installation."""
    with contextlib.closing(sqlite3.connect(house.app.settings.home / "steward.db", isolation_level=None)) as other:
        names = [row[0] for row in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name not in {"api_keys", "workspaces"} and not name.startswith("sqlite_"):
                other.execute(f'DROP TABLE "{name}"')


async def test_operators_have_no_door_into_a_tenant(house: House) -> None:
    """The installation's own key has no scope in any workspace."""
    client = await house.client("system", Role.OPERATOR)
    document = assert_problem(await client.get("/ai/jobs"), 403, "missing_scope")
    assert document["scope"] == "actions:preview"


async def test_a_method_that_is_not_taken_is_answered_with_those_that_are(house: House) -> None:
    """All of them, also where several routes share a path (RFC 9110, 10.2.1)."""
    client = await house.client()
    for path, methods in (
        ("/keys", {"GET", "POST"}),
        (f"/keys/key_{'0' * 24}", {"DELETE"}),
        ("/members/alice", {"PUT", "DELETE"}),
        ("/session", {"GET", "POST", "DELETE"}),
        ("/ai/jobs", {"GET"}),
    ):
        answer = await client.patch(path)
        assert_problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == methods


async def test_one_type_of_problem_has_one_title(house: House) -> None:
    """A path that is none and a resource that is none are told apart by nothing but their sentence (RFC 9457, 3.1.3)."""
    client = await house.client()
    titles = {(await client.get(path)).json()["title"] for path in ("/nowhere", "/ai/jobs/job_nowhere")}
    assert titles == {"Not found"}
