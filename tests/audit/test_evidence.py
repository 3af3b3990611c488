"""The evidence of a plan: checked with nothing but the file and a public key, and no change of it goes unnoticed."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.errors import Invalid, NotFound
from steward.evidence import check_evidence, read_evidence
from steward.vault import Vault
from tests.audit.conftest import MakeEntry
from tests.conftest import FakeClock
from tests.installation import OTHER_SECRET, SECRET

pytestmark = pytest.mark.anyio
PUBLIC_KEY = next(iter(Vault([SECRET]).public_keys.values()))
OTHER_KEY = next(iter(Vault([OTHER_SECRET]).public_keys.values()))


async def evidence(log: SqlAuditLog, entry: MakeEntry) -> dict[str, Any]:
    """Return the evidence of a plan whose records lie among others', in several signed stretches."""
    view = {"steps": [{"id": "s1", "params": {"to": "ann@example.com", "amount": 1.5}}]}
    await log.append([entry(), entry(kind="plan.submitted", plan_id="plan_1", view=view), entry(view="other")])
    await log.append([entry(plan_id="plan_2", view=view)])
    await log.append(
        [entry(kind="job.started", plan_id="plan_1"), entry(), entry(kind="job.completed", plan_id="plan_1")]
    )
    found = await log.export("acme", "plan_1", by="key_auditor", request_id="req_1")
    return json.loads(json.dumps(found))


async def test_it_verifies_offline_with_the_public_key(log: SqlAuditLog, entry: MakeEntry) -> None:
    """With the right key, with several, and with none given; not with another."""
    document = await evidence(log, entry)
    for keys in ([PUBLIC_KEY], [OTHER_KEY, PUBLIC_KEY], []):
        verdict = check_evidence(document, keys)
        assert verdict.sound, verdict
        assert (verdict.plan_id, verdict.records, verdict.public_key) == ("plan_1", 4, PUBLIC_KEY)
    assert not check_evidence(document, [OTHER_KEY]).sound
    assert [record["kind"] for record in document["records"]] == [
        *("plan.submitted", "job.started", "job.completed", "audit.exported"),
    ]


async def test_it_shows_nothing_of_other_plans(log: SqlAuditLog, entry: MakeEntry) -> None:
    """Of what lies between only digests are there, to follow the chain across it."""
    document = await evidence(log, entry)
    assert "plan_2" not in json.dumps(document)
    assert "other" not in json.dumps(document["links"])
    assert {link["sequence"] for link in document["links"]} == {3, 6}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document that holds no other."""
    if isinstance(value, (dict, list)) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def changed(document: Any, path: tuple[Any, ...], *, gone: bool) -> Any:
    """Return a copy in which the value at ``path`` is another, or gone."""
    found = copy.deepcopy(document)
    at = found
    for key in path[:-1]:
        at = at[key]
    if gone:
        del at[path[-1]]
        return found
    old = at[path[-1]]
    at[path[-1]] = old + 1 if isinstance(old, (int, float)) else (f"{old[1:]}a" if isinstance(old, str) else "put in")
    return found


async def test_no_change_of_the_file_goes_unnoticed(log: SqlAuditLog, entry: MakeEntry) -> None:
    """Every single value changed and taken away, and every whole record, link, checkpoint and key."""
    document = await evidence(log, entry)
    paths = [*leaves(document), *(path for path in ((("records", n)) for n in range(4)))]
    paths += [("links", 0), ("checkpoints", 0), ("records",), ("checkpoints",), ("keys",)]
    for path in paths:
        for gone in (False, True):
            if not gone and path in {("records",), ("checkpoints",), ("keys",)}:
                continue
            if not gone and path[0] in {"records", "links", "checkpoints"} and len(path) == 2:
                continue
            verdict = check_evidence(changed(document, path, gone=gone), [PUBLIC_KEY])
            assert not verdict.sound, path
            assert verdict.problem
    for path in leaves(document["records"][1]["facts"]):
        assert not check_evidence(changed(document, ("records", 1, "facts", *path), gone=True)).sound


async def test_the_bad_record_is_named(log: SqlAuditLog, entry: MakeEntry) -> None:
    """Changed, with a changed view, or not leading to a signature."""
    document = await evidence(log, entry)
    names = {
        5: changed(document, ("records", 1, "result"), gone=False),
        2: changed(document, ("records", 0, "view", "steps", 0, "id"), gone=False),
    }
    names[6] = changed(document, ("links", 1, "sequence"), gone=False)
    assert {n: check_evidence(changed_one).first_bad for n, changed_one in names.items()} == {2: 2, 5: 5, 6: 6}


async def test_somebody_else_cannot_sign_it(log: SqlAuditLog, entry: MakeEntry) -> None:
    """A file made by another installation, or signed anew with another key, is not this one's word."""
    from steward.evidence import statement

    document = await evidence(log, entry)
    impostor = Vault([OTHER_SECRET])
    key_id, public_key = next(iter(impostor.public_keys.items()))
    forged = {**document, "signed_by": key_id, "keys": {**document["keys"], key_id: public_key}}
    forged["records"] = document["records"][:2]
    forged["signature"] = impostor.sign(statement(forged))
    assert not check_evidence(forged, [PUBLIC_KEY]).sound
    assert check_evidence(forged).public_key == OTHER_KEY, "without a key given, whose word it is must be looked at"


async def test_an_erased_view_leaves_the_evidence_sound(log: SqlAuditLog, entry: MakeEntry, database: Database) -> None:
    """What was erased is simply no longer in it."""
    from sqlalchemy import text

    await evidence(log, entry)
    await database.write(lambda connection: connection.execute(text("DELETE FROM audit_views")).close())
    document = json.loads(json.dumps(await log.export("acme", "plan_1", by="key_a", request_id="req_2")))
    assert document["records"][0]["view"] is None
    assert document["records"][0]["commitment"]
    assert check_evidence(document, [PUBLIC_KEY]).sound


async def test_it_verifies_after_the_key_was_rotated(database: Database, entry: MakeEntry, clock: FakeClock) -> None:
    """The new key signs the file and lists the old one, whose checkpoints are in it."""
    await SqlAuditLog(database, Vault([SECRET]), clock).append([entry(plan_id="plan_1")])
    SqlAuditLog(database, Vault([OTHER_SECRET, SECRET]), clock)
    new = SqlAuditLog(database, Vault([OTHER_SECRET]), clock)
    document = json.loads(json.dumps(await new.export("acme", "plan_1", by="key_a", request_id="req_1")))
    assert check_evidence(document, [OTHER_KEY]).sound
    assert set(document["keys"].values()) == {PUBLIC_KEY, OTHER_KEY}


async def test_another_workspaces_plan_is_unknown(log: SqlAuditLog, entry: MakeEntry) -> None:
    """As one that nobody has; and nothing is recorded."""
    await evidence(log, entry)
    with pytest.raises(NotFound):
        await log.export("rival", "plan_1", by="key_b", request_id="req_1")
    assert (await log.query("rival", limit=5)).records == ()


@pytest.mark.parametrize("text", ["", "{", "[1, 2", '{"a": 1, "a": 2}', "\u0000", "[" * 100_000])
def test_what_is_no_json_is_no_evidence(text: str) -> None:
    """A sentence, and never a crash."""
    with pytest.raises(Invalid):
        read_evidence(text)


@pytest.mark.parametrize("document", [None, 1, [], {}, {"format": "steward-evidence/1"}, {"format": "else"}, "text"])
def test_what_is_no_evidence_is_not_sound(document: Any) -> None:
    """Whatever JSON it is."""
    verdict = check_evidence(document)
    assert not verdict.sound
    assert "not an evidence file" in verdict.problem
