"""The crash matrix and the fault runs in their short form, and proof that their judge would notice."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chaos.engines import Engine
from chaos.faults import faults_of
from chaos.matrix import CELLS, NO_DEATH, deaths
from chaos.points import PAST_DISPATCH, Mark, Point, Trap, leave
from chaos.verdict import RECOVERY_S, Kind, Seen, Story, about_death, judge, recovery_s

from steward.action import Effect, RetryMode
from steward.job import Attempt, Job, JobError, JobStatus
from tests.installation import installation

ROOT = Path(__file__).parent.parent
BEGAN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
PID = 4711
PARCEL = "parcel-0123456789abcdef"
LOST = JobError("lease_lost", "The worker stopped answering in the middle of this attempt.")


def run(*command: str) -> tuple[int, Any]:
    """Run one of the two programs as an operator would; return the exit code and its figures."""
    ended = subprocess.run(
        [sys.executable, "-m", *command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=170
    )
    assert ended.stdout, ended.stderr[-4000:]
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_death_at_any_point_loses_nothing_and_repeats_nothing() -> None:
    """A process dies once in every cell; nothing is lost, done twice or misreported, and recovery takes < 2 leases."""
    code, (figures,) = run("chaos.matrix")
    assert figures["problems"] == []
    total = figures["total"]
    assert (total["lost"], total["twice"], total["wrong"]) == (0, 0, 0)
    assert total["kills"] == figures["cells"] == len(CELLS)
    assert {name for name, row in figures["rows"].items() if row["kills"]} == set(Point)
    died = [row for name, row in figures["rows"].items() if name != NO_DEATH]  # others may be under way beside them
    in_doubt = [cell for cell in CELLS if cell.kind is Kind.NONE and cell.point in PAST_DISPATCH]
    assert sum(row["unknown"] for row in died) == len(in_doubt)
    assert 0 < total["recovery_s"] < RECOVERY_S
    assert code == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.REDIS])
def test_deaths_cost_nothing_on_engines_for_several_machines(engine: Engine) -> None:
    """A few of the deaths, by chance, on a real server; ``make soak`` dies them all."""
    code, (figures,) = run("chaos.matrix", "--engine", engine, "--kills", "9")
    assert figures["problems"] == []
    total = figures["total"]
    assert (total["lost"], total["twice"], total["wrong"]) == (0, 0, 0)
    assert total["kills"] == 9
    assert 0 < total["recovery_s"] < RECOVERY_S
    assert code == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "engine",
    [Engine.SQLITE, *(pytest.param(engine, marks=pytest.mark.soak) for engine in (Engine.REDIS, Engine.POSTGRESQL))],
)
def test_what_is_taken_away_for_a_while_costs_nothing_but_time(engine: Engine) -> None:
    """Paused workers, wrong clocks, a full disk, a server that is killed, cut off, out of memory or without power, and
    absent far ends lose and repeat nothing.
    """
    code, told = run("chaos.faults", "--engine", engine)
    tallies = told[engine]
    assert [problem for one in tallies for problem in one["problems"]] == []
    assert len(tallies) == len(faults_of(engine, long=False))
    assert all(one["plans"] > 0 and one["seen"] for one in tallies)
    assert sum(one["lost"] + one["twice"] + one["wrong"] for one in tallies) == 0
    assert code == 0


# -- would the judge notice? -------------------------------------------------------------------------------------------


def attempt(outcome: str, *, dispatched: bool, number: int = 1, seconds: float = 0.0, pid: int = PID) -> Attempt:
    """Return a finished attempt that began ``seconds`` after the first and took twelve."""
    began = BEGAN + timedelta(seconds=seconds)
    return Attempt(
        number=number,
        fence=number,
        worker_id=f"a-machine-{pid}-abc123",
        started_at=began,
        dispatched_at=began if dispatched else None,
        finished_at=began + timedelta(seconds=12),
        outcome=outcome,
    )


def job(status: JobStatus, *history: Attempt, step_id: str = "s1", error: JobError | None = None) -> Job:
    """Return a job as the store would show it."""
    return Job(
        job_id=f"job_{step_id}",
        workspace_id="chaos",
        plan_id="plan_1",
        step_id=step_id,
        action_id="email.send",
        actor_id="key_1",
        status=status,
        held_for=None,
        definition_hash="",
        digest="",
        depends_on=(),
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        effect_key="job_1",
        fence=1,
        attempts=1,
        max_attempts=5,
        key_valid_s=60.0,
        worker_id=None,
        lease_until=None,
        first_dispatched_at=None,
        dispatched_at=None,
        cancel_requested=False,
        not_before=None,
        enqueued_at=BEGAN,
        started_at=BEGAN,
        finished_at=None,
        result=None,
        error=error,
        reason=None,
        labels={},
        result_labels={},
        authored_after=(),
        parent_step_id=None,
        expanded=False,
        history=history,
        request_id="req",
    )


def story(kind: Kind, *jobs: Job, arrivals: int = 1, effects: int = 1) -> Story:
    """Return what became of a plan with one label."""
    return Story(kind=kind, labels=(PARCEL,), jobs=jobs, seen={PARCEL: Seen(arrivals, effects)})


def done(*history: Attempt) -> tuple[Job, Job]:
    """Return both jobs of a plan that is completed."""
    return job(JobStatus.COMPLETED, *history), job(JobStatus.COMPLETED, step_id="s2")


def doubted(*history: Attempt, error: JobError | None = LOST) -> tuple[Job, Job]:
    """Return both jobs of a plan whose first step is unknown."""
    return job(JobStatus.UNKNOWN, *history, error=error), job(JobStatus.WAITING, step_id="s2")


def test_what_went_well_is_not_objected_to() -> None:
    """One effect and a completed plan; the same key again is no second effect; an honest unknown is no loss."""
    again = judge(story(Kind.KEYED, *done(), arrivals=2))
    assert (again.ending, again.repeats, again.lost, again.twice, again.wrong) == ("completed", 1, (), (), ())
    lost = attempt("lease_lost", dispatched=True)
    for effects in (0, 1):
        honest = judge(story(Kind.NONE, *doubted(lost), arrivals=effects, effects=effects))
        assert (honest.ending, honest.lost, honest.twice, honest.wrong) == ("unknown", (), (), ())


@pytest.mark.parametrize(
    "told",
    [
        story(Kind.KEYED),
        story(Kind.KEYED, *done(), arrivals=0, effects=0),
        story(Kind.KEYED, job(JobStatus.FAILED, error=LOST), job(JobStatus.CANCELLED, step_id="s2")),
        story(Kind.PROBE, job(JobStatus.RUNNING), job(JobStatus.WAITING, step_id="s2")),
        story(Kind.NONE, job(JobStatus.COMPLETED), job(JobStatus.PENDING, step_id="s2")),
    ],
    ids=["unheard of", "never arrived", "failed", "still running", "not finished"],
)
def test_what_is_lost_is_noticed(told: Story) -> None:
    """A plan that the store does not know, that did not end, or that is said to be done and is not, is lost."""
    verdict = judge(told)
    assert verdict.ending == "lost"
    assert verdict.lost


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_done_twice_is_noticed(kind: Kind) -> None:
    """Two effects are one too many, whatever the store says."""
    assert judge(story(kind, *done(), arrivals=2, effects=2)).twice
    assert judge(story(kind, *doubted(attempt("lease_lost", dispatched=True)), arrivals=2, effects=2)).twice


@pytest.mark.parametrize(
    "told",
    [
        story(Kind.KEYED, *doubted(attempt("lease_lost", dispatched=True))),
        story(Kind.PROBE, *doubted(attempt("lease_lost", dispatched=True))),
        story(Kind.NONE, *doubted(attempt("lease_lost", dispatched=False))),
        story(Kind.NONE, *doubted(attempt("lease_lost", dispatched=True), error=None)),
        story(Kind.NONE, doubted(attempt("lease_lost", dispatched=True))[0], job(JobStatus.COMPLETED, step_id="s2")),
        story(Kind.NONE, *done(attempt("lease_lost", dispatched=True), attempt("completed", dispatched=True))),
    ],
    ids=["keyed", "probe", "never dispatched", "no evidence", "the next step ran", "certain without a reason"],
)
def test_a_claim_without_ground_is_noticed(told: Story) -> None:
    """Unknown where it could be known, without evidence, or not unknown where nobody can know."""
    assert judge(told).wrong


def mark(point: Point) -> Mark:
    """Return the mark of a death five seconds into the first attempt."""
    return Mark(point=point, plan_id="plan_1", job_id="job_s1", pid=PID, at=BEGAN.timestamp() + 5)


def test_a_death_that_was_not_where_it_was_meant_to_be_is_noticed() -> None:
    """The attempt that died must stand in the store's record, on the right side of the dispatch record."""
    before, after = attempt("lease_lost", dispatched=False), attempt("lease_lost", dispatched=True)
    assert about_death(job(JobStatus.COMPLETED, before), mark(Point.AFTER_CLAIM)) == []
    assert about_death(job(JobStatus.COMPLETED, after), mark(Point.MID_EFFECT)) == []
    assert about_death(job(JobStatus.COMPLETED, after), mark(Point.AFTER_CLAIM))
    assert about_death(job(JobStatus.COMPLETED, before), mark(Point.MID_EFFECT))
    assert about_death(job(JobStatus.COMPLETED, replace(after, worker_id="m-1-abc")), mark(Point.MID_EFFECT))
    assert about_death(job(JobStatus.COMPLETED, after), mark(Point.AFTER_SETTLE))
    assert about_death(job(JobStatus.COMPLETED), mark(Point.AFTER_SETTLE)) == []


def test_recovery_is_the_time_until_the_job_is_in_hand_again() -> None:
    """From the death to the next attempt's start, or to the moment at which it was known to be unknown."""
    lost = attempt("lease_lost", dispatched=True)
    again = attempt("completed", dispatched=True, number=2, seconds=14, pid=PID + 1)
    assert recovery_s(job(JobStatus.COMPLETED, lost, again), mark(Point.MID_EFFECT)) == pytest.approx(9)
    assert recovery_s(job(JobStatus.UNKNOWN, lost), mark(Point.MID_EFFECT)) == pytest.approx(7)
    assert recovery_s(job(JobStatus.COMPLETED), mark(Point.AFTER_SETTLE)) == 0


def test_a_trap_springs_for_its_own_moment_and_once(tmp_path: Path) -> None:
    """Another point, another action, a later attempt or a mark that is there already leave it shut."""
    trap = Trap(point=Point.AFTER_CLAIM, action_id="email.send", mark=tmp_path / "mark", triggers=tmp_path)
    assert trap.meant_for(Point.AFTER_CLAIM, "email.send", 1)
    assert not trap.meant_for(Point.AFTER_SETTLE, "email.send", 1)
    assert not trap.meant_for(Point.AFTER_CLAIM, "webhook.post", 1)
    assert not trap.meant_for(Point.AFTER_CLAIM, "email.send", 2)
    leave(trap.mark, mark(Point.AFTER_CLAIM))
    assert not trap.meant_for(Point.AFTER_CLAIM, "email.send", 1)


def test_every_cell_comes_once_before_any_comes_again() -> None:
    """The short form covers every point with every kind; the long form goes round."""
    assert Counter(deaths(len(CELLS), 1)) == Counter(CELLS)
    assert set(Counter(deaths(3 * len(CELLS), 2)).values()) == {3}
    assert {cell.point for cell in CELLS} == set(Point)


def test_a_log_that_cannot_be_written_does_not_stop_the_work() -> None:
    """Where the log's disk is full, lines are lost and nothing is raised."""
    script = (
        "import logging, structlog\n"
        "from steward.logs import configure_logs\n"
        "configure_logs()\n"
        "for _ in range(200):\n"
        "    structlog.get_logger('steward.test').info('x' * 100)\n"
        "    logging.getLogger('another.library').warning('y' * 100)\n"
        "print('alive')\n"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full, text=True, check=False, timeout=40
        )
    assert ended.stdout == "alive\n"


@pytest.mark.anyio
async def test_a_process_starts_while_another_program_writes(tmp_path: Path) -> None:
    """A database that stands at this version's schema is only read at start, so a long write cannot keep workers away."""
    async with installation(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "steward.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with installation(tmp_path) as house:
            assert await house.app.engine.dispatcher.depth() == {}
        other.execute("ROLLBACK")
