"""A workspace's policies over HTTP: who may see and change them, what is refused, and what they do to requests."""

from typing import Any

import pytest

from steward.clock import rfc3339
from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from steward.workspace import WorkspaceSettings
from tests.web.house import House, assert_problem, echo, open_house
from tests.web.test_plans import published

pytestmark = pytest.mark.anyio
NO_ECHO = (
    '@reason("Nothing is said here.") @fix("Be quiet.")\nforbid (principal, action == Action::"sample.echo", resource);'
)
CHECK = {"action_id": "sample.echo", "params": {"text": "hi"}}


async def test_a_policy_is_kept_shown_and_removed(house: House) -> None:
    """With who changed it and when; every answer fits the published schema."""
    admin = await house.client(role=Role.ADMIN)
    kept = (await admin.put("/policies/no_echo", json={"text": NO_ECHO})).json()
    (await published(house, "Policy")).validate(kept)
    assert (kept["name"], kept["text"]) == ("no_echo", NO_ECHO)
    listed = (await admin.get("/policies")).json()
    (await published(house, "PolicyList")).validate(listed)
    assert listed["policies"] == [kept]
    removed = await admin.request("DELETE", "/policies/no_echo")
    assert (removed.status_code, removed.json()) == (200, {"name": "no_echo", "removed": True})
    assert (await admin.get("/policies")).json()["policies"] == []
    assert (await admin.get("/policies")).json()["version"] != listed["version"]
    assert_problem(await admin.request("DELETE", "/policies/no_echo"), 404, "not_found")


async def test_a_policy_refuses_what_it_forbids_at_every_door(house: House) -> None:
    """Plan, preview and execute say the same, with the rule, its reason and its fix; another workspace goes on."""
    admin, member = await house.client(role=Role.ADMIN), await house.client()
    await admin.put("/policies/no_echo", json={"text": NO_ECHO})
    plan = (await member.post("/ai/plan", json={"prompt": 'echo "good morning"'})).json()
    assert plan["steps"] == []
    preview = (await member.post("/actions/preview", json=CHECK)).json()
    decision = {"effect": "deny", "reason": "Nothing is said here.", "rule": "workspace/no_echo"}
    assert preview["steps"][0]["decision"] == decision
    problem = assert_problem(await member.post("/ai/execute", json={"actions": [echo()]}), 403, "policy_denied")
    assert "Nothing is said here. Be quiet." in problem["detail"]
    assert_problem(await member.post("/ai/execute", json={"plan_id": preview["plan_id"]}), 403, "policy_denied")
    assert_problem(await member.post("/actions/execute", json={"preview_id": preview["plan_id"]}), 403, "policy_denied")
    elsewhere = await house.client("other")
    assert (await elsewhere.post("/ai/execute", json={"actions": [echo()]})).status_code == 202


async def test_a_rule_that_asks_makes_an_approval(house: House) -> None:
    """The plan waits for a person, and the decision says which rule wants one."""
    admin = await house.client(role=Role.ADMIN)
    settings = WorkspaceSettings(rules=("ask_before_write",))
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    checked = (
        await admin.post("/policies/check", json={"action_id": "file.write", "params": {"path": "a", "text": "b"}})
    ).json()
    assert checked["decision"]["effect"] == "ask"
    step = {"action_id": "file.write", "params": {"path": "a.txt", "text": "b"}}
    done = await admin.post("/ai/execute", json={"actions": [step]})
    assert done.json()["status"] == "awaiting_approval"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.APPROVER, Role.AUDITOR])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/policies", None),
        ("GET", "/policies/default", None),
        ("PUT", "/policies/x", {"text": NO_ECHO}),
        ("DELETE", "/policies/x", None),
        ("POST", "/policies/check", CHECK),
        ("POST", "/policies/diff", {"text": NO_ECHO, "since": "2026-01-01T00:00:00Z"}),
    ],
)
async def test_only_admins_look_after_policies(house: House, role: Role, method: str, path: str, body: Any) -> None:
    """Every other role is told which scope it lacks, and nothing is changed."""
    client = await house.client(role=role)
    problem = assert_problem(await client.request(method, path, json=body), 403, "missing_scope")
    assert problem["scope"] == "admin"
    admin = await house.client(role=Role.ADMIN)
    assert (await admin.get("/policies")).json()["policies"] == []


async def test_an_operator_has_no_policies_to_look_after(house: House) -> None:
    """A workspace's policies belong to its admins."""
    operator = await house.client("system", role=Role.OPERATOR)
    assert_problem(await operator.get("/policies"), 403, "missing_scope")


async def test_w48_a_foreign_policy_is_an_unknown_one(house: House) -> None:
    """Byte for byte but for the request's id; and its workspace keeps it."""
    admin, stranger = await house.client(role=Role.ADMIN), await house.client("other", role=Role.ADMIN)
    await admin.put("/policies/no_echo", json={"text": NO_ECHO})
    answers = [await stranger.request("DELETE", f"/policies/{name}") for name in ("no_echo", "nothing")]
    foreign, unknown = ({**answer.json(), "request_id": ""} for answer in answers)
    assert foreign == unknown
    assert (await stranger.get("/policies")).json()["policies"] == []
    assert len((await admin.get("/policies")).json()["policies"]) == 1


async def test_a_text_that_cannot_be_used_is_refused_with_its_place(house: House) -> None:
    """422 with what is wrong in which statement; the problem points into the body."""
    admin = await house.client(role=Role.ADMIN)
    answer = await admin.put(
        "/policies/odd", json={"text": "forbid (principal, action, resource);\npermit (principal);"}
    )
    problem = assert_problem(answer, 422, "invalid_policy")
    assert problem["errors"][0]["pointer"] == "/text"
    assert "Policy 2, which begins on line 2" in problem["errors"][0]["detail"]
    for body in ({}, {"text": ""}, {"text": "x" * 8001}, {"text": 17}):
        assert_problem(await admin.put("/policies/odd", json=body), 422, "invalid")
    assert_problem(await admin.put("/policies/Odd", json={"text": NO_ECHO}), 400, "bad_request")
    more = {"text": NO_ECHO, "changed_by": "somebody"}
    assert_problem(await admin.put("/policies/odd", json=more), 422, "invalid")
    foreign = {"text": NO_ECHO, "workspace_id": "other"}
    assert_problem(await admin.put("/policies/odd", json=foreign), 403, "workspace_mismatch")


async def test_settings_cannot_name_a_rule_that_there_is_not(house: House) -> None:
    """It would deny everything; so the change is refused, with the names that there are."""
    admin = await house.client(role=Role.ADMIN)
    for name in ("rule_of_tomorrow", "members_run_actions"):
        answer = await admin.put("/workspaces/acme/settings", json={"settings": {"rules": [name]}})
        problem = assert_problem(answer, 422, "unknown_rule")
        assert problem["errors"][0]["pointer"] == "/settings/rules"
        assert "internal_recipients_only" in problem["detail"]
    assert (await admin.put("/workspaces/acme/settings", json={"settings": {"rules": ["reads_only"]}})).is_success
    checked = await admin.post(
        "/policies/check", json={"action_id": "file.write", "params": {"path": "a", "text": "b"}}
    )
    assert checked.json()["decision"]["rule"] == "reads_only"


async def test_the_default_rules_say_whether_they_are_on(house: House) -> None:
    """In the order in which they speak; an optional one is on where the settings name it."""
    admin = await house.client(role=Role.ADMIN)
    settings = WorkspaceSettings(rules=("reads_only",))
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    document = (await admin.get("/policies/default")).json()
    (await published(house, "DefaultRules")).validate(document)
    on = {rule["name"]: rule["on"] for rule in document["rules"]}
    assert on["members_run_actions"] is True
    assert on["reads_only"] is True
    assert on["internal_recipients_only"] is False


async def test_check_names_the_rule_that_decides(house: House) -> None:
    """Allowed by the catalogue, denied by the own policy, unknown as unknown; parameters are checked first."""
    admin = await house.client(role=Role.ADMIN)
    allowed = (await admin.post("/policies/check", json=CHECK)).json()
    (await published(house, "PolicyCheck")).validate(allowed)
    assert allowed["decision"]["rule"] == "catalogue"
    await admin.put("/policies/no_echo", json={"text": NO_ECHO})
    denied = (await admin.post("/policies/check", json=CHECK)).json()
    assert (denied["decision"]["rule"], denied["fix"]) == ("workspace/no_echo", "Be quiet.")
    unknown = (await admin.post("/policies/check", json={"action_id": "fax.send"})).json()
    assert unknown["decision"]["rule"] == "unknown_action"
    refused = await admin.post("/policies/check", json={"action_id": "sample.echo", "params": {"text": 17}})
    assert assert_problem(refused, 422, "invalid")["errors"][0]["pointer"] == "/params/text"


async def test_check_can_stand_in_for_another_role(house: House) -> None:
    """So that an admin sees what a developer is let do; an operator is no role to stand in for."""
    admin = await house.client(role=Role.ADMIN)
    text = 'forbid (principal in Role::"developer", action == Action::"sample.echo", resource);'
    await admin.put("/policies/not_by_developers", json={"text": text})
    effects = [
        (await admin.post("/policies/check", json={**CHECK, "role": role})).json()["decision"]["rule"]
        for role in ("admin", "developer", "auditor", None)
    ]
    assert effects == ["catalogue", "workspace/not_by_developers", "not_permitted", "catalogue"]
    assert_problem(await admin.post("/policies/check", json={**CHECK, "role": "operator"}), 422, "invalid")


async def test_a_diff_needs_a_change_and_a_moment(house: House) -> None:
    """Without records nothing would have been otherwise; a wrong text is refused as it would be when kept."""
    admin = await house.client(role=Role.ADMIN)
    since = rfc3339(house.app.clock.now())
    report = (await admin.post("/policies/diff", json={"text": NO_ECHO, "since": since})).json()
    (await published(house, "PolicyDiff")).validate(report)
    assert (report["examined"], report["complete"], report["differences"]) == (0, True, [])
    for body in ({"since": since}, {"text": NO_ECHO}, {"text": NO_ECHO, "since": "yesterday"}):
        assert_problem(await admin.post("/policies/diff", json=body), 422, "invalid")
    wrong = {"text": "permit (principal, action, resource);", "since": since}
    assert_problem(await admin.post("/policies/diff", json=wrong), 422, "invalid_policy")
    rule = {"switch_on": ["rule_of_tomorrow"], "since": since}
    assert_problem(await admin.post("/policies/diff", json=rule), 422, "unknown_rule")
    assert (await admin.get("/policies")).json()["policies"] == []


async def test_w50_no_metrics_setting_changes_a_decision(tmp_path: Any) -> None:
    """Metrics are labels, never access."""
    async with open_house(tmp_path, METRICS_WORKSPACE_LABEL="on", METRICS_WORKSPACE_ALLOWLIST="nobody") as house:
        admin = await house.client(role=Role.ADMIN)
        assert (await admin.post("/policies/check", json=CHECK)).json()["decision"]["effect"] == "allow"
