"""``/mcp`` with the protocol's own client against a running server, and what must not be possible there."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from tests.asking import Asking
from tests.web.house import House, assert_problem, open_house
from tests.web.test_health import metrics

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@asynccontextmanager
async def speaking(url: str, key: str) -> AsyncIterator[Client]:
    """Yield the protocol's client, with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    """Return whether a tool was content, and what it said."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result.structured_content, dict)
    return not result.is_error, result.structured_content


async def tools_of(client: Client) -> set[str]:
    """Return the names of the tools there are."""
    return {tool.name for tool in (await client.list_tools()).tools}


async def test_w10_from_a_plan_to_a_job(house: House) -> None:
    """The protocol's own client plans, executes, and looks at plan and job; ids of actions, dots and all, are tools.

    What it does counts in the metrics like what is asked for at the other doors.
    """
    async with house.served() as (_, url), house.worker(), speaking(url, await house.key()) as client:
        assert {"plan", "show_plan", "execute", "list_jobs", "show_job", "explain", "sample.echo"} <= await tools_of(
            client
        )
        good, plan = await call(client, "plan", prompt="write 'hello' to hello.txt")
        assert good, plan
        good, done = await call(client, "execute", plan_id=plan["plan_id"])
        assert (good, done["status"]) == (True, "running")
        assert (await call(client, "execute", plan_id=plan["plan_id"]))[1]["job_ids"] == done["job_ids"]
        good, ran = await call(client, "sample.echo", text="hello")
        assert (good, ran["status"]) == (True, "completed")
        assert (await call(client, "show_job", job_id=ran["job_id"]))[1]["job"]["status"] == "completed"
        assert (await call(client, "explain", job_id=ran["job_id"]))[0]
        assert ran["job_id"] in {job["job_id"] for job in (await call(client, "list_jobs"))[1]["jobs"]}
        assert (await call(client, "show_plan", plan_id=plan["plan_id"]))[1]["plan_id"] == plan["plan_id"]
        counted = await metrics(await house.client_with(None))
        assert counted["ai_planner_requests_total", "status=ok"] == counted["ai_planner_duration_seconds_count",] == 1
        assert counted["ai_job_list_queries_total", "workspace_id=unscoped"] == 1
        assert counted["ai_job_list_results_total", "workspace_id=unscoped"] == 2


async def test_what_policy_asks_about_waits_and_no_tool_decides(tmp_path: Path, anyio_backend: str) -> None:
    """An action that needs a yes says for which approval it waits, and there is no tool that gives one."""
    asking = Asking()
    asking.ask("sample.echo")
    async with open_house(tmp_path, asking=asking) as house, house.served() as (_, url), house.worker():  # noqa: SIM117
        async with speaking(url, await house.key(role=Role.ADMIN)) as client:
            good, asked = await call(client, "sample.echo", text="hello")
            assert (good, asked["status"]) == (True, "waiting_for_approval"), asked
            assert asked["approval_id"].startswith("appr_")
            assert not [
                name for name in await tools_of(client) if "appro" in name or "decide" in name or "reject" in name
            ]
            for name in ("approve", "approvals.approve", "decide"):
                assert not (await call(client, name, approval_id=asked["approval_id"]))[0]
            assert (await call(client, "show_job", job_id=asked["job_id"]))[1]["job"]["status"] == "held"


async def test_w48_anothers_plan_is_unknown(house: House) -> None:
    """A plan of another workspace, of a colleague, and none at all are refused in the same words."""
    async with house.served() as (_, url):
        told = []
        for workspace_id in ("acme", "globex"):
            async with speaking(url, await house.key(workspace_id)) as other:
                plan = (await call(other, "plan", prompt="write 'hello' to hello.txt"))[1]["plan_id"]
            async with speaking(url, await house.key()) as client:
                told += [await call(client, "execute", plan_id=plan)]
        async with speaking(url, await house.key()) as client:
            told += [
                await call(client, "execute", plan_id="plan_01kb2w8v9c0000000000000a"),
                await call(client, "execute", plan_id="../x"),
            ]
    for _, document in told:
        document.pop("request_id")
    for good, document in told:
        assert (good, document) == (False, told[-1][1])
    assert told[0][1]["code"] == "not_found"


async def test_w58_the_door_is_the_same_as_over_http(house: House) -> None:
    """No key, a revoked one, a session, another host and another origin are refused before any tool is."""
    client = await house.client()
    token = await house.key()
    assert_problem(await (await house.client_with(None)).post("/mcp", json=CALL), 401, "unauthenticated")
    local = {"Host": "127.0.0.1", "Authorization": f"Bearer {token}"}
    assert (await client.post("/mcp", json=CALL, headers=local)).status_code == 200
    elsewhere = await client.post("/mcp", json=CALL, headers={**local, "Host": "evil.example"})
    assert_problem(elsewhere, 421, "misdirected_request")
    foreign = await client.post("/mcp", json=CALL, headers={**local, "Origin": "http://evil.example"})
    assert_problem(foreign, 403, "cross_origin")
    odd = await client.post("/mcp", json=CALL, headers={**local, "Content-Type": "application/vnd.x+json"})
    assert_problem(odd, 422, "not_json")
    await house.app.directory.revoke_key(f"key_{token.split('_')[1]}", by=LOCAL_ACTOR)
    assert_problem(await client.post("/mcp", json=CALL, headers=local), 401, "unauthenticated")


async def test_w55_w102_w109_scopes_hide_and_refuse(house: House) -> None:
    """Who may only look sees no tool that acts, and is refused when calling one all the same: counted, and on record."""
    async with house.served() as (_, url), speaking(url, await house.key(role=Role.VIEWER)) as client:
        assert {name for name in await tools_of(client) if "." in name or name == "execute"} == set()
        for tool, arguments in (("execute", {"plan_id": "plan_x"}), ("sample.echo", {"text": "x"})):
            good, document = await call(client, tool, **arguments)
            assert (good, document["code"]) == (False, "missing_scope")
    assert (await metrics(await house.client_with(None)))[
        "security_decisions_total", "result=denied", "workspace_id=unscoped"
    ] == 2
    await house.app.recorder.written()
    denied = (await house.app.audit_log.query("acme", limit=9, kind="request.denied")).records
    assert [(one.entry.result, one.entry.facts["route"]) for one in denied] == [("missing_scope", "/mcp")] * 2


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("show_plan", {"plan_id": {"$ref": "x"}}, "invalid"),
        ("show_plan", {"plan_id": "plan_x", "workspace_id": "globex"}, "invalid"),
        ("list_jobs", {"limit": 10**9}, "invalid"),
        ("plan", {"prompt": ""}, "invalid"),
        ("sample.echo", {"text": 7}, "invalid"),
        ("sample.echo", {"text": "x", "actor_id": "admin"}, "invalid"),
        ("no.such_action", {}, "unknown_action"),
        ("__class__", {}, "invalid"),
    ],
)
async def test_w46_hostile_arguments_are_refused_with_a_code(
    house: House, tool: str, arguments: dict[str, Any], code: str
) -> None:
    """What does not fit is a tool's error with a stable code, and never an error that nobody foresaw."""
    async with house.served() as (_, url), speaking(url, await house.key()) as client:
        good, document = await call(client, tool, **arguments)
    assert (good, document["code"]) == (False, code), document


async def test_w121_the_same_limits_hold(tmp_path: Path, anyio_backend: str) -> None:
    """Tools count as the routes do, and say when to come back."""
    async with open_house(tmp_path, STEWARD_RATE_LIMITS="plan=1/minute") as house, house.served() as (_, url):
        async with speaking(url, await house.key()) as client:
            assert (await call(client, "plan", prompt="write 'a' to a.txt"))[0]
            good, document = await call(client, "plan", prompt="write 'a' to a.txt")
        assert (good, document["code"]) == (False, "rate_limited")
        assert document["retry_after_s"] >= 1
        counted = await metrics(await house.client_with(None))
    assert counted["http_rate_limited_total", "rule=plan"] == 1


async def test_w47_many_at_once_stay_apart(house: House) -> None:
    """Exchanges of two workspaces at the same time see each their own."""
    async with house.served() as (_, url), house.worker():  # noqa: SIM117
        async with speaking(url, await house.key("acme")) as one, speaking(url, await house.key("globex")) as two:
            ran = await asyncio.gather(*(call(client, "sample.echo", text="x") for client in (one, two) * 4))
            assert all(good for good, _ in ran)
            for client, mine in ((one, ran[::2]), (two, ran[1::2])):
                jobs = (await call(client, "list_jobs"))[1]["jobs"]
                assert {job["job_id"] for job in jobs} == {document["job_id"] for _, document in mine}


async def test_a_start_does_not_load_the_protocol(house: House) -> None:
    """The protocol's library, a good part of a second, is loaded by the first request and not by the server's start."""
    assert (await (await house.client()).get("/version")).status_code == 200
    look = "import sys, steward.web.app; sys.exit('mcp' in sys.modules or 'mcp_types' in sys.modules)"
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", look)
    assert await started.wait() == 0
