"""Who gets in, what each role may do, and that another tenant's things do not exist."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from tests.conftest import FakeClock
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio


async def test_w54_refused_credentials_are_indistinguishable(tmp_path: Path, clock: FakeClock) -> None:
    """None, malformed, unknown, wrong, expired and revoked: the same 401 but for the request id."""
    async with open_house(tmp_path, clock=clock) as house:
        good = await house.key()
        expired = await house.key(expires_in=timedelta(seconds=60))
        revoked = await house.key()
        await house.app.directory.revoke_key(f"key_{revoked.split('_')[1]}", by=LOCAL_ACTOR)
        clock.advance(61)
        unknown = f"stw_{'0' * 24}_{good.split('_')[2]}"
        wrong = f"stw_{good.split('_')[1]}_{'a' * 52}"
        headers: list[Any] = [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic b2ZmaWNlOnNlY3JldA=="},
            {"Authorization": good},
            {"Authorization": f"Bearer {good} extra"},
            {"Authorization": f"Bearer {'x' * 5000}"},
            {"Authorization": "Bearer stw_short"},
            {"Authorization": "Bearer a.b.c"},
            [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")],
            *({"Authorization": f"Bearer {token}"} for token in (unknown, wrong, expired, revoked, good + "\t")),
        ]
        client = await house.client_with(None)
        answers = [await client.get("/ai/jobs", headers=each) for each in headers]
        shapes = set()
        for answer in answers:
            document = assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
            del document["request_id"]
            shapes.add(str(document))
        assert len(shapes) == 1
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert (await client.get("/ai/jobs", headers={"Authorization": f"{scheme} {good}"})).status_code == 200


async def test_nothing_is_read_before_the_credential(house: House) -> None:
    """Without a credential the answer is 401, however wrong or large the rest of the request is."""
    client = await house.client_with(None)
    wrong: list[dict[str, Any]] = [
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": b"x" * (house.app.settings.body_limit_bytes + 1)},
        {"params": {"colour": "blue"}},
    ]
    for parts in wrong:
        assert_problem(await client.post("/ai/plan", **parts), 401, "unauthenticated")


async def test_a_key_whose_workspace_is_gone_is_refused(house: House) -> None:
    """The key is genuine but its workspace no longer exists: 403, not 401 and not 500."""
    client = await house.client("fleeting")
    with closing(sqlite3.connect(house.app.settings.home / "steward.db", isolation_level=None)) as other:
        other.execute("DELETE FROM workspaces WHERE workspace_id = 'fleeting'")
    assert_problem(await client.get("/ai/jobs"), 403, "workspace_unavailable")


SCOPES = [
    ("GET", "/ai/jobs", "actions:preview"),
    ("GET", "/ai/plans", "actions:preview"),
    ("GET", "/actions", "actions:preview"),
    ("GET", "/ai/events", "actions:preview"),
    ("POST", "/ai/plan", "actions:preview"),
    ("POST", "/actions/preview", "actions:preview"),
    ("POST", "/ai/execute", "actions:execute"),
    ("POST", "/actions/execute", "actions:execute"),
    ("POST", f"/ai/jobs/job_{'0' * 24}/cancel", "actions:execute"),
    ("POST", f"/ai/jobs/job_{'0' * 24}/retry", "actions:execute"),
    ("POST", f"/ai/jobs/job_{'0' * 24}/resolve", "actions:execute"),
    ("POST", f"/ai/plans/plan_{'0' * 24}/cancel", "actions:execute"),
    ("GET", "/ai/approvals", "approvals:decide"),
    ("GET", f"/ai/approvals/appr_{'0' * 24}", "approvals:decide"),
    ("POST", f"/ai/approvals/appr_{'0' * 24}/approve", "approvals:decide"),
    ("POST", f"/ai/approvals/appr_{'0' * 24}/reject", "approvals:decide"),
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPES)
async def test_w3_w55_each_route_needs_its_scope(house: House, method: str, path: str, scope: str) -> None:
    """A key without the scope gets 403 that names it; a key with it gets past that door."""
    auditor = await house.client(role=Role.AUDITOR)
    document = assert_problem(await auditor.request(method, path), 403, "missing_scope")
    assert document["scope"] == scope
    viewer = await house.client(role=Role.VIEWER)
    if scope != "actions:preview":
        assert assert_problem(await viewer.request(method, path), 403, "missing_scope")["scope"] == scope
    elif path != "/ai/events":  # that one would go on
        assert (await viewer.request(method, path)).status_code in {200, 422}


OPEN = {
    "/healthz",
    "/readyz",
    "/version",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/",
    "/studio/{screen}",
    "/studio/{screen}/{item}",
}
FILES = "/studio/assets/{name}"
"""Open too; there is nothing under a name that nobody knows."""


async def test_w58_everything_but_health_needs_a_credential(house: House) -> None:
    """Every route that is served, by every method it has: 401 without a credential, whatever its path holds."""
    client = await house.client_with(None)
    ids = {"plan_id": f"plan_{'0' * 24}", "job_id": f"job_{'0' * 24}"}
    asked = 0
    for path, methods in (await client.get("/openapi.json")).json()["paths"].items():
        if path in OPEN | {FILES}:
            continue
        for method in methods:
            answer = await client.request(method, path.format_map(defaultdict(lambda: "x", ids)))
            assert_problem(answer, 401, "unauthenticated")
            asked += 1
    assert asked >= 15
    for path in OPEN:
        assert (await client.get(path)).status_code == 200
    assert_problem(await client.get(FILES), 404, "not_found")
    served = {route.path for route in house.api.routes if isinstance(route, Route)}
    published = set((await client.get("/openapi.json")).json()["paths"]) | {"/openapi.json"}
    assert served <= published


async def test_w69_a_signature_is_no_credential(house: House) -> None:
    """No header but Authorization says who asks: a signature neither lets in nor keeps out, and none is promised."""
    client, stranger = await house.client(), await house.client_with(None)
    preview = (await client.post("/actions/preview", json=echo())).json()["plan_id"]
    body = {"preview_id": preview, "wait_ms": 0}
    signed = {"X-Signature": "sha256=" + "0" * 64}
    assert_problem(await stranger.post("/actions/execute", json=body, headers=signed), 401, "unauthenticated")
    assert (await client.post("/actions/execute", json=body, headers=signed)).status_code == 202
    assert "x-signature" not in (await client.get("/openapi.json")).text.lower()


async def test_w46_a_workspace_or_actor_that_is_not_the_callers_is_refused(house: House) -> None:
    """In the body and in the query, on reads and writes; the caller's own are accepted, and recorded."""
    token = await house.key("acme")
    client = await house.client_with(token)
    actor = f"key_{token.split('_')[1]}"
    for name, own, other in (("workspace_id", "acme", "beta"), ("actor_id", actor, "key_somebody")):
        for value in (other, own.upper(), own + " ", ""):
            answer = await client.post("/ai/execute", json={"actions": [echo()], name: value})
            assert_problem(answer, 403, "workspace_mismatch")
            assert_problem(await client.get("/ai/jobs", params={name: value}), 403, "workspace_mismatch")
            assert_problem(
                await client.post("/ai/execute", params={name: value}, json={"actions": [echo()]}),
                403,
                "workspace_mismatch",
            )
        answer = await client.post("/ai/execute", json={"actions": [echo()], name: own})
        assert answer.status_code == 202
        assert (await client.get("/ai/jobs", params={name: own})).status_code == 200
    job = (await client.get("/ai/jobs")).json()["jobs"][0]
    assert (await client.get(f"/ai/jobs/{job['job_id']}")).json()["actor_id"] == actor


async def test_w47_no_combination_of_parameters_shows_a_foreign_job(house: House) -> None:
    """Another workspace's jobs and plans are in no listing, whatever is asked for."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    done = (await owner.post("/ai/execute", json={"actions": [echo()]})).json()
    for query in (
        {},
        {"plan_id": done["plan_id"]},
        {"plan_id": done["plan_id"], "status": "pending"},
        {"status": "pending", "limit": "100"},
        {"workspace_id": "beta", "plan_id": done["plan_id"]},
    ):
        page = (await stranger.get("/ai/jobs", params=query)).json()
        assert (page["jobs"], page["count"], page["next_cursor"]) == ([], 0, None)
        assert page["workspace_id"] == "beta"
    assert (await stranger.get("/ai/plans")).json()["plans"] == []
    twice = await stranger.get("/ai/jobs?workspace_id=beta&workspace_id=acme")
    assert_problem(twice, 400, "bad_request")


async def test_w48_foreign_unknown_and_malformed_are_the_same_answer(anywhere: House) -> None:
    """Byte for byte but for the request id, on every route that takes an id."""
    owner, stranger = await anywhere.client("acme"), await anywhere.client("beta")
    done = (await owner.post("/ai/execute", json={"actions": [echo()]})).json()
    foreign = {"plan": done["plan_id"], "job": done["job_ids"][0]}
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/ai/jobs/{job}", {}),
        ("GET", "/ai/jobs/{job}/explain", {}),
        ("POST", "/ai/jobs/{job}/cancel", {}),
        ("POST", "/ai/jobs/{job}/retry", {}),
        ("POST", "/ai/jobs/{job}/resolve", {"json": {"outcome": "failed", "note": "x"}}),
        ("GET", "/ai/plans/{plan}", {}),
        ("GET", "/ai/plans/{plan}/explain", {}),
        ("POST", "/ai/plans/{plan}/cancel", {}),
        ("POST", "/ai/plans/{plan}/revise", {"json": {"answers": {"text": "x"}}}),
        ("POST", "/ai/execute", {"json": {"plan_id": "{plan}"}}),
        ("POST", "/actions/execute", {"json": {"preview_id": "{plan}", "wait_ms": 0}}),
        ("GET", "/ai/events?plan_id={plan}", {}),
    ]
    for method, path, parts in ways:
        choices = (
            foreign,
            {"plan": f"plan_{'z' * 24}", "job": f"job_{'z' * 24}"},
            {"plan": "plan_x", "job": "JOB_" + "0" * 24},
            {"plan": foreign["plan"] + "%0A", "job": foreign["job"] + "%0A"},
            {"plan": foreign["job"], "job": foreign["plan"]},
        )
        answers = [await stranger.request(method, path.format(**ids), **filled(parts, ids)) for ids in choices]
        for answer in answers:
            assert_problem(answer, 404, "not_found")
        bodies = {answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}
        headers = {str(sorted(set(answer.headers) - {"x-request-id", "date"})) for answer in answers}
        assert len(bodies) == len(headers) == 1, path


def filled(parts: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """Return ``parts`` with ids in place of their names."""
    if "json" not in parts:
        return parts
    return {
        "json": {
            name: value.format(**ids) if isinstance(value, str) else value for name, value in parts["json"].items()
        }
    }


async def test_a_draft_of_another_workspace_cannot_be_executed(house: House) -> None:
    """W49: a preview made in one workspace is unknown in another."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    preview = (await owner.post("/actions/preview", json=echo())).json()
    answer: httpx2.Response = await stranger.post("/actions/execute", json={"preview_id": preview["plan_id"]})
    assert_problem(answer, 404, "not_found")
    assert (await owner.get(f"/ai/plans/{preview['plan_id']}")).json()["status"] == "draft"
