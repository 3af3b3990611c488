"""What keeps workspaces apart beside the statements: names, folders, labels, log lines and the shape of their ids."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update
from structlog.testing import capture_logs

from steward.action import ActionFailed
from steward.actions.workspace_files import WorkspaceFiles
from steward.authenticators.api_key import mint_key
from steward.clock import SystemClock
from steward.database.tables import plans
from steward.errors import Invalid, StewardError
from steward.event import Event
from steward.identity import Principal, Role
from steward.ids import IdFactory
from steward.telemetry import LABELS, Telemetry
from steward.vault import SealBroken, Vault
from steward.workspace import canonical_workspace_id
from tests.web.house import SECRET, House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
BAD_IDS = [
    *("", " ", "acme\n", "\nacme", "ac\nme", "acme\r", "acme\0", "\0", "acme ", " acme", "Acme", "ACME"),
    *("аcme", "acmе", "ａcme", "acme\u200b", "acmé", "a" * 33, "_acme", "-acme"),  # Cyrillic, wide, invisible, accented
    *("acme:beta", "acme*", "*", "{acme}", "acme{}", "a/b", "../beta", "..", ".", "acme%00", "acme;", "acme'--"),
]


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation without a worker and without an identity provider."""
    async with open_house(tmp_path / "house") as opened:
        yield opened


def _name(value: str) -> str:
    return repr(value)


@pytest.mark.parametrize("bad", BAD_IDS, ids=_name)
async def test_w51_a_workspace_id_of_a_bad_shape_is_refused_at_every_door(
    house: House, bad: str, tmp_path: Path
) -> None:
    """No workspace, key, member, folder or metric label is made for it, and a request that names it is refused."""
    directory, clock = house.app.directory, SystemClock()
    assert canonical_workspace_id(bad) is None
    with pytest.raises(Invalid):
        await directory.create_workspace(bad, "Bad", by="test")
    with pytest.raises(Invalid):
        mint_key(IdFactory(clock), clock, bad, Role.VIEWER, "bad", None)
    with pytest.raises(StewardError):
        await directory.set_member(bad, "ann@example.com", by="test")
    for use in (_write, _read, _list):
        with pytest.raises((Invalid, ActionFailed)):
            use(WorkspaceFiles(tmp_path / "files"), bad)
    assert not (tmp_path / "files").exists()
    telemetry = Telemetry(CollectorRegistry(), workspace_label=True)
    telemetry.security_decision("allowed", bad)
    assert b'workspace_id="unscoped"' in telemetry.render(None)
    client = await house.client("acme")
    answer = await client.post("/ai/execute", json={"actions": [echo()], "workspace_id": bad})
    assert_problem(answer, 403, "workspace_mismatch")
    assert_problem(await client.get("/ai/jobs", params={"workspace_id": bad}), 403, "workspace_mismatch")
    assert (await client.get("/ai/jobs")).json()["jobs"] == []


def _write(files: WorkspaceFiles, workspace_id: str) -> Any:
    return files.write(workspace_id, "a.txt", b"x")


def _read(files: WorkspaceFiles, workspace_id: str) -> Any:
    return files.read(workspace_id, "a.txt", 10)


def _list(files: WorkspaceFiles, workspace_id: str) -> Any:
    return files.entries(workspace_id, "")


# -- ids and names in a request ---------------------------------------------------------------------------------------


async def unknown_alike(house: House, path: str, *ids: str) -> None:
    """Check that a path answers for each of these ids as for one that nobody has."""
    client = await house.client("acme")
    documents = [assert_problem(await client.get(path.format(each)), 404, "not_found") for each in ids]
    for document in documents:
        del document["request_id"]
    assert all(document == documents[0] for document in documents)


async def test_what_is_no_id_of_a_job_is_unknown(house: House) -> None:
    """Too short, too long, of another kind, in capitals, with a newline: there is no such job."""
    nobodys = f"job_{'z' * 24}"
    wrong = ("job_", "x", f"{nobodys}z", nobodys.upper(), f"plan_{'z' * 24}", f"{nobodys}%0A", f"{nobodys}%00")
    await unknown_alike(house, "/ai/jobs/{}", nobodys, *wrong)


async def test_what_is_no_id_of_a_plan_is_unknown(house: House) -> None:
    """Too short, too long, of another kind, in capitals, with a newline: there is no such plan."""
    nobodys = f"plan_{'z' * 24}"
    wrong = ("plan_", "x", f"{nobodys}z", nobodys.upper(), f"job_{'z' * 24}", f"{nobodys}%0A", f"{nobodys}%00")
    await unknown_alike(house, "/ai/plans/{}", nobodys, *wrong)


@pytest.mark.parametrize("name", ["workspace_id", "actor_id"])
async def test_w46_a_query_in_anothers_name_is_refused(house: House, name: str) -> None:
    """The same 403 for a workspace or actor that is there and for one that is not."""
    await house.client("beta")
    client = await house.client("acme")
    for value in ("beta", "nobody"):
        assert_problem(await client.get("/ai/jobs", params={name: value}), 403, "workspace_mismatch")


@pytest.mark.parametrize("name", ["workspace_id", "actor_id"])
async def test_w46_a_body_in_anothers_name_is_refused(house: House, name: str) -> None:
    """The same 403 for a workspace or actor that is there and for one that is not, and nothing is made."""
    stranger, client = await house.client("beta"), await house.client("acme")
    for value in ("beta", "nobody"):
        answer = await client.post("/ai/execute", json={"actions": [echo()], name: value})
        assert_problem(answer, 403, "workspace_mismatch")
    for each in (stranger, client):
        assert (await each.get("/ai/jobs")).json()["jobs"] == []


# -- files ------------------------------------------------------------------------------------------------------------


def test_folders_of_two_workspaces_are_two(tmp_path: Path) -> None:
    """The same path in two workspaces is two files."""
    files = WorkspaceFiles(tmp_path)
    files.write("acme", "notes/a.txt", b"of acme")
    files.write("beta", "notes/a.txt", b"of beta")
    assert files.read("acme", "notes/a.txt", 100) == b"of acme"
    assert files.read("beta", "notes/a.txt", 100) == b"of beta"


def test_a_foreign_file_is_not_found(tmp_path: Path) -> None:
    """By its own path it is a file that does not exist."""
    files = WorkspaceFiles(tmp_path)
    files.write("acme", "a.txt", b"of acme")
    files.write("beta", "b.txt", b"of beta")
    codes = set()
    for path in ("a.txt", "unknown.txt"):
        with pytest.raises(ActionFailed) as caught:
            files.read("beta", path, 100)
        codes.add((caught.value.code, caught.value.detail))
    assert len(codes) == 1


def test_a_list_of_files_is_the_workspaces_own(tmp_path: Path) -> None:
    """What is in another folder is not listed, also where one has nothing."""
    files = WorkspaceFiles(tmp_path)
    files.write("acme", "a.txt", b"of acme")
    assert files.entries("beta", "") == []
    files.write("beta", "b.txt", b"of beta")
    assert [entry.name for entry in files.entries("beta", "")] == ["b.txt"]


@pytest.mark.parametrize("way", ["../acme/a.txt", "/acme/a.txt", "x/../../acme/a.txt", "..\\acme\\a.txt", "./a.txt"])
def test_no_path_leads_into_another_folder(tmp_path: Path, way: str) -> None:
    """Neither to read nor to write nor to list."""
    files = WorkspaceFiles(tmp_path)
    files.write("acme", "a.txt", b"of acme")
    files.write("beta", "x/b.txt", b"of beta")
    for use in (lambda: files.read("beta", way, 100), lambda: files.write("beta", way, b"x")):
        with pytest.raises(ActionFailed) as caught:
            use()
        assert caught.value.code == "path_refused"
    assert files.read("acme", "a.txt", 100) == b"of acme"


# -- what is counted and logged ---------------------------------------------------------------------------------------


async def test_w50_metrics_show_no_content_and_no_id_of_a_workspace(house: House) -> None:
    """Every label is declared, and without the setting not even the workspace's name is in any."""
    client = await house.client("acme")
    done = (await client.post("/ai/execute", json={"actions": [echo("hush-hush")]})).json()
    await client.get(f"/ai/jobs/{done['job_ids'][0]}")
    await client.get("/ai/jobs", params={"plan_id": done["plan_id"]})
    shown = (await client.get("/metrics")).text
    assert "ai_queue_depth" in shown
    for secret in ("hush-hush", done["plan_id"], done["job_ids"][0], "acme"):
        assert secret not in shown
    labels = {part.split("=")[0] for line in shown.splitlines() if "{" in line for part in _labels(line)}
    assert labels <= set(LABELS)
    assert "workspace_id" in labels


def test_every_label_of_every_metric_is_declared() -> None:
    """A label that nothing has been counted under yet is declared, too: the audit can only see those in use."""
    registry = CollectorRegistry()
    Telemetry(registry, workspace_label=True)
    names = {name for metric in registry._collector_to_names for name in getattr(metric, "_labelnames", ())}
    assert "workspace_id" in names
    assert names <= set(LABELS)


def _labels(line: str) -> list[str]:
    return line[line.index("{") + 1 : line.rindex("}")].split(",")


async def test_a_label_names_ones_own_workspace_only(tmp_path: Path) -> None:
    """With the setting on, work of a workspace is counted under its own name, and under no other."""
    async with open_house(tmp_path, METRICS_WORKSPACE_LABEL="on") as house:
        owner, other = await house.client("acme"), await house.client("beta")
        await owner.post("/ai/execute", json={"actions": [echo()]})
        shown = (await other.get("/metrics")).text
        assert 'ai_queue_depth{workspace_id="acme"} 1.0' in shown
        assert 'ai_queue_depth{workspace_id="beta"}' not in shown


async def test_the_log_of_a_request_names_its_own_workspace_and_nothing_it_asked_for(house: House) -> None:
    """Of a request for what is another's the line has the caller's workspace, the route, and neither ids nor content."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    done = (await owner.post("/ai/execute", json={"actions": [echo("hush-hush")]})).json()
    with capture_logs() as lines:
        await stranger.get(f"/ai/jobs/{done['job_ids'][0]}")
        await stranger.get("/ai/jobs", params={"plan_id": done["plan_id"]})
        await stranger.post("/ai/execute", json={"plan_id": done["plan_id"]}, headers={"Idempotency-Key": "hush-hush"})
        await stranger.post("/ai/plan", json={"prompt": "echo hush-hush", "workspace_id": "acme"})
    answered = [line for line in lines if line.get("action") == "request_answered"]
    assert len(answered) == 4
    text = json.dumps(answered)
    for secret in ("hush-hush", done["plan_id"], done["job_ids"][0], "acme"):
        assert secret not in text


# -- what is sealed and signed ----------------------------------------------------------------------------------------


def test_what_is_sealed_opens_in_its_own_workspace_only() -> None:
    """Bytes that are copied into another workspace's row do not open there, whatever they are sealed for."""
    vault = Vault([SECRET])
    sealed = vault.seal({"text": "hush"}, workspace_id="acme", purpose="params")
    assert vault.unseal(sealed, workspace_id="acme", purpose="params") == {"text": "hush"}
    for workspace_id in ("beta", "acme/params", "", "acm"):
        with pytest.raises(SealBroken):
            vault.unseal(sealed, workspace_id=workspace_id, purpose="params")


async def test_a_plan_that_is_moved_to_another_workspace_does_not_run(house: House) -> None:
    """Somebody who can write to the database, but has no secret key, cannot let one workspace run another's plan."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    plan_id = (await owner.post("/ai/plan", json={"prompt": "echo hush-hush"})).json()["plan_id"]
    move = update(plans).where(plans.c.plan_id == plan_id).values(workspace_id="beta")
    await house.app.database.write(lambda connection: connection.execute(move))
    answer = await stranger.post("/ai/execute", json={"plan_id": plan_id})
    assert_problem(answer, 409, "seal_broken")
    assert (await stranger.get("/ai/jobs")).json()["jobs"] == []


# -- names, places and events -----------------------------------------------------------------------------------------


async def test_w20_a_foreign_idempotency_key_is_a_new_one(house: House) -> None:
    """Whoever uses another workspace's key makes work of their own and learns nothing of the other's."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    request = {"json": {"actions": [echo(client_request_id="mine")]}, "headers": {"Idempotency-Key": "once"}}
    theirs, ours = await owner.post("/ai/execute", **request), await stranger.post("/ai/execute", **request)
    assert (theirs.status_code, ours.status_code) == (202, 202)
    assert not ours.json()["duplicate"]
    assert set(theirs.json()["job_ids"]).isdisjoint(ours.json()["job_ids"])
    for client, first in ((owner, theirs), (stranger, ours)):
        again = (await client.post("/ai/execute", **request)).json()
        assert (again["job_ids"], again["duplicate"]) == (first.json()["job_ids"], True)
    other = {"json": {"actions": [echo("another text")]}, "headers": {"Idempotency-Key": "once"}}
    third = await house.client("gamma")
    assert (await third.post("/ai/execute", **other)).status_code == 202


async def test_a_foreign_cursor_is_a_wrong_one(house: House) -> None:
    """It is refused like any made-up text, on every listing."""
    owner, stranger = await house.client("acme"), await house.client("beta")
    for _ in range(2):
        await owner.post("/ai/execute", json={"actions": [echo()]})
    for path in ("/ai/jobs", "/ai/plans"):
        cursor = (await owner.get(path, params={"limit": 1})).json()["next_cursor"]
        assert (await owner.get(path, params={"cursor": cursor})).status_code == 200
        answers = [await stranger.get(path, params={"cursor": text}) for text in (cursor, "x" * len(cursor))]
        documents = [assert_problem(answer, 400, "invalid_cursor") for answer in answers]
        for document in documents:
            del document["request_id"]
        assert documents[0] == documents[1]


async def test_event_ids_say_nothing_of_others(house: House) -> None:
    """They count in each workspace from one, however busy another is."""
    busy, quiet = await house.client("acme"), await house.client("beta")
    for _ in range(5):
        await busy.post("/ai/execute", json={"actions": [echo()]})
    await quiet.post("/ai/execute", json={"actions": [echo()]})
    mine = [event.event_id for event in await events_of(house, "beta")]
    assert mine[0] == "evt_0000000000000001"
    assert len(mine) < len(await events_of(house, "acme"))


async def test_a_stream_from_the_beginning_is_ones_own(house: House) -> None:
    """Whoever asks for everything that is kept hears everything of the own workspace, and nothing else."""
    heard, own = await _heard(house, "evt_0000000000000000", "plan.submitted")
    assert set(re.findall(r"plan_[0-9a-z]{24}", heard)) == own


async def test_a_foreign_event_id_shows_nothing_of_its_owner(house: House) -> None:
    """Going on from the end of a busier log, a workspace is told of a gap in its own."""
    heard, own = await _heard(house, "evt_0000000000000006", "gap")
    assert set(re.findall(r"plan_[0-9a-z]{24}", heard)) <= own


async def _heard(house: House, after: str, until: str) -> tuple[str, set[str | None]]:
    """Return what a quiet workspace hears after an event, beside a busy one, and its own plans."""
    busy, quiet = await house.client("acme"), await house.client("beta")
    for _ in range(10):
        await busy.post("/ai/execute", json={"actions": [echo("hush-hush")]})
    await quiet.post("/ai/execute", json={"actions": [echo()]})
    theirs = await events_of(house, "acme")
    assert theirs[-1].event_id >= "evt_0000000000000010"
    headers = {"Authorization": f"Bearer {await house.key('beta')}", "Last-Event-ID": after}
    async with house.served() as (_, address), httpx2.AsyncClient(base_url=address, headers=headers) as client:
        heard = await heard_until(client, until)
    assert "hush-hush" not in heard
    assert not {event.plan_id for event in theirs if event.plan_id} & set(re.findall(r"plan_[0-9a-z]{24}", heard))
    return heard, {event.plan_id for event in await events_of(house, "beta")}


async def events_of(house: House, workspace_id: str) -> tuple[Event, ...]:
    """Return the whole log of a workspace."""
    reader = Principal("key_reader", workspace_id, frozenset({Role.VIEWER}))
    return (await house.app.engine.open(reader).events_after("evt_0000000000000000", limit=100)).events


async def heard_until(client: httpx2.AsyncClient, kind: str) -> str:
    """Return what a stream says up to an event of a kind."""
    heard: list[str] = []
    async with client.stream("GET", "/ai/events", timeout=5) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            heard.append(line)
            if line.startswith("data:") and kind in line:
                break
    return "\n".join(heard)
