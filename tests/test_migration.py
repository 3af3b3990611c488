"""The proof of the migration in its short form, and proof that those who look on would notice."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chaos.onlookers import Onlookers

ROOT = Path(__file__).parent.parent
DEATHS = {"server", "worker"}


@pytest.mark.slow
@pytest.mark.timeout(170)
def test_w29_nobody_notices_while_keys_are_moved_there_and_back() -> None:
    """No read misses a job, no list shows one twice or leaves one out, no status goes stale, and every message arrives once."""
    command = [sys.executable, "-m", "chaos.migration", "--jobs", "30", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=160)
    assert ended.stdout, ended.stderr[-4000:]
    report = json.loads(ended.stdout)
    assert report["problems"] == []
    must_not_be = ("missed", "twice", "left_out", "stale", "lost", "missing", "different")
    assert {name: report[name] for name in must_not_be} == dict.fromkeys(must_not_be, 0)
    assert report["kills"].keys() >= DEATHS
    assert min(report[name] for name in ("reads", "walks", "writes", "moves", "compared", "retired")) > 0
    assert ended.returncode == 0
    assert re.search(r"^Round 1 of 1: \d+\.\d s, problems so far: 0\.$", ended.stderr, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(100)
def test_a_run_that_is_cut_off_says_how_far_it_came() -> None:
    """Its counts so far, a plain sentence and the exit code of an interruption, and no traceback."""
    command = [sys.executable, "-m", "chaos.migration", "--jobs", "30", "--rounds", "9"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does, to all that it has started too
        shown, told = running.communicate(timeout=60)
    assert first.endswith("old jobs for the next 4 of 9 rounds.\n")
    assert "Moving keys 0 times" in shown
    assert told.endswith("Cut off after 0 of 9 rounds; these are the counts so far.\n")
    assert "Traceback" not in told
    assert running.returncode == 130


def onlookers(*known: str) -> Onlookers:
    """Return those who look on in a workspace with these jobs."""
    return Onlookers("acme", httpx2.AsyncClient(), list(known))


def shown(job_id: str, status: str) -> dict[str, Any]:
    """Return a job as an answer shows it."""
    return {"job_id": job_id, "status": status}


def test_a_list_that_is_wrong_is_noticed() -> None:
    """One job twice, or one that was there before the walk began and is not in it; what came meanwhile may be in it or not."""
    look = onlookers("a", "b")
    look._judge({"a", "b"}, Counter(["a", "b", "c"]))
    assert (look.twice, look.left_out, look.problems) == (0, 0, [])
    look._judge({"a", "b"}, Counter(["a", "a"]))
    assert (look.twice, look.left_out) == (1, 1)
    assert len(look.problems) == 2


def test_a_status_that_goes_back_is_noticed() -> None:
    """What was seen ended stays as it ended; only what had been seen before the question counts."""
    look = onlookers("a")
    look._look(shown("a", "running"), {})
    look._look(shown("a", "completed"), {})
    look._look(shown("a", "running"), {})
    assert look.stale == 0
    for status in ("running", "pending", "failed"):
        look._look(shown("a", status), {"a": "completed"})
    assert look.stale == 3
