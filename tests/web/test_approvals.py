"""Approvals over HTTP: what is shown to whom, what a decision needs and does, and what happens to a plan that asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from steward.identity import Role
from steward.policy import Ask
from steward.work_store import APPROVAL_S
from steward.workspace import WorkspaceSettings
from tests.asking import LOOK, Asking
from tests.conftest import FakeClock
from tests.drifting import let_drift
from tests.web import sample_actions
from tests.web.house import House, assert_problem, open_house
from tests.web.test_plans import ended, published

pytestmark = pytest.mark.anyio


@pytest.fixture
def asking() -> Asking:
    """Return rules under which ``sample.count`` asks."""
    rules = Asking()
    rules.ask("sample.count")
    return rules


@pytest.fixture
async def house(tmp_path: Path, asking: Asking, clock: FakeClock, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation whose policy asks, on a clock that the test moves."""
    async with open_house(tmp_path, asking=asking, clock=clock) as opened:
        yield opened


def count(text: Any = "abc", **more: Any) -> dict[str, Any]:
    """Return an item of ``actions`` that runs ``sample.count``."""
    return {"action_id": "sample.count", "params": {"text": text}, **more}


async def asked(client: httpx2.AsyncClient, *actions: dict[str, Any]) -> dict[str, Any]:
    """Execute actions that ask, and return the answer."""
    answer = await client.post("/ai/execute", json={"actions": list(actions) or [count()]})
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "awaiting_approval"
    return answer.json()


async def shown(client: httpx2.AsyncClient, approval_id: str) -> dict[str, Any]:
    """Return an approval as an approver sees it."""
    answer = await client.get(f"/ai/approvals/{approval_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def decide(client: httpx2.AsyncClient, approval: dict[str, Any], verb: str, **more: Any) -> httpx2.Response:
    """Approve or reject what was shown."""
    body = {"digest": approval["digest"], **more}
    return await client.post(f"/ai/approvals/{approval['approval_id']}/{verb}", json=body)


async def drifted(house: House, client: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """Wait until a job is held for drift, and return it."""
    principal = await house.app.authenticator.authenticate(client.headers["authorization"].removeprefix("Bearer "))
    assert principal is not None
    with house.app.engine.open(principal).listen() as listener:
        while (job := (await client.get(f"/ai/jobs/{job_id}")).json())["held_for"] != "drift":
            assert await listener.wait(10)
    return job


async def test_a_plan_that_asks_waits_and_says_for_whom(house: House) -> None:
    """202 with the approval's id; plan, jobs and explanations show it, who can give it, and until when."""
    developer = await house.client()
    done = await asked(developer, count(), count("de", depends_on=[0]))
    (await published(house, "Submitted")).validate(done)
    plan = (await developer.get(f"/ai/plans/{done['plan_id']}")).json()
    (await published(house, "PlanDetail")).validate(plan)
    assert plan["status"] == "awaiting_approval"
    assert plan["approval"]["approval_id"] == done["approval_id"]
    assert [one["approval_id"] for one in plan["approvals"]] == [done["approval_id"]]
    assert {(job["status"], job["held_for"], job["reason"]) for job in plan["jobs"]} == {
        ("held", "approval", LOOK.reason)
    }
    for path in (f"plans/{done['plan_id']}", f"jobs/{done['job_ids'][1]}"):
        told = (await developer.get(f"/ai/{path}/explain")).json()
        (await published(house, "Explanation")).validate(told)
        assert told["reason"]["code"] == "awaiting_approval"
        assert done["approval_id"] in told["reason"]["text"]
        assert (told["approval_id"], told["who"]) == (done["approval_id"], "anyone who may decide approvals")
        assert told["next_change_at"] == plan["approval"]["expires_at"]
    async with house.worker():
        assert (await developer.get("/ai/jobs", params={"status": "held"})).json()["count"] == 2


async def test_an_approval_shows_what_would_happen(house: House, clock: FakeClock) -> None:
    """The steps with their parameters, secrets masked, the rule and reason, who asked and until when."""
    done = await asked(await house.client(), count("the lift; password=hunter2"), count("de"))
    answer = await (approver := await house.client(role=Role.APPROVER)).get(f"/ai/approvals/{done['approval_id']}")
    approval = answer.json()
    (await published(house, "ApprovalDetail")).validate(approval)
    assert "hunter2" not in answer.text
    assert [step["params"]["text"] for step in approval["steps"]] == ["the lift; password=***REDACTED***", "de"]
    assert {step["decision"]["effect"] for step in approval["steps"]} == {"ask"}
    assert (approval["rule"], approval["reason"], approval["status"]) == (LOOK.rule, LOOK.reason, "pending")
    plan = (await approver.get(f"/ai/plans/{done['plan_id']}")).json()
    assert approval["digest"] == plan["digest"]
    assert approval["requested_by"].startswith("key_")
    assert (approval["job_id"], approval["decided_by"], approval["comment"]) == (None, None, None)


async def test_a_yes_lets_the_plan_run_to_its_end(house: House) -> None:
    """200 with the decision; every held job goes on, and each effect happens once."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    done = await asked(developer, count(), count("de", depends_on=[0]))
    before = len(sample_actions.EXECUTIONS)
    answer = await decide(approver, await shown(approver, done["approval_id"]), "approve", comment="fine; token=abc123")
    assert answer.status_code == 200, answer.text
    approval = answer.json()
    (await published(house, "ApprovalDetail")).validate(approval)
    assert (approval["status"], approval["comment"]) == ("approved", "fine; token=***REDACTED***")
    assert approval["decided_by"] not in {None, approval["requested_by"]}
    async with house.worker():
        assert await ended(house, developer, done["plan_id"]) == "completed"
    assert sample_actions.EXECUTIONS[before:] == done["job_ids"]
    again = await developer.post("/ai/execute", json={"plan_id": done["plan_id"]})
    assert (again.json()["duplicate"], again.json()["approval_id"]) == (True, done["approval_id"])


async def test_a_no_ends_the_plan(house: House) -> None:
    """200; the plan is rejected and its jobs cancelled with the reason."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    done = await asked(developer)
    answer = await decide(approver, await shown(approver, done["approval_id"]), "reject", comment="Not this week.")
    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    plan = (await developer.get(f"/ai/plans/{done['plan_id']}")).json()
    assert (plan["status"], plan["jobs"][0]["status"]) == ("rejected", "cancelled")
    assert plan["approval"]["comment"] == "Not this week."


@pytest.mark.parametrize(("first", "second"), [("approve", "reject"), ("reject", "approve")])
async def test_the_same_decision_again_is_answered_as_the_first_time(house: House, first: str, second: str) -> None:
    """A client whose answer was lost gets it; another decision, or another person's, is 409."""
    approver, colleague = await house.client(role=Role.APPROVER), await house.client(role=Role.APPROVER)
    approval = await shown(approver, (await asked(await house.client()))["approval_id"])
    answer = await decide(approver, approval, first, comment="once")
    again = await decide(approver, approval, first, comment="twice")
    assert (again.status_code, again.json()) == (200, answer.json())
    assert_problem(await decide(approver, approval, second), 409, "illegal_transition")
    assert_problem(await decide(colleague, approval, first), 409, "illegal_transition")


async def test_a_decision_names_what_was_shown(house: House) -> None:
    """Another digest is 409 and nothing changes; a body that does not fit is 422."""
    approver = await house.client(role=Role.APPROVER)
    approval = await shown(approver, (await asked(await house.client()))["approval_id"])
    path = f"/ai/approvals/{approval['approval_id']}"
    for verb in ("approve", "reject"):
        for digest in ("0" * 64, approval["digest"].upper(), approval["digest"][:-1], f"{approval['digest']} "):
            assert_problem(await approver.post(f"{path}/{verb}", json={"digest": digest}), 409, "approval_mismatch")
        for body in (
            *({}, {"digest": ""}, {"digest": None}, {"digest": 1}, {"digest": "0" * 129}),
            *({"digest": "0", "comment": "x" * 2001}, {"digest": "0", "verdict": "approve"}, []),
            {"digest": approval["digest"], "comment": "a NUL, which not every store can keep: \0"},
        ):
            assert_problem(await approver.post(f"{path}/{verb}", json=body), 422, "invalid")
        foreign = {"digest": approval["digest"], "workspace_id": "beta"}
        assert_problem(await approver.post(f"{path}/{verb}", json=foreign), 403, "workspace_mismatch")
    assert await shown(approver, approval["approval_id"]) == approval


async def test_the_inbox_is_walked_page_by_page(house: House) -> None:
    """Pending ones, newest first; other statuses on request; a cursor is good for its own listing and filter only."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    ids = [(await asked(developer))["approval_id"] for _ in range(5)]
    await decide(approver, await shown(approver, ids[2]), "reject")
    seen: list[str] = []
    cursor: str | None = None
    last = ""
    while cursor is not None or not seen:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await approver.get("/ai/approvals", params=query)).json()
        (await published(house, "ApprovalPage")).validate(page)
        assert (page["workspace_id"], page["count"]) == ("acme", len(page["approvals"]))
        seen += [approval["approval_id"] for approval in page["approvals"]]
        cursor, last = page["next_cursor"], cursor or ""
    assert seen == [ids[4], ids[3], ids[1], ids[0]]
    rejected = (await approver.get("/ai/approvals", params={"status": "rejected"})).json()
    assert [approval["approval_id"] for approval in rejected["approvals"]] == [ids[2]]
    assert rejected["approvals"][0]["intent"] == "Run 1 action."
    for query in ({"cursor": last, "status": "rejected"}, {"cursor": last + "x"}):
        assert_problem(await approver.get("/ai/approvals", params=query), 400, "invalid_cursor")
    assert_problem(await developer.get("/ai/jobs", params={"cursor": last}), 400, "invalid_cursor")
    for query in ({"limit": 0}, {"limit": 101}, {"status": "lost"}):
        assert_problem(await approver.get("/ai/approvals", params=query), 400, "bad_request")


async def test_an_approval_that_nobody_gave_in_time_is_over(house: House, clock: FakeClock) -> None:
    """After 72 hours it cannot be decided, swept or not; the plan is expired."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    done = await asked(developer)
    approval = await shown(approver, done["approval_id"])
    clock.advance(APPROVAL_S)
    assert_problem(await decide(approver, approval, "approve"), 409, "illegal_transition")
    await house.app.engine.dispatcher.sweep()
    assert_problem(await decide(approver, approval, "reject"), 409, "illegal_transition")
    assert (await shown(approver, done["approval_id"]))["status"] == "expired"
    assert (await developer.get(f"/ai/plans/{done['plan_id']}")).json()["status"] == "expired"


async def test_whose_yes_it_takes_is_said_and_kept(house: House, asking: Asking) -> None:
    """One's own plan may be approved unless the rule wants another person; a role that the rule names is needed."""
    admin = await house.client(role=Role.ADMIN, owner="anna")
    own = await shown(admin, (await asked(admin))["approval_id"])
    assert (await decide(admin, own, "approve")).status_code == 200
    asking.ask("sample.count", Ask("four_eyes", "Two people.", another_person=True))
    done = await asked(admin)
    approval = await shown(admin, done["approval_id"])
    assert approval["another_person"] is True
    assert_problem(await decide(admin, approval, "approve"), 403, "another_person_required")
    told = (await admin.get(f"/ai/plans/{done['plan_id']}/explain")).json()
    assert told["who"] == "anyone who may decide approvals, but not whoever made or executed the plan"
    assert (await decide(await house.client(role=Role.APPROVER, owner="bert"), approval, "approve")).status_code == 200
    asking.ask("sample.count", Ask("boss", "It is a lot.", approver_role=Role.ADMIN))
    done = await asked(admin)
    approver = await house.client(role=Role.APPROVER)
    refused = await decide(approver, await shown(approver, done["approval_id"]), "approve")
    assert assert_problem(refused, 403, "approver_role_required")["role"] == "admin"
    step = (await admin.get(f"/ai/approvals/{done['approval_id']}")).json()["steps"][0]
    assert (step["decision"]["approver_role"], step["decision"]["another_person"]) == ("admin", False)


async def test_a_previewed_action_that_asks_is_held_at_once(house: House) -> None:
    """``/actions/execute`` does not wait for a person: 202 with the held job, and after the yes it runs once."""
    admin = await house.client(role=Role.ADMIN)
    preview = (await admin.post("/actions/preview", json=count())).json()
    (await published(house, "Plan")).validate(preview)
    assert preview["steps"][0]["decision"]["effect"] == "ask"
    async with house.worker():
        body = {"preview_id": preview["plan_id"], "wait_ms": 60_000}
        held = await admin.post("/actions/execute", json=body)
        assert (held.status_code, held.json()["status"], held.json()["held_for"]) == (202, "held", "approval")
        plan = (await admin.get(f"/ai/plans/{preview['plan_id']}")).json()
        assert (await decide(admin, plan["approval"], "approve")).status_code == 200
        done = await admin.post("/actions/execute", json=body)
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert done.json()["job_id"] == held.json()["job_id"]


async def test_a_draft_is_decided_anew_for_whoever_executes_it(house: House, asking: Asking) -> None:
    """Allowed when it was made, asking when it is executed: the approval shows the decision that asked."""
    asking.rules.clear()
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    plan = (await developer.post("/ai/plan", json={"prompt": 'echo "good morning"'})).json()
    assert plan["steps"][0]["decision"]["effect"] == "allow"
    asking.ask("sample.echo")
    done = (await developer.post("/ai/execute", json={"plan_id": plan["plan_id"]})).json()
    approval = await shown(approver, done["approval_id"])
    assert approval["prompt"] == 'echo "good morning"'
    (step,) = approval["steps"]
    assert (step["params"], step["decision"]["effect"]) == ({"text": "good morning"}, "ask")


async def test_a_rule_that_a_workspace_switched_on_asks(house: House, asking: Asking) -> None:
    """The installation's own policy: what only reads runs, what writes waits for a yes, in this workspace alone."""
    asking.rules.clear()
    developer, neighbour = await house.client(), await house.client("beta")
    await house.app.directory.change_settings("acme", WorkspaceSettings(rules=("ask_before_write",)), by="test")
    house.app.policies.forget("acme")
    read = await developer.post(
        "/ai/execute", json={"actions": [{"action_id": "sample.echo", "params": {"text": "a"}}]}
    )
    assert read.json()["status"] == "running"
    assert (await neighbour.post("/ai/execute", json={"actions": [count()]})).json()["status"] == "running"
    approver = await house.client(role=Role.APPROVER)
    done = await asked(developer)
    approval = await shown(approver, done["approval_id"])
    assert (approval["rule"], approval["steps"][0]["decision"]["rule"]) == ("ask_before_write", "ask_before_write")
    assert (await decide(approver, approval, "approve")).status_code == 200
    async with house.worker():
        assert await ended(house, developer, done["plan_id"]) == "completed"


async def test_what_changed_after_a_yes_is_told_by_field(house: House, tmp_path: Path) -> None:
    """The job and the approval list what was before and what is now, field by field, and nothing has run."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    done = await asked(developer, count("Dear Ann"), count("de", depends_on=[0]))
    let_drift(tmp_path, done["plan_id"], "Dear Ann", "Dear Bob")
    approval = await shown(approver, done["approval_id"])
    assert approval["differences"] == []
    before = len(sample_actions.EXECUTIONS)
    assert (await decide(approver, approval, "approve")).status_code == 200
    async with house.worker():
        job = await drifted(house, developer, done["job_ids"][0])
    assert len(sample_actions.EXECUTIONS) == before
    (await published(house, "JobDetail")).validate(job)
    assert (job["held_for"], job["differences"]) == (
        "drift",
        [{"field": "text", "before": "Dear Bob", "after": "Dear Ann"}],
    )
    approval = await shown(approver, done["approval_id"])
    (await published(house, "ApprovalDetail")).validate(approval)
    assert approval["differences"] == [{"step": "s1", "field": "text", "before": "Dear Bob", "after": "Dear Ann"}]
    plan = (await developer.get(f"/ai/plans/{done['plan_id']}")).json()
    (await published(house, "PlanDetail")).validate(plan)
    assert ["differences" in job for job in plan["jobs"]] == [True, False]


async def test_a_step_held_in_the_run_is_shown_with_its_value(house: House, asking: Asking) -> None:
    """The approval is of one job, shows the resolved value and its source, and releases that job alone."""
    asking.ask("sample.count", when=lambda params: params.get("text") == "abcd")
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    actions = [{"action_id": "sample.echo", "params": {"text": "abcd"}}, count({"$ref": "steps.s1.result.text"})]
    done = (await developer.post("/ai/execute", json={"actions": actions})).json()
    assert (done["status"], done["approval_id"]) == ("running", None)
    principal = await house.app.authenticator.authenticate(developer.headers["authorization"].removeprefix("Bearer "))
    assert principal is not None
    async with house.worker():
        with house.app.engine.open(principal).listen() as listener:
            while not (inbox := (await approver.get("/ai/approvals")).json()["approvals"]):
                assert await listener.wait(10)
        assert inbox[0]["job_id"] == done["job_ids"][1]
        approval = await shown(approver, inbox[0]["approval_id"])
        (await published(house, "ApprovalDetail")).validate(approval)
        (step,) = approval["steps"]
        assert (step["id"], step["params"]) == ("s2", {"text": "abcd"})
        assert step["inputs"]["text"]["from"] == "s1 (sample.echo)"
        told = (await developer.get(f"/ai/plans/{done['plan_id']}/explain")).json()
        assert (told["step"], told["approval_id"]) == ("s2", approval["approval_id"])
        assert (await decide(approver, approval, "approve")).status_code == 200
        assert await ended(house, developer, done["plan_id"]) == "completed"
    plan = (await developer.get(f"/ai/plans/{done['plan_id']}")).json()
    assert plan["approval"] is None
    assert [one["status"] for one in plan["approvals"]] == ["approved"]
