"""The audit over HTTP: what is recorded of requests, who may read it, and how it is checked and taken away."""

import json
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from steward.errors import AuditUnavailable
from steward.evidence import check_evidence
from steward.evidence_desk import EvidenceDesk
from steward.identity import Role
from steward.maintenance.archiver import Archiver
from tests.web.house import House, assert_problem, echo

pytestmark = pytest.mark.anyio


async def archived(house: House) -> None:
    """Bring everything that happened so far into the audit."""
    app = house.app
    await Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder).turn()
    await app.recorder.written()


async def records(house: House, workspace_id: str = "acme", **filters: Any) -> list[dict[str, Any]]:
    """Return what an auditor of the workspace is shown, newest first."""
    await archived(house)
    auditor = await house.client(workspace_id, Role.AUDITOR if workspace_id != "system" else Role.OPERATOR)
    answer = await auditor.get("/audit", params={"limit": 100, **filters})
    assert answer.status_code == 200, answer.text
    return answer.json()["records"]


async def executed(client: httpx2.AsyncClient, text: str = "hello") -> dict[str, Any]:
    """Execute one action."""
    answer = await client.post("/ai/execute", json={"actions": [echo(text)]}, headers={"X-Request-ID": "req-execute"})
    assert answer.status_code == 202
    return answer.json()


async def test_w102_what_was_asked_for_is_on_record(house: House) -> None:
    """Plans, previews, executions, queued jobs and cancels, each with who and in which request."""
    client = await house.client()
    await client.post("/ai/plan", json={"prompt": "echo hello"}, headers={"X-Request-ID": "req-plan"})
    await client.post("/actions/preview", json=echo(), headers={"X-Request-ID": "req-preview"})
    done = await executed(client)
    await client.post(f"/ai/plans/{done['plan_id']}/cancel", headers={"X-Request-ID": "req-cancel"})
    found = await records(house)
    told = {(record["kind"], record["request_id"]) for record in found}
    assert {
        ("plan.drafted", "req-plan"),
        ("plan.drafted", "req-preview"),
        ("policy.decided", "req-execute"),
        ("plan.submitted", "req-execute"),
        ("job.cancelled", "req-cancel"),
    } <= told
    actors = {record["actor_id"] for record in found if record["kind"].startswith(("plan.", "job.", "policy."))}
    assert len(actors - {None}) == 1


async def test_w102_who_was_turned_away_is_on_record(house: House) -> None:
    """A missing scope, another workspace and a denied step, in the workspace whose credential it was."""
    viewer = await house.client(role=Role.VIEWER)
    assert_problem(await viewer.post("/ai/execute", json={"actions": [echo()]}), 403, "missing_scope")
    assert_problem(await viewer.get("/ai/jobs?workspace_id=rival"), 403, "workspace_mismatch")
    found = await records(house, kind="request.denied")
    assert [(record["result"], record["facts"]["route"], record["facts"]["status"]) for record in found] == [
        ("workspace_mismatch", "/ai/jobs", 403),
        ("missing_scope", "/ai/execute", 403),
    ]
    assert found[1]["facts"]["scope"] == "actions:execute"
    assert all(record["actor_id"] for record in found)
    assert await records(house, "rival", kind="request.denied") == []


async def test_w102_failed_logins_are_on_record_with_the_operator(house: House) -> None:
    """Nobody's requests belong to no workspace; the token is nowhere, the address where it can be erased."""
    stranger = await house.client_with("stw_aaaaaaaaaaaaaaaaaaaaaaaaaa_" + "b" * 52)
    for _ in range(20):
        assert (await stranger.get("/ai/jobs")).status_code == 401
    assert await records(house, kind="login.failed") == []
    found = await records(house, "system", kind="login.failed")
    assert len(found) == 3, "the rest of the minute is one number"
    assert found[0]["result"] == "unauthenticated"
    assert found[0]["view"] == {"address": "127.0.0.1"}
    assert "bbbb" not in json.dumps(found)


async def test_w98_no_secret_is_shown_or_kept(house: House) -> None:
    """A secret in a parameter is redacted in the view and stands in no other field."""
    client = await house.client()
    await executed(client, "password: hunter2-hunter2 for ann@example.com")
    found = await records(house)
    assert "hunter2" not in json.dumps(found)
    assert "ann@example.com" not in json.dumps([{**record, "view": None} for record in found])
    (submitted,) = [record for record in found if record["kind"] == "plan.submitted"]
    assert "ann@example.com" in submitted["view"]["steps"][0]["params"]["text"]


async def test_an_auditor_reads_the_audit_and_nothing_else(house: House) -> None:
    """And nobody without the scope reads it, nor sees another workspace's."""
    await executed(await house.client("rival"))
    auditor, developer = await house.client(role=Role.AUDITOR), await house.client()
    for path in ("/ai/jobs", "/ai/plans", "/actions"):
        assert_problem(await auditor.get(path), 403, "missing_scope")
    for path in ("/audit", "/audit/verify", "/audit/export?plan_id=x"):
        assert_problem(await developer.get(path), 403, "missing_scope")
    await archived(house)
    shown = (await auditor.get("/audit")).json()
    kinds = {record["kind"] for record in shown["records"]}
    assert kinds == {"workspace.created", "key.created", "request.denied"}


async def test_w103_a_walk_shows_every_record_once_and_says_when_it_ends(house: House) -> None:
    """Pages of an exact multiple: the last one has no cursor. A cursor is good for its workspace and filters only."""
    client = await house.client()
    for n in range(3):
        await executed(client, str(n))
    everything = [record["sequence"] for record in await records(house, kind="plan.submitted")]
    assert len(everything) == 3
    auditor = await house.client(role=Role.AUDITOR)
    seen: list[int] = []
    query = {"limit": 1, "kind": "plan.submitted"}
    for page in range(3):
        answer = (await auditor.get("/audit", params=query)).json()
        seen += [record["sequence"] for record in answer["records"]]
        query["cursor"] = answer["next_cursor"]
        await executed(client, f"during {page}")
        await archived(house)
    assert (seen, query["cursor"]) == (everything, None)
    cursor = (await auditor.get("/audit?limit=2")).json()["next_cursor"]
    assert_problem(await auditor.get(f"/audit?cursor={cursor}&kind=plan.submitted"), 400, "invalid_cursor")
    other = await house.client("rival", Role.AUDITOR)
    assert_problem(await other.get(f"/audit?cursor={cursor}"), 400, "invalid_cursor")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "kind=nonsense", "kind=" + "a" * 40, "cursor=x", "noted=1", "actor=%00"]
)
async def test_odd_queries_are_refused(house: House, query: str) -> None:
    """As everywhere."""
    auditor = await house.client(role=Role.AUDITOR)
    path = "/audit/verify" if query.startswith("noted") else "/audit"
    assert (await auditor.get(f"{path}?{query}")).status_code == 400


async def test_the_chain_is_checked_and_a_change_is_named(house: House) -> None:
    """200 either way: whether it is sound is the answer. What was noted earlier must still be there."""
    client = await house.client()
    await executed(client)
    auditor = await house.client(role=Role.AUDITOR)
    await archived(house)
    good = (await auditor.get("/audit/verify")).json()
    assert (good["sound"], good["first_bad"]) == (True, None)
    assert good["records"] == good["head"] == good["sealed"]
    assert [key["signs"] for key in good["keys"]] == [True]
    noted = f"{good['head']}:{good['hash']}"
    assert (await auditor.get("/audit/verify", params={"noted": noted})).json()["sound"]
    assert not (await auditor.get("/audit/verify", params={"noted": f"99:{'0' * 64}"})).json()["sound"]
    change = text("UPDATE audit_records SET result = 'else' WHERE workspace_id = 'acme' AND sequence = 2")
    await house.app.database.write(lambda connection: connection.execute(change).close())
    bad = (await auditor.get("/audit/verify")).json()
    assert (bad["sound"], bad["first_bad"]) == (False, 2)
    assert bad["problem"]


async def test_a_plans_evidence_verifies_outside_and_taking_it_is_on_record(house: House) -> None:
    """The document as it came over HTTP, with the public key from the check. It is whole as soon as the plan has ended,
    without waiting for the archiver; the export is its last record.
    """
    done = await executed(await house.client())
    async with house.worker():
        who = await house.app.authenticator.authenticate(await house.key())
        assert who is not None
        store = house.app.engine.open(who)
        with store.listen() as listener:
            while (plan := await store.get_plan(done["plan_id"])) is not None and plan.status != "completed":
                await listener.wait(10)
    auditor = await house.client(role=Role.AUDITOR)
    answer = await auditor.get(f"/audit/export?plan_id={done['plan_id']}")
    assert answer.status_code == 200
    keys = (await auditor.get("/audit/verify")).json()["keys"]
    verdict = check_evidence(answer.json(), [key["public_key"] for key in keys])
    assert verdict.sound, verdict
    assert [record["kind"] for record in answer.json()["records"]] == [
        *("policy.decided", "plan.submitted", "job.completed", "plan.completed", "audit.exported"),
    ]
    (exported,) = await records(house, kind="audit.exported")
    assert exported["plan_id"] == done["plan_id"]


async def test_evidence_is_not_given_out_while_the_audit_is_behind(house: House) -> None:
    """A file that lacks the plan's end would not say so: it is refused instead, and nothing is recorded as taken."""
    done = await executed(await house.client())
    app = house.app
    who = await app.authenticator.authenticate(await house.key(role=Role.AUDITOR))
    assert who is not None
    archiver = Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder)
    desk = EvidenceDesk(app.audit_log, archiver, app.recorder, patience_s=0)
    with pytest.raises(AuditUnavailable, match="Try again shortly"):
        await desk.take(who, done["plan_id"], "req_1")
    assert await records(house, kind="audit.exported") == []


async def test_evidence_of_a_foreign_plan_is_as_unknown_as_of_none(house: House) -> None:
    """Byte for byte but for the request, and nothing is recorded."""
    done = await executed(await house.client("rival"))
    await archived(house)
    auditor = await house.client(role=Role.AUDITOR)
    answers = [
        await auditor.get(f"/audit/export?plan_id={plan_id}", headers={"X-Request-ID": "same"})
        for plan_id in (done["plan_id"], "plan_01kb2w8v9c0000000000000a", "no id at all")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert await records(house, kind="audit.exported") == []


async def test_w101_an_audit_that_cannot_be_written_is_seen_from_outside(house: House) -> None:
    """In ``/readyz`` and in the metrics, while work goes on."""
    client = await house.client()
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'no'); END"
    await house.app.database.write(lambda connection: connection.execute(text(refuse)).close())
    await executed(client)
    while house.app.recorder.well:
        await house.app.database.ping()
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert {"name": "audit", "ok": False} in ready.json()["checks"]
    assert 'audit_failures_total{where="recorder"}' in (await client.get("/metrics")).text
    await house.app.database.write(lambda connection: connection.execute(text("DROP TRIGGER refuse")).close())
    await house.app.recorder.written()
    assert {"name": "audit", "ok": True} in (await client.get("/readyz")).json()["checks"]
