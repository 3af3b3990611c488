"""What is kept of a named request says nothing about its payload, and still knows a retry after a rotation of the keys."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from steward.digest import sha256_of
from tests.web.house import SECRET, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio

NEW_SECRET = "another secret for tests that is long enough too"
BODY: dict[str, Any] = {"actions": [echo("1234", client_request_id="mine")]}


def kept(home: Path) -> set[str]:
    """Return the digests in the database."""
    engine = create_engine(f"sqlite:///{home / 'steward.db'}")
    try:
        with engine.connect() as connection:
            return set(connection.execute(text("SELECT payload_digest FROM idempotency")).scalars())
    finally:
        engine.dispose()


async def test_a_digest_cannot_be_guessed_at(tmp_path: Path) -> None:
    """Whoever reads the database cannot try PINs or passwords: the digest is no plain hash of the payload."""
    step = {"id": "s1", "action_id": "sample.echo", "params": {"text": "1234"}, "depends_on": []}
    guesses = [
        {"actions": [{**step, "name": "mine"}], "run_at": None},
        {"action_id": "sample.echo", "params": {"text": "1234"}, "run_at": None},
    ]
    async with open_house(tmp_path) as house:
        client = await house.client()
        answer = await client.post("/ai/execute", json=BODY, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text
    digests = kept(tmp_path)
    assert len(digests) == 2
    assert not digests & {sha256_of(guess) for guess in guesses}


async def test_one_payload_has_another_digest_in_another_workspace(tmp_path: Path) -> None:
    """Two workspaces that ask for the same leave nothing in common behind."""
    async with open_house(tmp_path) as house:
        for workspace_id in ("acme", "zenith"):
            client = await house.client(workspace_id)
            assert (await client.post("/ai/execute", json=BODY)).status_code == 202
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("header", [{}, {"Idempotency-Key": "k"}])
async def test_a_retry_is_known_after_a_rotation(tmp_path: Path, header: dict[str, str]) -> None:
    """With a new secret key in front of the old one the same request is a duplicate, and another payload is refused."""
    async with open_house(tmp_path) as house:
        token = await house.key()
        client = await house.client_with(token)
        first = (await client.post("/ai/execute", json=BODY, headers=header)).json()
    async with open_house(tmp_path, STEWARD_SECRET_KEY=f"{NEW_SECRET},{SECRET}") as house:
        client = await house.client_with(token)
        again = (await client.post("/ai/execute", json=BODY, headers=header)).json()
        assert (again["duplicate"], again["job_ids"]) == (True, first["job_ids"])
        other = {"actions": [echo("4321", client_request_id="mine")]}
        assert_problem(await client.post("/ai/execute", json=other, headers=header), 422, "idempotency_key_reused")
