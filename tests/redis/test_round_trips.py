"""What is asked of the server in one go, and over how many connections."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from steward.approval import Verdict
from steward.job import JobStatus
from steward.plan import MAX_STEPS
from steward.work_stores.redis.keys import key
from tests.contracts.builders import ALPHA, BETA, World, asking
from tests.redis_server import shared_server
from tests.web.house import echo, open_house

pytestmark = pytest.mark.anyio

_DIGEST = "c" * 64
END = "that was it"


def asked_of(watch: Any, database: int, *, inside: bool = False) -> list[str]:
    """Return the commands on a database until the end was called out, by name; of scripts' own those that are ``inside``.

    Those that leave counts once a second are nobody's: on a busy machine, they come between any two others.
    """
    names: list[str] = []
    while (seen := watch.next_command())["command"] != f"ECHO {END}":
        by_script = seen["client_type"] == "lua"
        if (inside or not by_script) and seen["db"] == database and (by_script or not _leaves_counts(seen["command"])):
            names.append(seen["command"].split(" ", 1)[0])
    return names


def _leaves_counts(command: str) -> bool:
    return command.startswith(f"HINCRBY {key('schema_calls')} ") or command == f"HGET {key('schema')} phase"


async def test_a_yes_to_a_long_plan_releases_it_in_one_round_trip(world: World, raw: Any, database: int) -> None:
    """One question to the server: the decision is kept and all fifty steps are free."""
    _, before = await asking(world)
    await world.alpha.decide_approval(before, _DIGEST, Verdict.APPROVE, None)  # so that the server knows the script
    jobs = [world.job(f"s{number}") for number in range(MAX_STEPS)]
    submitted = await world.submit(*jobs, approved=False)
    assert submitted.approval_id is not None
    assert set(await world.statuses(submitted)) == {JobStatus.HELD}
    with closing(raw.client()) as other, raw.monitor() as watch:
        await world.alpha.decide_approval(submitted.approval_id, _DIGEST, Verdict.APPROVE, None)
        other.echo(END)
        asked = asked_of(watch, database)
    assert asked == ["EVALSHA"]
    assert await world.statuses(submitted) == [JobStatus.PENDING] * MAX_STEPS


async def test_w39_a_page_asks_the_same_of_the_server_however_much_work_others_have(
    world: World, raw: Any, database: int
) -> None:
    """Command for command, those of the script included: no more for a thousand foreign jobs, and for more of one's own."""
    for _ in range(2):
        await world.submit(*[world.job(f"s{number}") for number in range(MAX_STEPS)])
    await world.alpha.list_jobs(limit=1)  # so that the server knows the script
    costs: list[list[str]] = []
    for who in (BETA, ALPHA, ALPHA):
        with closing(raw.client()) as other, raw.monitor() as watch:
            page = await world.alpha.list_jobs(limit=MAX_STEPS)
            assert (len(page.jobs), page.next_after is None) == (MAX_STEPS, False)
            await world.alpha.list_jobs(limit=MAX_STEPS, status=JobStatus.PENDING)
            other.echo(END)
            costs.append(asked_of(watch, database, inside=True))
        for _ in range(10):
            await world.submit(*[world.job(f"s{number}") for number in range(MAX_STEPS)], who=who)
    assert costs[0] == costs[1] == costs[2]
    assert costs[0].count("EVALSHA") == 2
    assert len(costs[0]) < 3 * MAX_STEPS


async def test_w126_any_number_of_requests_share_a_few_connections(tmp_path: Path, database: int, raw: Any) -> None:
    """Eighty at once, reads and writes: one pool for the process, and not a connection for each request."""
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with open_house(tmp_path, STEWARD_RATE_LIMITS="off", **env) as house:
        client = await house.client()
        asked = [client.get("/ai/jobs") for _ in range(60)]
        asked += [client.post("/ai/execute", json={"actions": [echo()]}) for _ in range(20)]
        answers = asyncio.gather(*asked)
        most = 0
        while not answers.done():
            listed = await asyncio.to_thread(raw.client_list)
            most = max(most, sum(int(one["db"]) == database for one in listed))
        assert {answer.status_code for answer in await answers} == {200, 202}
    assert 2 <= most <= 8
