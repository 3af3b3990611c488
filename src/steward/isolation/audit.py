"""The audit from beginning to end: make the twins, let them work, attack, compare, and take the keys away again."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx2

from steward.authenticators.api_key import mint_key
from steward.clock import Clock, SystemClock
from steward.database.engine import Database
from steward.directories.sql import SqlDirectory
from steward.directory import Directory, WorkspacePolicy
from steward.errors import Conflict
from steward.identity import Role
from steward.ids import IdFactory
from steward.isolation import special
from steward.isolation.attack import NAMES, Attack, look
from steward.isolation.description import Description, Operation, Slot
from steward.isolation.forge import ALTERNATIVES, ASKS, EXAMPLES
from steward.isolation.furnish import Furnished, furnish
from steward.isolation.report import DoorKind, Kind, Report
from steward.isolation.rows import changed, stored
from steward.isolation.tenant import ROLES, CannotAudit, Tenant
from steward.isolation.values import Strangers
from steward.vault import Vault

VICTIM: Final = "isolation-audit-a"
ATTACKER: Final = "isolation-audit-b"
ASKING: Final = "isolation_audit"
"""The policy of both workspaces."""
_BY: Final = "isolation-audit"
_VALID: Final = timedelta(hours=6)
_MOST_CHANGES_TOLD: Final = 10
Progress = Callable[[str, float], None]
"""What is being done, and how much of all of it is done, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The installation to be attacked: where it answers, and where its data lies."""

    url: str
    database: Database
    files: Path
    """The folder that holds every workspace's folder."""
    vault: Vault
    """What signs the policies of the two workspaces, as the server does."""
    metrics_token: str | None = None
    log: Path | None = None
    """The server's log, if it can be read."""
    roles: Sequence[Role] = ROLES
    commands: "Commands | None" = None


Commands = Callable[[str, Tenant, Tenant, Strangers, Report], None]
"""Attacks the command line of the server at an address, where the victim's values and their strangers are known."""


@dataclass
class _Run:
    target: Target
    victim: Tenant
    attacker: Tenant
    operations: Sequence[Operation]
    report: Report
    progress: Progress
    furnished: Furnished = field(default_factory=Furnished)

    async def play(self) -> None:
        """Furnish both, then attack."""
        self.progress("the attacker's own work", 0.0)
        self.furnished = await furnish(self.attacker, self.operations)
        self.progress("the victim's work, while the attacker listens", 0.08)
        await self._victim_works()
        before = await self._stored()
        attack = Attack(self.victim, self.attacker, self.furnished.requests, self.report, roles=self.target.roles)
        for number, operation in enumerate(self.operations):
            self.progress(operation.name, 0.2 + 0.6 * number / len(self.operations))
            await attack.operation(operation)
        self.progress("other methods, files, keys, metrics", 0.8)
        await attack.other_methods(self.operations)
        await special.files(self.victim, self.attacker, attack.strangers, self.report)
        await special.approvals(self.victim, self.attacker, attack.strangers, self.report)
        await special.tools(self.victim, self.attacker, attack.strangers, self.report)
        await special.credentials(self.victim, self.attacker, attack.strangers, self.report)
        if self.target.commands is not None:
            self.progress("the command line", 0.9)
            self.target.commands(self.target.url, self.victim, self.attacker, attack.strangers, self.report)
        await special.metrics(self.victim, self.attacker, self.target.metrics_token, self.report)
        self._compare(before, await self._stored())

    async def _victim_works(self) -> None:
        """Let the victim work while the attacker listens to every stream there is, in every role."""
        streams = [operation for operation in self.operations if operation.streams and not operation.path_names()]
        heard: list[tuple[str, list[str]]] = []
        async with AsyncExitStack() as listening:
            for operation in streams:
                for role in self.target.roles:
                    if operation.open_to(role):
                        lines = await listening.enter_async_context(self.attacker.listening(operation.path, role))
                        heard.append((operation.path, lines))
            done = await furnish(self.victim, self.operations)
        self.furnished.marked |= done.marked
        for path, lines in heard:
            door = self.report.door(DoorKind.STREAM, path, "workspace")
            door.attacks += 1
            look(self.report, self.victim, path, "\n".join(lines))
            if strange := [line for line in lines if line.startswith("event:")]:
                text = f"It carried {len(strange)} events while only the other workspace worked."
                self.report.add(Kind.CANARY, path, text)

    async def _stored(self) -> Mapping[str, str]:
        own = self.victim.holdings.tools | {_BY}
        return await stored(self.target.database, self.target.files, self.victim.workspace_id, own)

    def _compare(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self.report.rows = len(before)
        told = changed(before, after)
        for sentence in told[:_MOST_CHANGES_TOLD]:
            self.report.add(
                Kind.WRITE, sentence.split(" ", 1)[0], f"{sentence}, though only the other workspace acted."
            )
        if len(told) > _MOST_CHANGES_TOLD:
            self.report.add(Kind.WRITE, "all", f"{len(told) - _MOST_CHANGES_TOLD} more changes.")


async def audit(target: Target, progress: Progress = lambda _what, _share: None) -> Report:
    """Attack an installation and return what was found; raises ``CannotAudit`` where that is not possible."""
    began = time.monotonic()
    start = target.log.stat().st_size if target.log is not None else 0
    async with _keys(target) as tokens, _client(target) as one, _client(target) as other:
        victim = Tenant("a", VICTIM, tokens[VICTIM], one)
        attacker = Tenant("b", ATTACKER, tokens[ATTACKER], other)
        operations = await _operations(attacker)
        report = Report(target.url, (VICTIM, ATTACKER))
        for operation in operations:
            _announce(report, operation)
        run = _Run(target, victim, attacker, operations, report, progress)
        await run.play()
        if target.log is not None:
            with target.log.open(encoding="utf-8", errors="replace") as file:
                file.seek(start)
                special.log(file, victim, attacker, report)
        _count(run, report)
    report.seconds = time.monotonic() - began
    report.close()
    return report


def _client(target: Target) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=target.url, trust_env=False)


async def _operations(tenant: Tenant) -> list[Operation]:
    answer = await tenant.call("GET", "/openapi.json", None)
    if not answer.good or not isinstance(answer.document, dict):
        raise CannotAudit("There is no description at /openapi.json, so this is no Steward, or not this version.")
    known = await tenant.call("GET", "/actions")
    if not known.good:
        raise CannotAudit(
            "The server does not know the keys that were made here: it works on another database than this machine's."
        )
    return list(Description(answer.document).operations())


def _announce(report: Report, operation: Operation) -> None:
    """Take note of every door that an operation is."""
    report.door(DoorKind.ROUTE, operation.name, operation.tenancy)
    if operation.streams:
        report.door(DoorKind.STREAM, operation.path, operation.tenancy)
    if operation.may_stream:
        report.door(DoorKind.STREAM, operation.name, operation.tenancy)
    for slot in (*operation.parameters(), *operation.fields()):
        if operation.tenancy != "installation" and (kind := NAMES.get(slot.name.lower())) is not None:
            report.door(kind, f"{slot.name} of {operation.name}", operation.tenancy)


def _count(run: _Run, report: Report) -> None:
    writable = {
        f"{operation.name} {slot}"
        for operation in run.operations
        if operation.tenancy == "workspace" and not operation.reads
        for slot in operation.fields()
        if _takes_a_canary(slot)
    }
    marked = {place for place in writable if any(mark.startswith(place) for mark in run.furnished.marked)}
    report.fields, report.fields_marked = len(writable), len(marked)
    report.unmarked = sorted(writable - marked)
    report.requests = run.victim.sent + run.attacker.sent
    report.canaries = len(run.victim.canaries)
    report.waited_s = run.victim.waited_s + run.attacker.waited_s


def _takes_a_canary(slot: Slot) -> bool:
    """Whether a field is the client's own to fill, and not the name of something that is there."""
    names_something = slot.name in EXAMPLES or slot.name in ALTERNATIVES or slot.name in {"depends_on", "digest"}
    names_something |= slot.name.endswith("_id") and slot.name != "client_request_id"
    return not slot.is_fixed and not names_something


async def _twin(directory: Directory, clock: Clock, workspace_id: str) -> None:
    """Make a workspace in which one action waits for a person, so that there are approvals."""
    with suppress(Conflict):  # there since an earlier audit
        await directory.create_workspace(workspace_id, "Isolation audit", by=_BY)
    policy = WorkspacePolicy(workspace_id=workspace_id, name=ASKING, text=ASKS, changed_by=_BY, changed_at=clock.now())
    await directory.put_policy(policy)


@asynccontextmanager
async def _keys(target: Target) -> AsyncIterator[Mapping[str, Mapping[Role, str]]]:
    """Make both workspaces and a key for each role in each; the keys are revoked at the end."""
    clock = SystemClock()
    ids, directory = IdFactory(clock), SqlDirectory(target.database, clock, target.vault)
    tokens: dict[str, dict[Role, str]] = {}
    made: list[str] = []
    try:
        for workspace_id in (VICTIM, ATTACKER):
            await _twin(directory, clock, workspace_id)
            for role in ROLES:
                key, token = mint_key(ids, clock, workspace_id, role, "isolation audit", _VALID)
                await directory.add_key(key, by=_BY)
                made.append(key.key_id)
                tokens.setdefault(workspace_id, {})[role] = token
        yield tokens
    finally:
        for key_id in made:
            await directory.revoke_key(key_id, by=_BY)
