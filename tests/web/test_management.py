"""Workspaces, members and keys over HTTP: who may manage what, and that nobody gets above themselves."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from steward.database.tables import audit_records
from steward.identity import Role
from tests.conftest import FakeClock
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
UNKNOWN = "key_" + "z" * 24


async def operator(house: House) -> httpx2.AsyncClient:
    """Return a client with an operator's key, which is made on the machine itself."""
    return await house.client("system", Role.OPERATOR)


def actor(client: httpx2.AsyncClient) -> str:
    """Return the id of a client's key."""
    return "key_" + client.headers["authorization"].split("_")[1]


async def test_an_operator_makes_a_workspace_and_its_first_key(house: House) -> None:
    """From nothing to a working tenant in two requests; the second workspace of that name is refused."""
    host = await operator(house)
    made = await host.post("/workspaces", json={"id": "gamma", "name": "Gamma & Töchter"})
    assert made.status_code == 201
    assert_problem(await host.post("/workspaces", json={"id": "gamma"}), 409, "workspace_exists")
    first = await host.post("/workspaces/gamma/keys", json={"role": "admin", "name": "first", "expires_in_s": 3600})
    assert first.status_code == 201
    admin = await house.client_with(first.json()["key"])
    shown = (await admin.get("/workspaces/gamma")).json()
    assert (shown["workspace_id"], shown["name"]) == ("gamma", "Gamma & Töchter")
    developer = await admin.post("/keys", json={"role": "developer"})
    worker = await house.client_with(developer.json()["key"])
    assert (await worker.post("/ai/execute", json={"actions": [echo()]})).status_code == 202


async def test_workspaces_are_walked_in_pages(house: House) -> None:
    """Each once, by id; a cursor of another listing is refused."""
    host = await operator(house)
    for name in ("c", "a", "b", "d"):
        await host.post("/workspaces", json={"id": name})
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await host.get("/workspaces", params=query)).json()
        seen += [item["workspace_id"] for item in page["workspaces"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["a", "b", "c", "d"]
    admin = await house.client(role=Role.ADMIN)
    assert_problem(await admin.get("/keys", params={"cursor": "x"}), 400, "invalid_cursor")


async def test_settings_are_replaced_by_the_own_admin(house: House) -> None:
    """What is left out is as if never set; what does not fit is refused field by field."""
    admin = await house.client(role=Role.ADMIN)
    first = {"own_domains": ["acme.example"], "caps": {"email.*": {"per_minute": 10}}, "budgets": {}}
    answer = await admin.put("/workspaces/acme/settings", json={"settings": first})
    assert answer.json()["settings"]["caps"] == {"email.*": {"max_running": None, "per_minute": 10}}
    answer = await admin.put("/workspaces/acme/settings", json={"settings": {"rules": ["reads_only"]}})
    assert answer.json()["settings"] == {
        "own_domains": [],
        "rules": ["reads_only"],
        "caps": {},
        "budgets": {},
        "undo_window_s": 0,
    }
    workspace = await house.app.directory.get_workspace("acme")
    assert workspace is not None
    assert workspace.settings.rules == ("reads_only",)
    for odd in (
        {"own_domains": ["Acme.example"]},
        {"own_domains": ["a.example"] * 101},
        {"caps": {"email.*": {"per_minute": 0}}},
        {"caps": {"*.*": {}}},
        {"budgets": {"letters": {"limit": 1, "window_s": 1}}},
        {"workspace_id": "beta"},
        {"name": "x"},
    ):
        assert_problem(await admin.put("/workspaces/acme/settings", json={"settings": odd}), 422, "invalid")


MANAGING: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/workspaces/acme", None),
    ("PUT", "/workspaces/acme/settings", {"settings": {}}),
    ("GET", "/members", None),
    ("PUT", "/members/alice", {"roles": ["viewer"]}),
    ("DELETE", "/members/alice", None),
    ("GET", "/keys", None),
    ("POST", "/keys", {"role": "viewer"}),
    ("POST", f"/keys/{UNKNOWN}/rotate", None),
    ("PUT", f"/keys/{UNKNOWN}/role", {"role": "admin"}),
    ("DELETE", f"/keys/{UNKNOWN}", None),
]
OPERATING: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/workspaces", None),
    ("POST", "/workspaces", {"id": "mine"}),
    ("POST", "/workspaces/acme/keys", {"role": "admin"}),
]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.APPROVER, Role.AUDITOR])
async def test_only_an_admin_manages_and_only_an_operator_operates(house: House, role: Role) -> None:
    """Every other role gets 403 on every one of these routes, and nothing is changed."""
    client = await house.client(role=role)
    for method, path, body in (*MANAGING, *OPERATING):
        assert_problem(await client.request(method, path, json=body), 403, "missing_scope")
    admin = await house.client(role=Role.ADMIN)
    for method, path, body in OPERATING:
        assert_problem(await admin.request(method, path, json=body), 403, "missing_scope")
    host = await operator(house)
    for method, path, body in MANAGING[2:]:
        assert_problem(await host.request(method, path, json=body), 403, "missing_scope")
    assert len(await house.app.directory.list_keys()) == 3
    assert [found.workspace_id for found in await house.app.directory.list_workspaces()] == ["acme"]


async def test_w48_a_foreign_workspace_or_key_is_unknown(house: House) -> None:
    """The same bytes for what belongs to somebody else, for what nobody has, and for what cannot be."""
    admin, stranger = await house.client("acme", Role.ADMIN), await house.client("beta", Role.ADMIN)
    await stranger.put("/members/bob", json={"roles": ["viewer"]})
    key = actor(stranger)
    ways: list[tuple[str, str, Any, tuple[str, ...]]] = [
        ("GET", "/workspaces/{}", None, ("beta", "nowhere", "system", "BETA", "beta%0A", "a" * 33)),
        ("PUT", "/workspaces/{}/settings", {"settings": {}}, ("beta", "nowhere", "system", "beta%00")),
        ("POST", "/keys/{}/rotate", {}, (key, UNKNOWN, "key_x", key + "%0A", key.upper())),
        ("PUT", "/keys/{}/role", {"role": "viewer"}, (key, UNKNOWN, "key_x")),
        ("DELETE", "/keys/{}", None, (key, UNKNOWN, "key_x")),
        ("DELETE", "/members/{}", None, ("bob", "nobody", "a%0A", key)),
    ]
    for method, path, body, choices in ways:
        shapes = set()
        for choice in choices:
            answer = await admin.request(method, path.format(choice), json=body)
            assert_problem(answer, 404, "not_found")
            shapes.add(answer.text.replace(answer.headers["x-request-id"], ""))
        assert len(shapes) == 1, path
    assert (await stranger.get("/keys")).status_code == 200
    assert [found.actor_id for found in await house.app.directory.list_members("beta")] == ["bob"]
    for path in ("/keys", "/members", "/workspaces/acme"):
        assert_problem(await admin.get(path, params={"workspace_id": "beta"}), 403, "workspace_mismatch")
    assert_problem(
        await admin.post("/keys", json={"role": "viewer", "workspace_id": "beta"}), 403, "workspace_mismatch"
    )


async def test_no_field_makes_an_operator(house: House) -> None:
    """Role escalation through every field that can be changed: refused, and nobody is one afterwards."""
    admin, host = await house.client(role=Role.ADMIN), await operator(house)
    own = actor(admin)
    odd: list[tuple[httpx2.AsyncClient, str, str, Any]] = [
        (admin, "POST", "/keys", {"role": "operator"}),
        (admin, "POST", "/keys", {"role": "OPERATOR"}),
        (admin, "POST", "/keys", {"role": ["admin", "operator"]}),
        (admin, "POST", "/keys", {"role": "admin", "roles": ["operator"]}),
        (admin, "POST", "/keys", {"role": "admin", "scopes": ["operator"]}),
        (admin, "PUT", f"/keys/{own}/role", {"role": "operator"}),
        (admin, "PUT", "/members/alice", {"roles": ["operator"]}),
        (admin, "PUT", "/members/alice", {"roles": ["admin", "operator"]}),
        (admin, "PUT", "/members/alice", {"roles": ["admin"], "scopes": ["operator"]}),
        (admin, "POST", f"/keys/{own}/rotate", {"role": "operator"}),
        (host, "POST", "/workspaces/acme/keys", {"role": "operator"}),
        (host, "POST", "/workspaces", {"id": "system"}),
        (host, "POST", "/workspaces", {"id": "x", "role": "operator"}),
    ]
    for client, method, path, body in odd:
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 422, (path, body, answer.text)
    for path in ("/workspaces/system/keys", "/workspaces/system/settings"):
        method = "POST" if path.endswith("keys") else "PUT"
        body = {"role": "admin"} if method == "POST" else {"settings": {}}
        assert_problem(await host.request(method, path, json=body), 404, "not_found")
    assert [key.key_id for key in await house.app.directory.list_keys("system")] == [actor(host)]
    assert all(key.role is not Role.OPERATOR for key in await house.app.directory.list_keys("acme"))
    assert await house.app.directory.list_members("acme") == ()


FIELDS = {
    "key_id": "key_" + "0" * 24,
    "secret_hash": "00",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "replaced_by": None,
    "pinned": False,
    "disabled_at": None,
    "is_admin": True,
    "by": "key_somebody",
    "__class__": {},
}


async def test_mass_assignment_is_refused(house: House) -> None:
    """A field that exists in a record but not in a body is an unknown field, in every body."""
    admin, host = await house.client(role=Role.ADMIN), await operator(house)
    ways: list[tuple[httpx2.AsyncClient, str, str, dict[str, Any]]] = [
        (admin, "POST", "/keys", {"role": "viewer"}),
        (admin, "POST", f"/keys/{actor(admin)}/rotate", {}),
        (admin, "PUT", f"/keys/{actor(admin)}/role", {"role": "admin"}),
        (admin, "PUT", "/members/alice", {"roles": ["viewer"]}),
        (admin, "PUT", "/workspaces/acme/settings", {"settings": {}}),
        (host, "POST", "/workspaces", {"id": "mine"}),
        (host, "POST", "/workspaces/acme/keys", {"role": "viewer"}),
    ]
    for client, method, path, body in ways:
        for field, value in FIELDS.items():
            document = assert_problem(await client.request(method, path, json={**body, field: value}), 422, "invalid")
            assert document["errors"][0]["pointer"] == f"/{field}"
    assert len(await house.app.directory.list_keys("acme")) == 1


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "Acme",
        "acme\n",
        "acme\x00",
        "-acme",
        "a" * 33,
        "аcme",
        "a:b",
        "a*",
        "ａcme",
        " acme",
        "a/b",
        "..",
        None,
        7,
        [],
    ],
)
async def test_w51_a_malformed_workspace_id_is_refused(house: House, odd: Any) -> None:
    """Whatever shape it has, it does not become a workspace."""
    host = await operator(house)
    assert_problem(await host.post("/workspaces", json={"id": odd}), 422, "invalid")
    assert await house.app.directory.list_workspaces() == ()


async def test_w54_rotation_overlaps_and_ends(tmp_path: Path, clock: FakeClock) -> None:
    """Both keys work during the overlap, then only the new one; a key is replaced once."""
    async with open_house(tmp_path, clock=clock) as house:
        admin = await house.client(role=Role.ADMIN)
        made = (await admin.post("/keys", json={"role": "developer", "name": "night", "expires_in_s": 86_400})).json()
        old = await house.client_with(made["key"])
        answer = await admin.post(f"/keys/{made['key_id']}/rotate", json={"overlap_s": 3600})
        rotated = answer.json()
        assert (rotated["replaces"], rotated["role"]) == (made["key_id"], "developer")
        assert datetime.fromisoformat(rotated["old_expires_at"]) == clock.now() + timedelta(hours=1)
        assert datetime.fromisoformat(rotated["expires_at"]) == clock.now() + timedelta(days=1)
        new = await house.client_with(rotated["key"])
        for client in (old, new):
            assert (await client.get("/ai/jobs")).status_code == 200
        assert_problem(await admin.post(f"/keys/{made['key_id']}/rotate"), 409, "key_not_current")
        clock.advance(3600)
        assert_problem(await old.get("/ai/jobs"), 401, "unauthenticated")
        assert (await new.get("/ai/jobs")).status_code == 200


async def test_w54_a_role_change_holds_from_the_next_request_on(house: House) -> None:
    """Demoted, the key may no longer execute; revoked, it cannot be changed any more."""
    admin, worker = await house.client(role=Role.ADMIN), await house.client(role=Role.DEVELOPER)
    assert (await worker.post("/ai/execute", json={"actions": [echo()]})).status_code == 202
    answer = await admin.put(f"/keys/{actor(worker)}/role", json={"role": "viewer"})
    assert (answer.json()["role"], answer.json()["scopes"]) == ("viewer", ["actions:preview"])
    assert_problem(await worker.post("/ai/execute", json={"actions": [echo()]}), 403, "missing_scope")
    revoked = (await admin.delete(f"/keys/{actor(worker)}")).json()
    assert revoked["state"] == "revoked"
    assert (await admin.delete(f"/keys/{actor(worker)}")).json() == revoked
    assert_problem(await worker.get("/ai/jobs"), 401, "unauthenticated")
    assert_problem(await admin.put(f"/keys/{actor(worker)}/role", json={"role": "admin"}), 409, "key_revoked")
    assert_problem(await admin.post(f"/keys/{actor(worker)}/rotate"), 409, "key_not_current")


async def test_every_change_is_in_the_audit(house: House) -> None:
    """Who did it, to what, under which request; no secret is in it, and a refused change is not."""
    admin = await house.client(role=Role.ADMIN)
    made = (await admin.post("/keys", json={"role": "viewer"}, headers={"X-Request-ID": "make-it"})).json()
    rotated = (await admin.post(f"/keys/{made['key_id']}/rotate")).json()
    await admin.put(f"/keys/{rotated['key_id']}/role", json={"role": "auditor"})
    await admin.delete(f"/keys/{rotated['key_id']}")
    await admin.put("/members/alice", json={"roles": ["viewer"]})
    await admin.delete("/members/alice")
    await admin.delete("/members/alice")
    await admin.put("/workspaces/acme/settings", json={"settings": {"own_domains": ["acme.example"]}})
    statement = select(audit_records).where(audit_records.c.workspace_id == "acme").order_by(audit_records.c.sequence)
    rows = await house.app.database.read(lambda connection: connection.execute(statement).all())
    kinds = [row.kind for row in rows]
    assert kinds == [
        *("workspace.created", "key.created", "key.created", "key.replaced", "key.changed", "key.revoked"),
        *("member.changed", "member.removed", "workspace.changed"),
    ]
    assert {row.actor_id for row in rows[2:]} == {actor(admin)}
    assert rows[2].request_id == "make-it"
    for token in (made["key"], rotated["key"]):
        assert token.rsplit("_", 1)[1] not in str([tuple(row) for row in rows])
