"""The scripts themselves: each says what it is, none spells a key, all are understood by the server."""

import re
from pathlib import Path
from typing import Any

import pytest

from steward.work_stores import redis as package
from steward.work_stores.redis.keys import KEYS
from steward.work_stores.redis.scripts import names, script
from tests.contracts.builders import World
from tests.redis.history import live

FOLDER = Path(package.__file__ or "").parent


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.lua")), ids=lambda path: path.stem)
def test_a_script_says_what_it_is(path: Path) -> None:
    """Its first line is its name and its purpose, and it is short enough to be read."""
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith(f"-- {path.stem}: ")
    assert len(lines[0]) > len(path.stem) + 20
    assert len(lines) <= 400


def test_w149_keys_are_spelt_in_one_place() -> None:
    """No script and no other module spells a key; and no key but a job's can be taken for a job's."""
    everywhere = FOLDER.parents[1]
    assert everywhere.name == "steward"
    for path in (*everywhere.rglob("*.lua"), *everywhere.rglob("*.py")):
        if path != FOLDER / "keys.py":
            assert not re.search(r"""["'`{}]ai:""", path.read_text("utf-8")), path
    assert [name for name, key in KEYS.items() if key.startswith("ai:job:")] == ["job", "older_job"]
    assert [name for name, key in KEYS.items() if key.startswith("ai:jobs:")] == ["old_job"]
    assert (KEYS["job"], KEYS["ring"]) == ("ai:job:%s:%s", "ai:queue:pending")
    assert KEYS["action_name"] == "ai:idempotency:%s:%s"


def test_every_script_is_understood(raw: Any) -> None:
    """The server takes each and knows it by the name that we reckon for it."""
    for name in names():
        assert raw.script_load(script(name).text) == script(name).sha


@pytest.mark.anyio
async def test_w39_no_request_walks_over_keys(world: World, raw: Any) -> None:
    """Over a whole history the server was never sent SCAN or KEYS."""
    raw.config_resetstat()
    await live(world)
    await world.visible()
    used = {name.removeprefix("cmdstat_") for name in raw.info("commandstats")}
    assert "evalsha" in used
    assert not used & {"scan", "keys", "sscan", "hscan", "zscan", "flushdb"}


@pytest.mark.anyio
async def test_a_server_that_lost_its_scripts_is_given_them_again(world: World, raw: Any) -> None:
    """After SCRIPT FLUSH everything goes on."""
    submitted = await world.submit()
    raw.script_flush()
    assert (await world.run(submitted.job_ids[0])).job_id == submitted.job_ids[0]
