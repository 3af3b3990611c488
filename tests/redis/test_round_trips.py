"""What is asked of the server in one go."""

from contextlib import closing
from typing import Any

import pytest

from steward.approval import Verdict
from steward.job import JobStatus
from steward.plan import MAX_STEPS
from tests.contracts.builders import World, asking

pytestmark = pytest.mark.anyio

_DIGEST = "c" * 64
_END = "that was it"


def _asked(watch: Any, database: int) -> list[str]:
    """Return the commands that clients sent to a database until the end was called out, by name; scripts' own left out."""
    names: list[str] = []
    while (seen := watch.next_command())["command"] != f"ECHO {_END}":
        if seen["client_type"] != "lua" and seen["db"] == database:
            names.append(seen["command"].split(" ", 1)[0])
    return names


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
        other.echo(_END)
        asked = _asked(watch, database)
    assert asked == ["EVALSHA"]
    assert await world.statuses(submitted) == [JobStatus.PENDING] * MAX_STEPS
