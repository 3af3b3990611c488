"""What a workspace uses of its own limits, over HTTP; and why a job waits for them."""

from typing import Any

import pytest

from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from steward.workspace import Budget, Cap, WorkspaceSettings
from tests.web.house import House, assert_problem, echo

pytestmark = pytest.mark.anyio


async def test_usage_is_shown_to_the_own_workspace(house: House) -> None:
    """Every rule with its limit and what is used of it; a workspace that set nothing has none."""
    client = await house.client("acme", Role.VIEWER)
    empty = await client.get("/workspaces/acme/usage")
    assert empty.json() == {"workspace_id": "acme", "running": 0, "caps": [], "budgets": []}
    budgets: Any = {"messages_out": Budget(limit=3, window_s=60)}
    settings = WorkspaceSettings(caps={"*": Cap(max_running=2)}, budgets=budgets)
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    answer = await client.get("/workspaces/acme/usage")
    assert answer.status_code == 200
    assert answer.json()["caps"] == [
        {"pattern": "*", "kind": "max_running", "limit": 2, "used": 0, "free_at": None},
    ]
    assert answer.json()["budgets"] == [{"budget": "messages_out", "limit": 3, "window_s": 60, "used": 0}]


async def test_foreign_usage_is_unknown(house: House) -> None:
    """A workspace that exists, one that does not and one that cannot are the same answer."""
    client = await house.client("acme", Role.ADMIN)
    await house.client("beta")
    documents = []
    for other in ("beta", "nobody", "Not A Workspace", "system"):
        document = assert_problem(await client.get(f"/workspaces/{other}/usage"), 404, "not_found")
        del document["request_id"]
        documents.append(document)
    assert all(document == documents[0] for document in documents)


async def test_explain_names_the_cap(house: House) -> None:
    """For the job and for its plan: which rule keeps it, and who can change it."""
    client = await house.client()
    settings = WorkspaceSettings(caps={"sample.*": Cap(max_running=1)})
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    submitted = (await client.post("/ai/execute", json={"actions": [echo("one"), echo("two")]})).json()
    caps = await house.app.directory.list_caps()
    await house.app.engine.dispatcher.claim("worker-that-takes-its-time", limit=9, caps=caps)
    told = (await client.get(f"/ai/jobs/{submitted['job_ids'][1]}/explain")).json()
    assert told["reason"]["code"] == "capped"
    assert "at most 1 job of 'sample.*' may run at the same time" in told["reason"]["text"]
    assert told["who"] == "an admin of the workspace: raise the cap"
