"""One home with its processes, its far ends and its clients: what both the matrix and the fault runs play in."""

import asyncio
import json
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import httpx2
from tests.ports import HeldPort

from chaos.deeds import BOOK, FAN
from chaos.points import Trap
from chaos.process import Role, Spec, ended, start
from chaos.verdict import Kind, Seen, Story
from chaos.world import World
from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.directory import LOCAL_ACTOR
from steward.errors import StoreUnavailable
from steward.event import event_id, event_sequence
from steward.identity import Principal
from steward.identity import Role as Rank
from steward.job import FINAL, Job, JobStatus
from steward.settings import Settings
from steward.work_store import Listener

WORKSPACE: Final = "chaos"
ACTION_OF: Final = {Kind.KEYED: "webhook.post", Kind.PROBE: BOOK, Kind.NONE: "email.send", Kind.FAN: FAN}
CHILDREN: Final = 2
_PATIENCE_S: Final = 90.0
_ANSWER_S: Final = 10.0
_AGAIN_S: Final = 0.1


class GaveUp(Exception):
    """Something that had to happen did not happen in time."""


@dataclass(slots=True)
class Promise:
    """One plan that a client wants done and keeps asking for under the same key until it has an answer."""

    kind: Kind
    labels: tuple[str, ...]
    key: str
    plan_id: str = ""
    asked: int = 0
    unavailable: int = 0
    """Answers 503."""
    waited_s: float = 0.0
    """From the first request to the answer."""


@dataclass
class House:
    """A home, opened for reading, and who works in it."""

    home: Path
    world: World
    env: dict[str, str]
    app: Application
    principal: Principal
    client: httpx2.AsyncClient
    port: int
    promises: list[Promise] = field(default_factory=list)
    processes: list[BaseProcess] = field(default_factory=list)
    traps: int = 0

    # -- processes ---------------------------------------------------------------------------------------------------

    def spec(self, role: Role, *, concurrency: int = 1, trap: Trap | None = None) -> Spec:
        """Return what a process of this house is told."""
        log = self.home / f"{role}.log"
        return Spec(role=role, env=self.env, log=log, port=self.port, concurrency=concurrency, trap=trap)

    def last_words(self, role: Role) -> str:
        """Return the last line that processes of a role have written, as far as it helps."""
        lines = (self.home / f"{role}.log").read_text(errors="replace").splitlines()
        return lines[-1][:500] if lines else "nothing"

    def start(self, spec: Spec) -> BaseProcess:
        """Start a process."""
        process = start(spec)
        self.processes.append(process)
        return process

    def trap(self, point: Any, kind: Kind | None, *, number: int = signal.SIGKILL) -> Trap:
        """Return a new trap for a step of a kind (None: any)."""
        self.traps += 1
        return Trap(
            point=point,
            action_id="" if kind is None else ACTION_OF[kind],
            mark=self.home / "marks" / str(self.traps),
            triggers=self.world.triggers,
            signal=number,
        )

    async def ready(self) -> None:
        """Return once the server answers that it is ready."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    answer = await self.client.get("/readyz")
                except httpx2.TransportError:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if answer.status_code == HTTPStatus.OK:
                    return

    async def stop(self) -> list[int]:
        """Ask every process that lives to stop; return the exit codes of all."""
        for process in self.processes:
            if process.exitcode is None:
                process.terminate()
        return [await ended(process) for process in self.processes]

    # -- clients -----------------------------------------------------------------------------------------------------

    def body(self, promise: Promise) -> dict[str, Any]:
        """Return the request for a promise: the step with the effect, and one that needs it."""
        hook, book = f"{self.world.http_url}/hook", f"{self.world.http_url}/book"
        label = promise.labels[0]
        params: dict[Kind, dict[str, Any]] = {
            Kind.KEYED: {"url": hook, "payload": {"label": label}},
            Kind.PROBE: {"url": book, "label": label},
            Kind.NONE: {"to": "office@example.com", "subject": "A parcel", "text": f"It is {label}."},
            Kind.FAN: {"url": hook, "labels": list(promise.labels)},
        }
        first = {"id": "s1", "action_id": ACTION_OF[promise.kind], "params": params[promise.kind]}
        after = {"id": "s2", "action_id": "compute", "params": {"value": "done"}, "depends_on": ["s1"]}
        return {"actions": [first, after]}

    async def promise(self, kind: Kind) -> Promise:
        """Submit a plan of a kind, asking again with the same key until there is an answer."""
        label = f"parcel-{secrets.token_hex(8)}"
        labels = tuple(f"{label}-{child}" for child in range(CHILDREN)) if kind is Kind.FAN else (label,)
        promise = Promise(kind, labels, f"key-{secrets.token_hex(8)}")
        self.promises.append(promise)
        began = time.monotonic()
        while time.monotonic() - began < _PATIENCE_S:
            if await self.ask(promise):
                promise.waited_s = time.monotonic() - began
                return promise
            await asyncio.sleep(_AGAIN_S)
        raise GaveUp(f"No answer to a submit within {_PATIENCE_S:.0f} s.")

    async def ask(self, promise: Promise) -> bool:
        """Send one request for a promise; say whether it was accepted."""
        promise.asked += 1
        try:
            answer = await self.client.post(
                "/ai/execute", json=self.body(promise), headers={"Idempotency-Key": promise.key}
            )
        except httpx2.TransportError:
            return False
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            promise.unavailable += 1
            return False
        if answer.status_code != HTTPStatus.ACCEPTED:
            raise GaveUp(f"A submit was answered with {answer.status_code}: {answer.text[:500]}")
        promise.plan_id = answer.json()["plan_id"]
        return True

    # -- facts -------------------------------------------------------------------------------------------------------

    async def jobs(self, promise: Promise) -> tuple[Job, ...]:
        """Return the jobs of a promise in step order; a store that is away is asked again, as by any client."""
        if not promise.plan_id:
            return ()
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                with suppress(StoreUnavailable):
                    return await self.app.engine.open(self.principal).plan_jobs(promise.plan_id)
                await asyncio.sleep(_AGAIN_S)

    async def settled(self, promises: Iterable[Promise] | None = None, *, within_s: float = _PATIENCE_S) -> None:
        """Return once every plan has ended or waits for a person, or when the time is up: the verdict tells which."""
        left = list(self.promises if promises is None else promises)
        deadline = time.monotonic() + within_s
        with self.app.engine.open(self.principal).listen() as bell:
            while True:
                left = [promise for promise in left if not at_rest(await self.jobs(promise))]
                if not left or time.monotonic() > deadline:
                    return
                await _heard(bell)

    async def story(self, promise: Promise) -> Story:
        """Return what became of a promise."""
        seen = {label: self.seen(promise.kind, label) for label in promise.labels}
        return Story(kind=promise.kind, labels=promise.labels, jobs=await self.jobs(promise), seen=seen)

    def seen(self, kind: Kind, label: str) -> Seen:
        """Return what arrived of a label: a receiver of messages takes each key once, the others take everything."""
        if kind is Kind.NONE:
            return Seen(self.world.mails[label], self.world.mails[label])
        if kind is Kind.PROBE:
            return Seen(len(self.world.entries[label]), len(self.world.entries[label]))
        keys = self.world.messages[label]
        return Seen(len(keys), len(set(keys)))

    def seconds_of_503(self) -> list[float]:
        """Return how long, in seconds, the server took for each answer 503, by its own log."""
        lines = (json.loads(line) for line in (self.home / "serve.log").read_text().splitlines() if line[:1] == "{")
        return [line["duration_ms"] / 1000 for line in lines if line.get("status") == HTTPStatus.SERVICE_UNAVAILABLE]

    async def plan_count(self) -> int:
        """Return how many plans the store holds."""
        store, count, after = self.app.engine.open(self.principal), 0, None
        while True:
            page = await store.list_plans(limit=100, after=after)
            count += len(page.plans)
            if page.next_after is None:
                return count
            after = page.next_after

    async def missing_events(self) -> int:
        """Return how many numbers are missing in the workspace's event log."""
        store, expected, missing, after = self.app.engine.open(self.principal), 1, 0, event_id(0)
        while events := (await store.events_after(after, limit=1000)).events:
            for number in (event_sequence(found.event_id) or 0 for found in events):
                missing += number - expected
                expected = number + 1
            after = events[-1].event_id
        return missing


def at_rest(jobs: tuple[Job, ...]) -> bool:
    """Say whether nothing more happens to a plan by itself."""
    unknown = {job.step_id for job in jobs if job.status is JobStatus.UNKNOWN}
    return bool(jobs) and all(
        job.status in FINAL or job.step_id in unknown or unknown.intersection(job.depends_on) for job in jobs
    )


async def _heard(bell: Listener) -> None:
    """Wait for the store's bell, and a moment more: many rings, one look."""
    await bell.wait(1.0)
    await asyncio.sleep(_AGAIN_S)


@asynccontextmanager
async def open_house(home: Path, world: World, **more: str) -> AsyncIterator[House]:
    """Open a new home with one workspace and one key; every process of it is killed at the end if it still lives."""
    (home / "marks").mkdir(parents=True)
    env = {
        "STEWARD_HOME": str(home),
        "STEWARD_SECRET_KEY": secrets.token_urlsafe(48),
        "STEWARD_ACTIONS": "chaos.deeds",
        "HTTP_ALLOW_HOSTS": "127.0.0.1",
        "SMTP_URL": world.smtp_url,
        "SMTP_FROM": "steward@example.org",
        **more,
    }
    async with open_application(Settings.load(env)) as app:
        await app.directory.create_workspace(WORKSPACE, "Chaos", by=LOCAL_ACTOR)
        key, token = mint_key(app.ids, app.clock, WORKSPACE, Rank.DEVELOPER, "chaos", None)
        await app.directory.add_key(key, by=LOCAL_ACTOR)
        with HeldPort() as port:  # between two servers of this house nobody else may answer its clients
            async with httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{port.number}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=_ANSWER_S,
                trust_env=False,
            ) as client:
                house = House(home, world, env, app, key.principal, client, port.number)
                try:
                    yield house
                finally:
                    for process in house.processes:
                        if process.exitcode is None:
                            process.kill()
                            process.join()


@contextmanager
def playground(folder: Path | None) -> Iterator[Path]:
    """Yield ``folder``, made for the run and left there, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="steward-chaos-") as temporary:
        yield Path(temporary)


def with_notes(spec: Spec, folder: Path) -> Spec:
    """Return ``spec`` for a process that notes what its dispatcher was answered."""
    folder.mkdir(exist_ok=True)
    return replace(spec, notes=folder)
