"""From a sentence to a plan to work, over HTTP."""

import asyncio
from datetime import timedelta, timezone
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from steward.clock import rfc3339
from steward.identity import Role
from steward.plan import MAX_STEPS
from tests.web.house import House, assert_problem, echo

pytestmark = pytest.mark.anyio


async def published(house: House, name: str) -> Draft202012Validator:
    """Return a validator of one schema of the published API."""
    client = await house.client()
    document = (await client.get("/openapi.json")).json()
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


async def test_w4_a_plan_is_valid_against_the_published_schema_and_can_be_executed(house: House) -> None:
    """A sentence becomes a plan in the shape that the API publishes; its id executes it, unchanged."""
    client = await house.client()
    answer = await client.post("/ai/plan", json={"prompt": 'echo "good morning"'})
    assert answer.status_code == 200
    plan = answer.json()
    (await published(house, "Plan")).validate(plan)
    assert plan["status"] == "draft"
    assert [step["action_id"] for step in plan["steps"]] == ["sample.echo"]
    assert plan["request_id"] == answer.headers["x-request-id"]
    done = await client.post("/ai/execute", json={"plan_id": plan["plan_id"]})
    assert done.status_code == 202
    (await published(house, "Submitted")).validate(done.json())
    assert done.json()["duplicate"] is False
    shown = await client.get(f"/ai/plans/{plan['plan_id']}")
    (await published(house, "PlanDetail")).validate(shown.json())
    assert [job["job_id"] for job in shown.json()["jobs"]] == done.json()["job_ids"]


async def test_w5_plan_execute_worker_completed(anywhere: House) -> None:
    """The whole way: the result of the worker is visible through the job, and the plan has ended."""
    client = await anywhere.client()
    plan = (await client.post("/ai/plan", json={"prompt": 'echo "good morning"'})).json()
    done = (await client.post("/ai/execute", json={"plan_id": plan["plan_id"]})).json()
    async with anywhere.worker():
        await ended(anywhere, client, done["plan_id"])
    job = (await client.get(f"/ai/jobs/{done['job_ids'][0]}")).json()
    (await published(anywhere, "JobDetail")).validate(job)
    assert (job["status"], job["result"], job["error"]) == ("completed", {"text": "good morning"}, None)
    assert (await client.get(f"/ai/plans/{done['plan_id']}")).json()["status"] == "completed"


async def ended(house: House, client: Any, plan_id: str) -> str:
    """Wait until the plan has ended and return how."""
    plan = (await client.get(f"/ai/plans/{plan_id}")).json()
    principal = await house.app.authenticator.authenticate(client.headers["authorization"].removeprefix("Bearer "))
    assert principal is not None
    with house.app.engine.open(principal).listen() as listener:
        while plan["status"] == "running":
            plan = (await client.get(f"/ai/plans/{plan_id}")).json()
            if plan["status"] == "running":
                assert await listener.wait(10)
    return plan["status"]


async def test_a_sentence_that_lacks_something_comes_back_with_questions(house: House) -> None:
    """Nothing is guessed: no runnable step, a question that names the parameter, and executing it is refused."""
    client = await house.client()
    plan = (await client.post("/ai/plan", json={"prompt": "echo"})).json()
    (await published(house, "Plan")).validate(plan)
    assert plan["status"] == "needs_input"
    assert plan["steps"] == []
    assert [question["param"] for question in plan["questions"]] == ["text"]
    assert_problem(await client.post("/ai/execute", json={"plan_id": plan["plan_id"]}), 409, "illegal_transition")
    revised = await client.post(f"/ai/plans/{plan['plan_id']}/revise", json={"answers": {"text": "hello"}})
    assert revised.status_code == 200, revised.text
    assert revised.json()["status"] == "draft"
    assert revised.json()["plan_id"] != plan["plan_id"]
    assert revised.json()["steps"][0]["params"] == {"text": "hello"}


async def test_a_plan_can_be_revised_with_other_steps(house: House) -> None:
    """Other steps make a new plan with another digest; the old one stays."""
    client = await house.client()
    plan = (await client.post("/ai/plan", json={"prompt": 'echo "one"'})).json()
    answer = await client.post(f"/ai/plans/{plan['plan_id']}/revise", json={"steps": [echo("two")]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["digest"] != plan["digest"]
    assert (await client.get(f"/ai/plans/{plan['plan_id']}")).json()["digest"] == plan["digest"]


async def test_actions_are_executed_by_id_or_by_provider_and_action(house: House) -> None:
    """The alias is the same request: with the same idempotency key it is a duplicate of the other form."""
    client = await house.client()
    long = {"actions": [{"action": "echo", "provider": "sample", "params": {"text": "hello"}}]}
    first = await client.post("/ai/execute", json={"actions": [echo()]}, headers={"Idempotency-Key": "k-1"})
    again = await client.post("/ai/execute", json=long, headers={"Idempotency-Key": '"k-1"'})
    assert first.status_code == again.status_code == 202
    assert again.json()["duplicate"] is True
    assert again.json()["job_ids"] == first.json()["job_ids"]
    other = await client.post("/ai/execute", json={"actions": [echo("else")]}, headers={"Idempotency-Key": "k-1"})
    assert_problem(other, 422, "idempotency_key_reused")


async def test_w2_w12_copies_of_one_request_make_one_job(anywhere: House) -> None:
    """Fifty concurrent copies are all answered 202 with the same job, and there is one job."""
    client = await anywhere.client()
    body = {"actions": [echo(client_request_id="mail-1")]}
    answers = await asyncio.gather(*(client.post("/ai/execute", json=body) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({tuple(answer.json()["job_ids"]) for answer in answers}) == 1
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert (await client.get("/ai/jobs")).json()["count"] == 1


async def test_w20_the_same_request_id_in_two_workspaces_makes_two_jobs(house: House) -> None:
    """A client's names are its workspace's own."""
    jobs = set()
    for workspace_id in ("acme", "beta"):
        client = await house.client(workspace_id)
        answer = await client.post("/ai/execute", json={"actions": [echo(client_request_id="mail-1")]})
        assert answer.json()["duplicate"] is False
        jobs.add(answer.json()["job_ids"][0])
    assert len(jobs) == 2


@pytest.mark.parametrize(
    "actions",
    [
        None,
        {},
        "sample.echo",
        [[]],
        [None],
        ["sample.echo"],
        [{}],
        [{"action": "echo"}],
        [{"provider": "sample"}],
        [{"action": "echo", "provider": 7}],
        [{"action_id": "sample.echo", "action": "echo", "provider": "sample"}],
        [{"action_id": "sample.echo\n"}],
        [{"action_id": "SAMPLE.echo"}],
        [{"action_id": None}],
        [echo(params=[])],
        [echo(params={"text": 7})],
        [echo(params={"text": "x", "colour": "blue"})],
        [echo(params={})],
        [echo("x" * 10_001)],
        [echo(params={f"p{number}": 1 for number in range(51)})],
        [echo(params={"text": [[[[[[1]]]]]]})],
        [echo(params={"text": 2**60})],
        [echo(depends_on=[0])],
        [echo(depends_on=[-1])],
        [echo(depends_on=[True])],
        [echo(depends_on=["s9"])],
        [echo(id="S1")],
        [echo(id="a"), echo(id="a")],
        [echo(colour="blue")],
        [echo(workspace_id="beta")],
        [echo() for _ in range(MAX_STEPS + 1)],
    ],
)
async def test_w17_malformed_actions_are_refused(house: House, actions: Any) -> None:
    """Whatever is wrong: 422 with the field, and nothing is enqueued."""
    client = await house.client()
    answer = await client.post("/ai/execute", json={"actions": actions})
    document = assert_problem(answer, 422, "invalid")
    assert document["errors"]
    assert (await client.get("/ai/jobs")).json()["count"] == 0


async def test_w16_one_bad_action_refuses_the_whole_batch(house: House) -> None:
    """Good actions before a bad one leave no job behind."""
    client = await house.client()
    for bad in ({"action_id": "sample.nothing"}, echo(params={"text": 7}), {"action_id": "email.send", "params": {}}):
        answer = await client.post("/ai/execute", json={"actions": [echo(), echo(), bad]})
        assert answer.status_code in {403, 422}
        assert (await client.get("/ai/jobs")).json()["count"] == 0


async def test_w18_unknown_and_disabled_actions_are_refused_before_enqueueing(house: House) -> None:
    """An unknown action is 422; one that a setting disables is denied by policy; neither leaves a job."""
    client = await house.client()
    unknown = {"actions": [echo(), {"action_id": "sample.nothing"}]}
    assert_problem(await client.post("/ai/execute", json=unknown), 422, "unknown_action")
    mail = {"action_id": "email.send", "params": {"to": "office@example.com", "subject": "Hi", "text": "Hello"}}
    assert_problem(await client.post("/ai/execute", json={"actions": [mail]}), 403, "policy_denied")
    assert (await client.get("/ai/jobs")).json()["count"] == 0


@pytest.mark.parametrize("name", ["x" * 129, "", "a b", "a\n", "ключ", "a*", "a{b}", "a/b", "a\u0000"])
async def test_w19_client_request_ids_are_bounded_and_plain(house: House, name: str) -> None:
    """Too long or with other characters: 422 in the body, 400 in the header."""
    client = await house.client()
    document = assert_problem(
        await client.post("/ai/execute", json={"actions": [echo(client_request_id=name)]}), 422, "invalid"
    )
    assert document["errors"][0]["pointer"] == "/actions/0/client_request_id"
    if name.isprintable() and name.isascii():
        answer = await client.post("/ai/execute", json={"actions": [echo()]}, headers={"Idempotency-Key": name})
        assert_problem(answer, 400, "invalid_idempotency_key")
    good = await client.post("/ai/execute", json={"actions": [echo(client_request_id="x" * 128)]})
    assert good.status_code == 202


async def test_a_request_can_be_scheduled(house: House) -> None:
    """``run_at`` ahead, in any offset, makes scheduled jobs, and the explanation says when they start."""
    client = await house.client()
    at = (house.app.clock.now() + timedelta(days=1)).replace(microsecond=0)
    there = at.astimezone(timezone(timedelta(hours=-5, minutes=-30)))
    done = (await client.post("/ai/execute", json={"actions": [echo()], "run_at": there.isoformat()})).json()
    assert (await client.get(f"/ai/jobs/{done['job_ids'][0]}")).json()["status"] == "scheduled"
    explained = (await client.get(f"/ai/jobs/{done['job_ids'][0]}/explain")).json()
    assert explained["next_change_at"] == rfc3339(at)


async def test_plans_are_listed_shown_explained_and_cancelled(house: House) -> None:
    """The listing is newest first with its own cursor; a cancelled plan says so and cannot be cancelled again."""
    client = await house.client()
    ids = [(await client.post("/ai/execute", json={"actions": [echo()]})).json()["plan_id"] for _ in range(3)]
    first = (await client.get("/ai/plans", params={"limit": 2})).json()
    (await published(house, "PlanPage")).validate(first)
    assert [plan["plan_id"] for plan in first["plans"]] == ids[:0:-1]
    rest = (await client.get("/ai/plans", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [plan["plan_id"] for plan in rest["plans"]] == ids[:1]
    assert rest["next_cursor"] is None
    explained = (await client.get(f"/ai/plans/{ids[0]}/explain")).json()
    (await published(house, "Explanation")).validate(explained)
    assert explained["status"] == "running"
    cancelled = await client.post(f"/ai/plans/{ids[0]}/cancel", json={"workspace_id": "acme"})
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["status"] == "cancelled"
    assert_problem(await client.post(f"/ai/plans/{ids[0]}/cancel"), 409, "illegal_transition")
    only = (await client.get("/ai/plans", params={"status": "cancelled"})).json()
    assert [plan["plan_id"] for plan in only["plans"]] == ids[:1]


async def test_w138_a_viewer_plans_and_previews_but_does_not_execute(house: House) -> None:
    """What a plan may contain comes from the caller's own role; executing it needs its own scope."""
    viewer = await house.client(role=Role.VIEWER)
    plan = await viewer.post("/ai/plan", json={"prompt": 'echo "x"'})
    assert plan.status_code == 200
    refused = await viewer.post("/ai/execute", json={"plan_id": plan.json()["plan_id"]})
    assert assert_problem(refused, 403, "missing_scope")["scope"] == "actions:execute"
