"""Everything that can be worked out from the hashes, worked out anew: indexes, queue, leases, schedule, expiry, counts.

What is derived is written with every change, so this is for a store that was damaged or restored. Each step is one script
that looks at the hashes themselves, so work may go on meanwhile. It walks over all keys: never part of a request.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Final

from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.lean import become_lean
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.walking import keys_like, members_of, records, sent

_BATCH: Final = 200
_SETS: Final = {
    "job": ("jobs", "jobs_in", "old_jobs", "scheduled"),
    "plan": ("plans", "plans_in"),
    "approval": ("approvals_in",),
}
"""Sets of one workspace's ids, by what they are ids of."""
_TIMES: Final = {"job": ("leases",), "plan": ("drafts", "ended", "stale"), "approval": ("undecided",)}
"""Sets over all workspaces, whose members name the workspace too."""


_WORDS: Final = {
    "jobs": "lists of jobs",
    "jobs_in": "lists of jobs by status",
    "old_jobs": "lists of older jobs",
    "old_jobs_in": "lists of older jobs by status",
    "plans": "lists of plans",
    "plans_in": "lists of plans by status",
    "approvals_in": "lists of approvals",
    "home": "whose each plan is",
    "open_jobs": "counts of a plan's open jobs",
    "ready": "ready jobs by action",
    "ready_actions": "ready actions",
    "running": "counts of running jobs",
    "ring": "line of workspaces",
    "scheduled": "schedules",
    "due": "what is due",
    "leases": "leases",
    "undecided": "approvals that expire",
    "drafts": "drafts that expire",
    "ended": "plans that are purged",
    "stale": "drafts that are purged",
}
"""What each derived structure is, in words."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What was found: how many records were looked at, and how many entries differed from them, by what they are in."""

    seen: int
    differences: dict[str, int]


async def mend(server: Server, *, put_right: bool = True) -> Mended:
    """Compare whatever is derived with the hashes, and put it right unless told only to look."""
    if put_right:
        await become_lean(server)
    seen, workspaces = 0, set[str]()
    differences = Counter[str]()
    flag = "1" if put_right else "0"

    async def compare(script: str, *whose: str, named: Collection[str]) -> None:
        told = await server.run(script, flag, *map(sent, whose), len(named), *map(sent, sorted(named)))
        differences.update({name.decode(): int(number) for name, number in zip(told[::2], told[1::2], strict=True)})

    for kind in _SETS:
        found: defaultdict[str, set[str]] = defaultdict(set)
        async for workspace, subject in _subjects(server, kind):
            workspaces.add(workspace)
            found[workspace].add(subject)
            if len(found[workspace]) >= _BATCH:
                some = found.pop(workspace)
                seen += len(some)
                await compare("mend", kind, workspace, named=some)
        for workspace, some in found.items():
            seen += len(some)
            await compare("mend", kind, workspace, named=some)
    actions: defaultdict[str, set[str]] = defaultdict(set)
    async for name in keys_like(server, key("ready", "*", "*")):
        workspace, _, action = name.removeprefix(KEYS["ready_actions"] % "").partition(":")
        actions[workspace].add(action)
    in_line = await server.send("LRANGE", key("ring"), 0, -1)
    for workspace in workspaces | set(actions) | {name.decode(errors="surrogateescape") for name in in_line}:
        await compare("mend_queue", workspace, named=actions[workspace])
    return Mended(seen, {_WORDS[name]: number for name, number in sorted(differences.items())})


async def _subjects(server: Server, kind: str) -> AsyncIterator[tuple[str, str]]:
    """Iterate over workspace and id of all records of a kind, by their hashes and by whatever set names them."""
    async for workspace, subject in records(server, kind):
        yield workspace, subject
    for index in _SETS[kind]:
        pattern = KEYS[index].replace("%s", "*")
        async for name in keys_like(server, pattern):
            workspace = name.removeprefix(KEYS[index].partition("%")[0]).partition(":")[0]
            async for member in members_of(server, name):
                yield workspace, member
    for index in _TIMES[kind]:
        async for member in members_of(server, key(index)):
            workspace, _, subject = member.partition(" ")
            yield workspace, subject
