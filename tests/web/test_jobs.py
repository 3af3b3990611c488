"""Jobs over HTTP: a listing that can be walked, cursors that cannot be forged, and what a person may do to a job."""

import base64
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import InvalidCursor
from steward.identity import Role
from steward.vault import Vault
from steward.web.cursors import next_cursor, position
from tests.web.house import SECRET, House, assert_problem, echo
from tests.web.test_plans import ended, published

pytestmark = pytest.mark.anyio
VAULT = Vault([SECRET])


async def submit(client: httpx2.AsyncClient, *actions: dict[str, Any]) -> dict[str, Any]:
    """Put actions to work and return the answer."""
    answer = await client.post("/ai/execute", json={"actions": list(actions)})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def walk(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    """Return the ids of every page, in order."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = (await client.get("/ai/jobs", params={**query, **({"cursor": cursor} if cursor else {})})).json()
        assert page["count"] == len(page["jobs"])
        ids += [job["job_id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return ids
        assert page["count"], "a page that is not the last is never empty"


async def test_w1_w42_the_listing_has_the_callers_jobs_and_every_field(anywhere: House) -> None:
    """Workspace, jobs, count, next cursor and queue depth, in the published shape; parameters never appear."""
    client = await anywhere.client()
    done = await submit(client, echo("a private text"), echo())
    answer = await client.get("/ai/jobs")
    assert answer.status_code == 200
    page = answer.json()
    (await published(anywhere, "JobPage")).validate(page)
    assert set(page) == {"workspace_id", "jobs", "count", "next_cursor", "queue_depth"}
    assert (page["workspace_id"], page["count"], page["queue_depth"], page["next_cursor"]) == ("acme", 2, 2, None)
    assert [job["job_id"] for job in page["jobs"]] == done["job_ids"][::-1]
    assert "a private text" not in answer.text


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_w34_a_walk_shows_every_job_once_newest_first(house: House, limit: int) -> None:
    """At any page size, with jobs enqueued meanwhile."""
    client = await house.client()
    ids = (await submit(client, *(echo() for _ in range(15))))["job_ids"]
    assert await walk(client, limit=limit) == ids[::-1]


async def test_filters_by_status_and_plan(house: House) -> None:
    """A filtered walk shows what fits and nothing else."""
    client = await house.client()
    first, second = await submit(client, echo(), echo()), await submit(client, echo())
    await client.post(f"/ai/jobs/{first['job_ids'][0]}/cancel")
    assert await walk(client, plan_id=first["plan_id"], limit=1) == first["job_ids"][::-1]
    assert await walk(client, status="cancelled") == first["job_ids"][:1]
    assert await walk(client, status="pending", plan_id=second["plan_id"]) == second["job_ids"]
    assert await walk(client, plan_id=f"plan_{'z' * 24}") == []


async def test_w41_a_cursor_that_was_not_given_out_is_refused(anywhere: House) -> None:
    """Tampered, foreign, of another listing or other filters, negative, huge: always 400."""
    client, other = await anywhere.client("acme"), await anywhere.client("beta")
    await submit(client, *(echo() for _ in range(3)))
    await submit(other, *(echo() for _ in range(3)))
    page = (await client.get("/ai/jobs", params={"limit": 1})).json()
    foreign = (await other.get("/ai/jobs", params={"limit": 1})).json()["next_cursor"]
    good = page["next_cursor"]
    assert (await client.get("/ai/jobs", params={"cursor": good, "limit": 2})).status_code == 200
    assert (await other.get("/ai/jobs", params={"cursor": foreign, "limit": 2})).status_code == 200
    forged = base64.urlsafe_b64encode(page["jobs"][0]["job_id"].encode()).decode()
    wrong = [
        foreign,
        forged,
        page["jobs"][0]["job_id"],
        "-1",
        "0",
        "9" * 5000,
        good[:-1],
        good + "A",
        good + "=",
        "ключ",
        "\0",
    ]
    wrong += [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(len(good))]
    for cursor in wrong:
        assert_problem(await client.get("/ai/jobs", params={"cursor": cursor}), 400, "invalid_cursor")
    for query in ({"status": "pending"}, {"plan_id": page["jobs"][0]["plan_id"]}):
        answer = await client.get("/ai/jobs", params={"cursor": good, **query})
        assert_problem(answer, 400, "invalid_cursor")
    assert_problem(await client.get("/ai/plans", params={"cursor": good}), 400, "invalid_cursor")


async def test_w41_every_listing_refuses_a_cursor_that_it_did_not_give_out(house: House) -> None:
    """Also one that another listing of the same workspace gave out: 400, wherever there is a cursor."""
    admin, host = await house.client(role=Role.ADMIN), await house.client("system", Role.OPERATOR)
    await submit(admin, *(echo() for _ in range(2)))
    given_out = (await admin.get("/ai/jobs", params={"limit": 1})).json()["next_cursor"]
    assert given_out
    listings = []
    for path, item in (await admin.get("/openapi.json")).json()["paths"].items():
        for operation in item.values():
            if any(parameter["name"] == "cursor" for parameter in operation.get("parameters", ())):
                client = host if "operator" in operation["security"][0]["bearer"] else admin
                listings.append(path)
                for cursor in ("-1", "0", "9" * 5000, "x", "", given_out[:-1], *([given_out] * (path != "/ai/jobs"))):
                    answer = await client.get(path.format(workspace="acme"), params={"cursor": cursor})
                    assert_problem(answer, 400, "invalid_cursor")
    assert {"/ai/jobs", "/ai/plans", "/ai/approvals", "/audit", "/keys", "/members", "/workspaces"} <= set(listings)


@given(text=st.text(max_size=200))
def test_w41_no_text_is_a_cursor_by_chance(text: str) -> None:
    """Whatever the text: ``InvalidCursor`` and no other error."""
    with pytest.raises(InvalidCursor):
        position(VAULT, "jobs", text, {}, workspace_id="acme")


def test_a_cursor_comes_back_as_it_was() -> None:
    """What was given out is read again, for the same workspace, listing and filters."""
    vault = Vault([SECRET])
    filters = {"status": None, "plan_id": "plan_1"}
    cursor = next_cursor(vault, "jobs", "job_1", filters, workspace_id="acme")
    assert position(vault, "jobs", cursor, filters, workspace_id="acme") == "job_1"
    assert position(vault, "jobs", None, filters, workspace_id="acme") is None
    assert next_cursor(vault, "jobs", None, filters, workspace_id="acme") is None


def test_w41_a_cursor_that_was_good_once_is_good_for_that_alone() -> None:
    """What is remembered of a cursor holds for its own workspace, listing, filters and keys, and for no others."""
    vault, filters = Vault([SECRET]), {"status": None, "plan_id": None}
    cursor = next_cursor(vault, "jobs", "job_1", filters, workspace_id="acme")
    assert position(vault, "jobs", cursor, filters, workspace_id="acme") == "job_1"
    for keys, listing, narrower, workspace_id in (
        (vault, "jobs", filters, "beta"),
        (vault, "plans", filters, "acme"),
        (vault, "jobs", {**filters, "plan_id": "plan_1"}, "acme"),
        (vault, "jobs", {"status": None}, "acme"),
        (Vault([SECRET[::-1]]), "jobs", filters, "acme"),
    ):
        assert next_cursor(keys, listing, "job_1", narrower, workspace_id=workspace_id) != cursor
        with pytest.raises(InvalidCursor):
            position(keys, listing, cursor, narrower, workspace_id=workspace_id)


async def test_w45_queue_depth_is_the_callers_own(house: House) -> None:
    """Another workspace's load does not show."""
    client, other = await house.client("acme"), await house.client("beta")
    await submit(other, *(echo() for _ in range(9)))
    assert (await client.get("/ai/jobs")).json()["queue_depth"] == 0
    assert (await submit(client, echo()))["queue_depth"] == 1


async def test_a_job_that_has_not_started_is_cancelled_with_what_needs_it(house: House) -> None:
    """The step and its dependents are cancelled; a second cancel is 409; the explanation says why."""
    client = await house.client()
    done = await submit(client, echo(id="a"), echo(id="b", depends_on=["a"]))
    answer = await client.post(f"/ai/jobs/{done['job_ids'][0]}/cancel", json={})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "cancelled"
    assert (await client.get(f"/ai/jobs/{done['job_ids'][1]}")).json()["status"] == "cancelled"
    assert_problem(await client.post(f"/ai/jobs/{done['job_ids'][0]}/cancel"), 409, "illegal_transition")
    explained = (await client.get(f"/ai/jobs/{done['job_ids'][1]}/explain")).json()
    (await published(house, "Explanation")).validate(explained)
    assert explained["status"] == "cancelled"


async def test_explain_says_why_a_job_does_not_run(house: House) -> None:
    """A ready job waits for a worker; a dependent one for its step."""
    client = await house.client()
    done = await submit(client, echo(id="a"), echo(id="b", depends_on=["a"]))
    reasons = [(await client.get(f"/ai/jobs/{job_id}/explain")).json()["reason"]["code"] for job_id in done["job_ids"]]
    assert reasons == ["no_free_worker", "waiting_on_step"]


async def test_a_failed_job_is_tried_again_on_demand(house: House) -> None:
    """Failed for good, then retried: pending again, and only a failed job may be."""
    client = await house.client()
    done = await submit(client, {"action_id": "sample.refuse", "params": {"text": "abc"}})
    job_id = done["job_ids"][0]
    assert_problem(await client.post(f"/ai/jobs/{job_id}/retry"), 409, "illegal_transition")
    async with house.worker():
        assert await ended(house, client, done["plan_id"]) == "failed"
    failed = (await client.get(f"/ai/jobs/{job_id}")).json()
    (await published(house, "JobDetail")).validate(failed)
    assert failed["error"] == {
        "code": "refused_by_far_end",
        "detail": "The far end does not want 3 characters.",
        "retryable": False,
    }
    retried = await client.post(f"/ai/jobs/{job_id}/retry")
    assert retried.status_code == 200, retried.text
    assert retried.json()["status"] == "pending"


@pytest.mark.parametrize("outcome", ["completed", "failed"])
async def test_an_unknown_outcome_is_settled_by_hand(house: House, outcome: str) -> None:
    """It cannot be retried blindly; a person says what happened, once."""
    client = await house.client()
    done = await submit(client, {"action_id": "sample.doubt", "params": {"text": "abc"}})
    job_id = done["job_ids"][0]
    async with house.worker():
        await until_unknown(client, house, job_id)
    assert_problem(await client.post(f"/ai/jobs/{job_id}/retry"), 409, "illegal_transition")
    body = {"outcome": outcome, "note": "Looked in the sent folder."}
    answer = await client.post(f"/ai/jobs/{job_id}/resolve", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == outcome
    assert_problem(await client.post(f"/ai/jobs/{job_id}/resolve", json=body), 409, "illegal_transition")


async def until_unknown(client: httpx2.AsyncClient, house: House, job_id: str) -> None:
    """Wait until nobody knows the job's outcome."""
    principal = await house.app.authenticator.authenticate(client.headers["authorization"].removeprefix("Bearer "))
    assert principal is not None
    with house.app.engine.open(principal).listen() as listener:
        while (await client.get(f"/ai/jobs/{job_id}")).json()["status"] != "unknown":
            assert await listener.wait(10)


async def test_a_job_can_be_followed_while_others_are_enqueued(house: House) -> None:
    """A walk begun before others arrive shows each of its own jobs once."""
    client = await house.client()
    ids = (await submit(client, *(echo() for _ in range(6))))["job_ids"]
    page = (await client.get("/ai/jobs", params={"limit": 3})).json()
    await submit(client, *(echo() for _ in range(4)))
    rest = await walk_from(client, page["next_cursor"])
    assert [job["job_id"] for job in page["jobs"]] + rest == ids[::-1]


async def walk_from(client: httpx2.AsyncClient, cursor: str) -> list[str]:
    """Return the ids after ``cursor``."""
    page = (await client.get("/ai/jobs", params={"cursor": cursor})).json()
    assert page["next_cursor"] is None
    return [job["job_id"] for job in page["jobs"]]
