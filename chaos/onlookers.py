"""Who looks on while keys are moved: readers, walkers through lists, and writers, each sure of what it must be shown.

They know every job that was planted or accepted. A read that does not find one, a list that shows one twice or leaves one
out, and an answer that says less than an earlier one (an ended job that is under way again) are what must not happen.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx2

from steward.job import FINAL, JobStatus

_AGAIN_S: Final = 0.05
_PAUSE_S: Final = 0.01
"""Between two requests of one onlooker."""
_WRITES_S: Final = 0.05
_PAGE: Final = 37
_SHOWN: Final = 20
_ENDED: Final = {*FINAL, JobStatus.UNKNOWN}


@dataclass(slots=True)
class Onlookers:
    """What all of one workspace share."""

    workspace: str
    client: httpx2.AsyncClient
    known: list[str]
    """Jobs that there are, in no order."""
    ended: dict[str, str] = field(default_factory=dict)
    """Those that were seen ended, and how."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of accepted messages, and the plan of each."""
    done: Counter[str] = field(default_factory=Counter)
    """Reads, walks and writes so far."""
    missed: int = 0
    twice: int = 0
    left_out: int = 0
    stale: int = 0
    again: int = 0
    """Requests that met no server, or one that could not reach its store, and were sent again."""
    problems: list[str] = field(default_factory=list)
    going: bool = True

    async def read(self, chance: random.Random) -> None:
        """Read one job after the other."""
        while self.going:
            job_id, ended = chance.choice(self.known), dict(self.ended)
            answer = await self._ask("GET", f"/ai/jobs/{job_id}")
            self.done["reads"] += 1
            if answer.status_code == HTTPStatus.OK:
                self._look(answer.json(), ended)
            else:
                self.missed += 1
                self._note(f"{job_id} was answered with {answer.status_code}: {answer.text[:200]}")
            await asyncio.sleep(_PAUSE_S)

    async def walk(self) -> None:
        """Walk through the whole list, again and again."""
        while self.going:
            there, ended = set(self.known), dict(self.ended)
            seen: Counter[str] = Counter()
            cursor: str | None = None
            while self.going:
                params = {"limit": str(_PAGE)} | ({} if cursor is None else {"cursor": cursor})
                answer = await self._ask("GET", "/ai/jobs", params=params)
                if answer.status_code != HTTPStatus.OK:
                    self.left_out += 1
                    self._note(f"A page was answered with {answer.status_code}: {answer.text[:200]}")
                    break
                page = answer.json()
                for job in page["jobs"]:
                    seen[job["job_id"]] += 1
                    self._look(job, ended)
                cursor = page["next_cursor"]
                if cursor is None:
                    self._judge(there, seen)
                    break
                await asyncio.sleep(_PAUSE_S)

    async def write(self, url: str) -> None:
        """Submit plans of two steps: a message, and one that needs it."""
        while self.going:
            label = f"parcel-{secrets.token_hex(8)}"
            hook = {"id": "s1", "action_id": "webhook.post", "params": {"url": url, "payload": {"label": label}}}
            after = {"id": "s2", "action_id": "compute", "params": {"value": "done"}, "depends_on": ["s1"]}
            answer = await self._ask(
                "POST", "/ai/execute", json={"actions": [hook, after]}, headers={"Idempotency-Key": label}
            )
            if answer.status_code == HTTPStatus.ACCEPTED:
                document = answer.json()
                self.known += document["job_ids"]
                self.labels[label] = document["plan_id"]
                self.done["writes"] += 1
            else:
                self._note(f"A submit was answered with {answer.status_code}: {answer.text[:200]}")
            await asyncio.sleep(_WRITES_S)

    async def statuses(self, job_ids: Iterable[str]) -> dict[str, Any]:
        """Return what is shown of each job, or None where it is not found."""
        found: dict[str, Any] = {}
        for job_id in job_ids:
            answer = await self._ask("GET", f"/ai/jobs/{job_id}")
            found[job_id] = answer.json() if answer.status_code == HTTPStatus.OK else None
        return found

    async def _ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Return the answer, asking again as long as there is nobody to give one."""
        while True:
            try:
                answer = await self.client.request(method, path, **more)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer
            self.again += 1
            await asyncio.sleep(_AGAIN_S)

    def _look(self, job: dict[str, Any], ended: dict[str, str]) -> None:
        """Compare an answer with what had been seen before it was asked for."""
        job_id, status = job["job_id"], job["status"]
        if ended.get(job_id, status) != status:
            self.stale += 1
            self._note(f"{job_id} was {ended[job_id]} and is shown as {status}.")
        if status in _ENDED:
            self.ended[job_id] = status

    def _judge(self, there: set[str], seen: Counter[str]) -> None:
        self.done["walks"] += 1
        twice = [job_id for job_id, times in seen.items() if times > 1]
        left_out = there - seen.keys()
        self.twice += len(twice)
        self.left_out += len(left_out)
        for job_id in twice:
            self._note(f"A list showed {job_id} {seen[job_id]} times.")
        for job_id in left_out:
            self._note(f"A list left out {job_id}.")

    def _note(self, sentence: str) -> None:
        if len(self.problems) < _SHOWN:
            self.problems.append(f"{self.workspace}: {sentence}")
