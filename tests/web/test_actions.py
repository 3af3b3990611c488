"""The catalogue, and the short way for one action: preview, run, wait."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

import steward
from steward.directory import LOCAL_ACTOR
from steward.job import Failed, JobError, Unknown
from steward.work_store import Settlement
from tests.web import sample_actions
from tests.web.house import House, assert_problem, echo
from tests.web.test_plans import published

pytestmark = pytest.mark.anyio

PARAMS: dict[str, dict[str, Any]] = {
    "email.send": {"to": "office@example.com", "subject": "Lift", "text": "Repaired."},
    "webhook.post": {"url": "https://example.com/hook", "payload": {}},
    "http.get": {"url": "https://example.com/"},
    "file.write": {"path": "a.txt", "text": "x"},
    "file.read": {"path": "a.txt"},
    "compute": {"value": 1},
    "plan.replan": {"goal": "Answer it."},
    "llm.extract": {"inputs": ["Ann"], "instruction": "Who?", "schema": "text"},
    "llm.generate": {"instruction": "Greet."},
}


async def preview(client: httpx2.AsyncClient, action_id: str, text: str = "abc") -> str:
    """Preview one action and return its id."""
    answer = await client.post("/actions/preview", json={"action_id": action_id, "params": {"text": text}})
    assert answer.status_code == 200, answer.text
    return answer.json()["plan_id"]


async def test_w6_every_action_of_the_catalogue_previews(house: House) -> None:
    """Whatever ``GET /actions`` lists can be previewed, by id and by provider and action, and keeps its identity."""
    client = await house.client()
    answer = await client.get("/actions")
    catalogue = answer.json()
    (await published(house, "ActionList")).validate(catalogue)
    assert catalogue["request_id"] == answer.headers["x-request-id"]
    ids = [entry["id"] for entry in catalogue["actions"]]
    assert ids == [definition.id for definition in house.app.catalogue.definitions()]
    for entry in catalogue["actions"]:
        params = PARAMS.get(entry["id"], {"text": "x"} if entry["provider"] == "sample" else {})
        answer = await client.post("/actions/preview", json={"action_id": entry["id"], "params": params})
        assert answer.status_code == 200, (entry["id"], answer.text)
        document = answer.json()
        (await published(house, "Plan")).validate(document)
        step = document["steps"][0]
        assert step["action_id"] == entry["id"]
        assert step["decision"]["effect"] == ("allow" if entry["enabled"] else "deny")
        assert entry["enabled"] or entry["disabled_because"]
        if "." in entry["id"]:
            body = {
                "action": entry["id"].removeprefix(entry["provider"] + "."),
                "provider": entry["provider"],
                "params": params,
            }
            assert (await client.post("/actions/preview", json=body)).json()["digest"] == document["digest"]


async def test_a_previewed_action_runs_and_is_waited_for(house: House) -> None:
    """200 with the completed job; asked again, the same job and no second execution."""
    client = await house.client()
    preview_id = await preview(client, "sample.count")
    before = len(sample_actions.EXECUTIONS)
    async with house.worker():
        first = await client.post("/actions/execute", json={"preview_id": preview_id})
        again = await client.post("/actions/execute", json={"preview_id": preview_id})
    assert first.status_code == again.status_code == 200, first.text
    assert (first.json()["status"], first.json()["result"]) == ("completed", {"length": 3})
    assert again.json()["job_id"] == first.json()["job_id"]
    assert len(sample_actions.EXECUTIONS) == before + 1
    (await published(house, "JobDetail")).validate(first.json())


async def test_while_it_runs_the_answer_is_202(house: House) -> None:
    """Without a worker it stays ready; a wait of nothing returns at once, and the job is the same later."""
    client = await house.client()
    preview_id = await preview(client, "sample.echo")
    answers = [
        await client.post("/actions/execute", json={"preview_id": preview_id, "wait_ms": wait}) for wait in (0, 20)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert {answer.json()["status"] for answer in answers} == {"pending"}
    assert len({answer.json()["job_id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("action_id", "status", "code", "error"),
    [
        ("sample.refuse", 502, "far_end_failed", "refused_by_far_end"),
        ("sample.doubt", 502, "far_end_failed", "no_answer"),
        ("sample.hang", 504, "far_end_timed_out", "timeout"),
    ],
)
async def test_w61_failures_have_their_own_status(
    house: House, action_id: str, status: int, code: str, error: str
) -> None:
    """A far end that fails is 502, one that does not answer 504; the job is named and tells more."""
    client = await house.client()
    preview_id = await preview(client, action_id)
    async with house.worker():
        answer = await client.post("/actions/execute", json={"preview_id": preview_id})
        again = await client.post("/actions/execute", json={"preview_id": preview_id})
    document = assert_problem(answer, status, code)
    assert document["job"]["error"]["code"] == error
    assert document["job_id"] == document["job"]["job_id"] == again.json()["job_id"]


OUTCOMES: dict[str, int] = {
    "permission_revoked": 200,
    "file_changed": 200,
    "legacy_error": 502,
    "outcome_unknown": 502,
    "policy_denied": 200,
    "invalid_params": 200,
    "unknown_action": 200,
    "seal_broken": 200,
    "budget_exceeded": 200,
    "audit_unavailable": 200,
    "not_configured": 200,
    "address_refused": 200,
    "attachment_refused": 200,
    "path_refused": 200,
    "file_not_found": 200,
    "expression_failed": 200,
    "not_found": 200,
    "token_budget_exceeded": 200,
    "money_budget_exceeded": 200,
    "needs_input": 200,
    "not_in_a_plan": 200,
    "model_failed": 502,
    "model_answer_unusable": 502,
    "model_timed_out": 504,
    "file_too_large": 200,
    "file_system_failed": 200,
    "internal_error": 200,
    "no_free_thread": 200,
    "worker_stopped": 200,
    "lease_lost": 200,
    "result_too_large": 200,
    "unreadable_record": 200,
    "cancelled": 200,
    "cancelled_in_doubt": 200,
    "resolved_failed": 200,
    "timeout": 504,
    "far_end_timed_out": 504,
    "smtp_timed_out": 504,
    "smtp_no_answer": 504,
    "far_end_failed": 502,
    "action_error": 502,
    "cannot_tell": 502,
    "connection_failed": 502,
    "http_503": 502,
    "name_not_resolved": 502,
    "not_text": 502,
    "probe_failed": 502,
    "recipient_refused": 502,
    "smtp_login_refused": 502,
    "smtp_not_supported": 502,
    "smtp_odd_answer": 502,
    "smtp_refused": 502,
    "smtp_tls_failed": 502,
    "smtp_unreachable": 502,
    "tls_failed": 502,
    "too_many_redirects": 502,
    "whatever_an_own_action_says": 502,
}


@pytest.mark.parametrize("ended", ["failed", "unknown"])
async def test_w61_only_the_far_end_is_502_or_504(house: House, ended: str) -> None:
    """A job that failed for a reason of this house's own has ended: 200 with the job; a far end that failed is 502 or 504."""
    client, model = await house.client(), await published(house, "JobDetail")
    for error, status in OUTCOMES.items():
        preview_id = await preview(client, "sample.echo")
        first = await client.post("/actions/execute", json={"preview_id": preview_id, "wait_ms": 0})
        (lease,) = (await house.app.engine.dispatcher.claim("a worker", limit=1)).leases
        why = JobError(error, "It did not work.")
        outcome = Failed(why) if ended == "failed" else Unknown(why)
        await house.app.engine.dispatcher.settle([Settlement(lease.ref, outcome)])
        answer = await client.post("/actions/execute", json={"preview_id": preview_id})
        assert answer.status_code == status, (error, answer.text)
        job = answer.json() if status == 200 else answer.json()["job"]
        assert (job["job_id"], job["status"], job["error"]["code"]) == (first.json()["job_id"], ended, error)
        model.validate(job)


def test_w61_every_reason_that_the_code_gives_is_in_the_table() -> None:
    """A new word for why a job failed is put into the table, so that somebody thinks of its status."""
    source = "".join(path.read_text() for path in Path(steward.__file__).parent.rglob("*.py"))
    said = set(re.findall(r'(?:JobError|ActionFailed|OutcomeUnknown)\(\s*"([a-z_]+)"', source))
    assert len(said) > 20
    assert said <= OUTCOMES.keys()


async def test_w61_a_revoked_permission_is_not_the_far_end(house: House) -> None:
    """Whoever lost the right to run it is told so in the job, by a 200."""
    client, other = await house.client(), await house.client()
    preview_id = await preview(client, "sample.count")
    assert (await client.post("/actions/execute", json={"preview_id": preview_id, "wait_ms": 0})).status_code == 202
    job = (await other.get("/ai/jobs")).json()["jobs"][0]
    found = await house.app.engine.dispatcher.events_after(0, limit=99)
    (key_id,) = {event.actor_id for event in found if event.plan_id == job["plan_id"] and event.actor_id}
    await house.app.directory.revoke_key(key_id, by=LOCAL_ACTOR)
    async with house.worker():
        answer = await other.post("/actions/execute", json={"preview_id": preview_id})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["error"]["code"]) == ("failed", "permission_revoked")


@pytest.mark.parametrize("body", [{}, {"preview_id": None}, {"preview_id": 7}, {"preview_id": ["x"]}, {"wait_ms": 1}])
async def test_w60_a_missing_preview_id_is_said_to_be_missing(house: House, body: dict[str, Any]) -> None:
    """The refusal keeps its status and names the field; it never becomes a server error."""
    client = await house.client()
    document = assert_problem(await client.post("/actions/execute", json=body), 422, "invalid")
    assert [item["pointer"] for item in document["errors"]] == ["/preview_id"]


async def test_w86_an_error_is_one_object_everywhere(house: House) -> None:
    """The list, the job, its attempts and the problem show the same code, detail and retryable, and no text of JSON."""
    client = await house.client()
    preview_id = await preview(client, "sample.refuse")
    async with house.worker():
        problem = assert_problem(
            await client.post("/actions/execute", json={"preview_id": preview_id}), 502, "far_end_failed"
        )
    detail = (await client.get(f"/ai/jobs/{problem['job_id']}")).json()
    (listed,) = (await client.get("/ai/jobs")).json()["jobs"]
    (planned,) = (await client.get(f"/ai/plans/{preview_id}")).json()["jobs"]
    error = {
        "code": "refused_by_far_end",
        "detail": "The far end does not want 3 characters.",
        "retryable": False,
    }
    shown = [problem["job"], detail, listed, planned, *detail["history"]]
    assert [one["error"] for one in shown] == [error] * 5
    assert not any("error_code" in one for one in (problem, *shown))


async def test_w62_concurrent_executes_of_one_preview_have_one_effect(house: House) -> None:
    """Six at once, half with a key of their own: one execution, and all answers are its job."""
    client = await house.client()
    preview_id = await preview(client, "sample.count")
    before = len(sample_actions.EXECUTIONS)

    async def run(number: int) -> httpx2.Response:
        headers = {"Idempotency-Key": f"key-{number}"} if number % 2 else {}
        return await client.post("/actions/execute", json={"preview_id": preview_id}, headers=headers)

    async with house.worker():
        answers = await asyncio.gather(*(run(number) for number in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(sample_actions.EXECUTIONS) == before + 1


async def test_w63_a_key_used_with_another_preview_is_refused(house: House) -> None:
    """The same Idempotency-Key with another preview is 422 and runs nothing."""
    client = await house.client()
    first, second = await preview(client, "sample.echo", "one"), await preview(client, "sample.echo", "two")
    headers = {"Idempotency-Key": "k"}
    done = await client.post("/actions/execute", json={"preview_id": first, "wait_ms": 0}, headers=headers)
    assert done.status_code == 202
    other = await client.post("/actions/execute", json={"preview_id": second, "wait_ms": 0}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    assert (await client.get(f"/ai/plans/{second}")).json()["status"] == "draft"


async def test_w68_the_published_schema_is_enforced_at_the_preview(house: House) -> None:
    """Parameters that do not fit are refused with a pointer; nothing is kept."""
    client = await house.client()
    answer = await client.post("/actions/preview", json=echo(params={"text": "x", "extra": 1}))
    assert assert_problem(answer, 422, "invalid")["errors"]
    assert (await client.get("/ai/plans")).json()["count"] == 0


async def test_a_denied_preview_cannot_be_executed(house: House) -> None:
    """A disabled action previews with its denial and is refused when executed: 403, nothing submitted."""
    client = await house.client()
    body = {"action_id": "email.send", "params": PARAMS["email.send"]}
    document = (await client.post("/actions/preview", json=body)).json()
    assert document["steps"][0]["decision"]["effect"] == "deny"
    answer = await client.post("/actions/execute", json={"preview_id": document["plan_id"]})
    assert_problem(answer, 403, "policy_denied")
    assert (await client.get("/ai/jobs")).json()["count"] == 0


async def test_only_a_plan_of_one_step_is_a_preview(house: House) -> None:
    """A plan of two steps is executed as a plan, not waited for as an action."""
    client = await house.client()
    done = (await client.post("/ai/execute", json={"actions": [echo(), echo()]})).json()
    answer = await client.post("/actions/execute", json={"preview_id": done["plan_id"], "wait_ms": 0})
    assert_problem(answer, 422, "invalid")
