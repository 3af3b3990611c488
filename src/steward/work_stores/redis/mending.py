"""Everything that can be worked out from the hashes, worked out anew: indexes, queue, leases, schedule, expiry, counts.

What is derived is written with every change, so this is for a store that was damaged or restored. Each step is one script
that looks at the hashes themselves, so work may go on meanwhile. It walks over all keys: never part of a request.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.walking import keys_like, members_of

_BATCH: Final = 200
_SETS: Final = {
    "job": ("jobs", "jobs_in", "old_jobs", "scheduled"),
    "plan": ("plans", "plans_in"),
    "approval": ("approvals_in",),
}
"""Sets of one workspace's ids, by what they are ids of."""
_TIMES: Final = {"job": ("leases",), "plan": ("drafts", "ended", "stale"), "approval": ("undecided",)}
"""Sets over all workspaces, whose members name the workspace too."""


async def mend(server: Server) -> int:
    """Put right whatever is derived from hashes; return how many records were looked at."""
    seen = 0
    workspaces: set[str] = set()
    for kind in _SETS:
        found: defaultdict[str, set[str]] = defaultdict(set)
        async for workspace, subject in _subjects(server, kind):
            workspaces.add(workspace)
            found[workspace].add(subject)
            if len(found[workspace]) >= _BATCH:
                seen += await _mend(server, kind, workspace, found.pop(workspace))
        for workspace, subjects in found.items():
            seen += await _mend(server, kind, workspace, subjects)
    actions: defaultdict[str, set[str]] = defaultdict(set)
    async for name in keys_like(server, key("ready", "*", "*")):
        workspace, _, action = name.removeprefix(KEYS["ready_actions"] % "").partition(":")
        actions[workspace].add(action)
    in_line = await server.send("LRANGE", key("ring"), 0, -1)
    for workspace in workspaces | set(actions) | {name.decode() for name in in_line}:
        await server.run("mend_queue", workspace, len(actions[workspace]), *sorted(actions[workspace]))
    return seen


async def _mend(server: Server, kind: str, workspace: str, subjects: set[str]) -> int:
    await server.run("mend", kind, workspace, len(subjects), *sorted(subjects))
    return len(subjects)


async def _subjects(server: Server, kind: str) -> AsyncIterator[tuple[str, str]]:
    """Iterate over workspace and id of all records of a kind, by their hashes and by whatever set names them."""
    async for name in keys_like(server, key(kind, "*", "*")):
        workspace, _, subject = name.removeprefix(KEYS[kind].partition("%")[0]).partition(":")
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
