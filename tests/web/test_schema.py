"""The migration of keys over HTTP: for operators alone, refused with a reason, recorded, and shown where machines look."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from chaos.legacy import Planted, plant
from prometheus_client.parser import text_string_to_metric_families

from steward.identity import Role
from steward.key_schema import Phase
from steward.schema_desk import By
from steward.work_stores.redis.keys import key
from steward.workspace import SYSTEM_WORKSPACE
from tests.redis_server import shared_server
from tests.web.house import House, assert_problem, open_house

pytestmark = pytest.mark.anyio

ROUTES = (
    ("GET", "status", None),
    ("POST", "advance", {"to": "new-read"}),
    ("POST", "back", {}),
    ("POST", "verify", {}),
)


@pytest.fixture
def database() -> int:
    """Return the number of an empty database of the shared server."""
    return shared_server().new_database()


@pytest.fixture
def planted(database: int) -> Planted:
    """Return what the older software left in it."""
    with closing(shared_server().client(database)) as client:
        return plant(client, jobs=40, workspaces=("acme", "beta"), odd=False)


@pytest.fixture
async def moving(tmp_path: Path, database: int, planted: Planted, anyio_backend: str) -> AsyncIterator[House]:
    """Return an installation on what the older software left."""
    assert planted.jobs
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with open_house(tmp_path, **env) as opened:
        yield opened


async def recorded(house: House) -> list[tuple[str, str, dict[str, Any]]]:
    """Return kind, result and facts of what the audit has about the migration, oldest first."""
    await house.app.recorder.written()
    page = await house.app.audit_log.query(SYSTEM_WORKSPACE, limit=100)
    entries = [record.entry for record in reversed(page.records) if record.entry.kind.startswith("schema.")]
    return [(entry.kind, entry.result, dict(entry.facts)) for entry in entries]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
async def test_only_an_operator_moves_keys(moving: House, role: Role) -> None:
    """Whatever somebody may do within a workspace, the installation's keys are no business of theirs."""
    client = await moving.client("acme", role)
    for method, name, body in ROUTES:
        answer = await client.request(method, f"/schema/{name}", json=body)
        assert assert_problem(answer, 403, "missing_scope")["scope"] == "operator"
    assert (await moving.app.schema.status()).phase is Phase.LEGACY_READ
    assert await recorded(moving) == []


async def test_w29_phases_move_live_and_each_move_is_recorded(moving: House) -> None:
    """Forward and back without a restart: readiness shows the phase that holds, and the audit who moved it."""
    client = await moving.client(SYSTEM_WORKSPACE, Role.OPERATOR)
    outsider = await moving.client_with(None)

    async def phase() -> str:
        return (await outsider.get("/readyz")).json()["key_schema"]

    assert await phase() == "legacy-read"
    assert (await client.post("/schema/advance", json={"to": "new-read"})).json()["phase"] == "new-read"
    assert await phase() == "new-read"
    assert (await client.post("/schema/back")).json()["phase"] == "legacy-read"
    assert await phase() == "legacy-read"
    assert await recorded(moving) == [
        ("schema.advanced", "begun", {"to": "new-read", "accept_invalid": False}),
        ("schema.advanced", "done", {"to": "new-read", "accept_invalid": False, "phase": "new-read"}),
        ("schema.went_back", "begun", {}),
        ("schema.went_back", "done", {"phase": "legacy-read"}),
    ]


async def test_w118_a_dry_run_changes_nothing_and_is_recorded_as_no_change(moving: House, database: int) -> None:
    """Of a backfill and of a retirement: not a byte of a job, of an index or of a kept place, and not a line in the audit."""
    by = By("key_operator")
    with closing(shared_server().client(database)) as raw:

        def everything_kept() -> dict[bytes, Any]:
            names = [name for name in raw.scan_iter() if name != key("schema_calls").encode()]
            return {name: raw.hgetall(name) if raw.type(name) == b"hash" else raw.dump(name) for name in names}

        before = everything_kept()
        steps = moving.app.schema.backfill(execute=False, by=by, operations_per_s=100_000, batch=10)
        assert [progress.migrated async for progress in steps][-1] > 0
        assert everything_kept() == before
        assert await recorded(moving) == []
        async for _ in moving.app.schema.backfill(execute=True, by=by, operations_per_s=100_000, batch=10):
            pass
        await moving.app.schema.verify(by=by)
        for phase in (Phase.NEW_READ, Phase.NEW_ONLY):
            await moving.app.schema.advance(phase, accept_invalid=False, by=by)
        before, told = everything_kept(), await recorded(moving)
        steps = moving.app.schema.retire(execute=False, by=by, operations_per_s=100_000, batch=10)
        assert [retired.removable async for retired in steps][-1] > 0
        assert everything_kept() == before
        assert await recorded(moving) == told


async def test_what_is_refused_says_why_and_changes_nothing(moving: House) -> None:
    """New keys alone are refused until both copies were found equal; the refusal is recorded, too."""
    client = await moving.client(SYSTEM_WORKSPACE, Role.OPERATOR)
    await client.post("/schema/advance", json={"to": "new-read"})
    refused = assert_problem(await client.post("/schema/advance", json={"to": "new-only"}), 409, "schema_refused")
    assert "verify" in refused["detail"]
    assert (await client.get("/schema/status")).json()["phase"] == "new-read"
    assert (await recorded(moving))[-1][:2] == ("schema.advanced", "schema_refused")


async def test_w32_a_comparison_says_what_is_missing(moving: House, planted: Planted) -> None:
    """Before the backfill every old job's new copy is missing, by workspace and with examples; after it none is."""
    client = await moving.client(SYSTEM_WORKSPACE, Role.OPERATOR)
    before = (await client.post("/schema/verify", json={})).json()
    assert before["clean"] is False
    assert before["missing"] > 0
    assert before["missing"] == sum(counts.get("missing", 0) for counts in before["by_workspace"].values())
    assert {example["kind"] for example in before["examples"]} == {"missing"}
    async for _ in moving.app.schema.known.backfill(execute=True):
        pass
    after = (await client.post("/schema/verify", json={})).json()
    assert (after["clean"], after["missing"], after["different"], after["extra"]) == (True, 0, 0, 0)
    assert after["compared"] >= len(planted.jobs)
    one = (await client.post("/schema/verify", json={"workspace": "beta"})).json()
    assert 0 < one["compared"] < after["compared"]
    assert_problem(await client.post("/schema/verify", json={"workspace": "BETA"}), 422, "invalid")
    assert {kind for kind, *_ in await recorded(moving)} == {"schema.verified"}


async def test_w31_metrics_show_the_phase_and_the_paths_of_reads(moving: House, planted: Planted) -> None:
    """A scrape tells the phase, how many jobs have which key, and where reads found what they found, or did not."""
    client, outsider = await moving.client("acme"), await moving.client_with(None)
    job_id = next(iter(planted.of("acme")))
    assert (await client.get(f"/ai/jobs/{job_id}")).status_code == 200
    assert_problem(await client.get("/ai/jobs/nobodys"), 404, "not_found")
    samples: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families((await outsider.get("/metrics")).text):
        for sample in family.samples:
            label = sample.labels.get("path") or sample.labels.get("schema") or sample.labels.get("phase", "")
            samples[sample.name, label] = sample.value
    assert samples["ai_key_schema_phase", "legacy-read"] == 1
    assert samples["ai_key_schema_phase", "new-only"] == 0
    assert samples["ai_key_schema_adopted", ""] == 1
    assert samples["ai_key_schema_jobs", "old"] >= len(planted.jobs)
    assert samples["ai_job_read_path_total", "old"] >= 1
    assert samples["ai_job_read_path_total", "miss"] >= 1


async def test_another_workspaces_old_job_is_unknown(moving: House, planted: Planted) -> None:
    """Under either key: foreign, unknown and malformed are one answer."""
    client = await moving.client("acme", Role.ADMIN)
    foreign = next(iter(planted.of("beta")))
    answers = [await client.get(f"/ai/jobs/{job_id}") for job_id in (foreign, "nobodys", "beta:x", "%2a", "a%20b")]
    bodies = [assert_problem(answer, 404, "not_found") | {"request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)


async def test_where_work_is_in_the_database_there_is_nothing_to_move(house: House) -> None:
    """409 with what it takes, for each route; readiness has no phase."""
    client = await house.client(SYSTEM_WORKSPACE, Role.OPERATOR)
    for method, name, body in ROUTES:
        answer = await client.request(method, f"/schema/{name}", json=body)
        assert "REDIS_URL" in assert_problem(answer, 409, "no_key_schema")["detail"]
    assert (await client.get("/readyz")).json()["key_schema"] is None
