"""``steward schema`` on the machine: what it prints, what it leaves alone, how it ends, and that it can be stopped."""

import asyncio
import io
import signal
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from chaos.legacy import Planted, plant

from steward.bootstrap import open_application
from steward.key_schema import BackfillProgress
from steward.schema_metrics import backfill_series
from steward.settings import Settings
from steward.telemetry import UNSCOPED
from tests.cli.conftest import Process, Shell, environment
from tests.redis_server import shared_server

SECRET = "a secret key for tests that is long enough"
JOBS = 60


@pytest.fixture
def database() -> int:
    """Return the number of an empty database of the shared server."""
    return shared_server().new_database()


@pytest.fixture
def raw(database: int) -> Iterator[Any]:
    """Return a plain client, to look past the commands."""
    with closing(shared_server().client(database)) as client:
        yield client


@pytest.fixture
def env(tmp_path: Path, database: int) -> dict[str, str]:
    """Return the settings of a machine whose work is in that database."""
    redis = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    return environment(tmp_path, STEWARD_SECRET_KEY=SECRET, **redis)


@pytest.fixture
def machine(shell: Shell, env: dict[str, str]) -> Shell:
    """Return a shell on that machine."""
    shell.use(env)
    return shell


def left(env: dict[str, str], raw: Any, *, jobs: int = JOBS, odd: bool = False) -> Planted:
    """Plant what the older software left, and return it once a process has been started on it."""
    planted = plant(raw, workspaces=("acme", "beta"), jobs=jobs, odd=odd)

    async def start() -> None:
        ours = {row.variable for row in Settings.table()}
        async with open_application(Settings.load({name: env[name] for name in ours & env.keys()})):
            pass

    with redirect_stdout(io.StringIO()):
        asyncio.run(start())
    return planted


def everything_moved(machine: Shell, *more: str) -> Any:
    """Backfill to the end, and return what it counted."""
    return machine.json("schema", "backfill", "--execute", "--rps", "100000", "--accept-invalid", *more)


def current_keys(raw: Any, planted: Planted) -> int:
    """Return how many planted jobs have a current key."""
    return sum(raw.exists(f"ai:job:{job.workspace_id}:{job.job_id}") for job in planted.movable)


def test_the_way_from_old_keys_to_new_ones(machine: Shell, env: dict[str, str], raw: Any) -> None:
    """Status, dry run, backfill, verify, forward to new keys alone, and the old ones removed."""
    planted = left(env, raw)
    assert machine.json("schema", "status")["phase"] == "legacy-read"
    begun = current_keys(raw, planted)  # what waited or ran was taken over at the start
    dry = machine.json("schema", "backfill", "--rps", "100000")
    assert (dry["executed"], current_keys(raw, planted)) == (False, begun)
    assert begun < len(planted.movable)
    assert dry["scanned"] >= JOBS
    done = everything_moved(machine)
    assert (done["migrated"], done["errors"], done["finished"]) == (dry["migrated"], 0, True)
    assert current_keys(raw, planted) == len(planted.movable)
    assert machine.json("schema", "verify")["clean"] is True
    for phase in ("new-read", "new-only"):
        assert machine.json("schema", "advance", "--to", phase)["phase"] == phase
    gone = machine.json("schema", "retire", "--execute", "--rps", "100000")
    assert (gone["kept"], gone["finished"]) == (0, True)
    assert not any(raw.exists(job.key) for job in planted.movable)
    assert current_keys(raw, planted) == len(planted.movable)
    shown = machine.steward("schema", "status")
    assert shown.code == 0
    assert "new-only" in shown.out


def test_w33_retiring_is_a_dry_run_first_and_leaves_new_keys_alone(
    machine: Shell, env: dict[str, str], raw: Any
) -> None:
    """Without --execute nothing goes; with it only old keys go, and of those only verified ones."""
    planted = left(env, raw, odd=True)
    everything_moved(machine)
    machine.steward("schema", "verify", "--accept-invalid")
    machine.json("schema", "advance", "--to", "new-read")
    machine.json("schema", "advance", "--to", "new-only", "--accept-invalid")
    before = raw.dbsize()
    dry = machine.json("schema", "retire", "--accept-invalid")
    assert (dry["removed"], raw.dbsize()) == (0, before)
    assert dry["removable"] >= len(planted.movable)
    told = machine.steward("schema", "retire", "--accept-invalid")
    assert f"{dry['removable']} can be removed, 0 removed, {dry['kept']} kept" in told.out + told.err
    kept = machine.steward("schema", "retire", "--execute", "--rps", "100000")
    assert kept.code == 1
    assert current_keys(raw, planted) == len(planted.movable)
    assert all(raw.exists(key) for key in planted.left_behind)
    assert not any(raw.exists(job.key) for job in planted.movable)


def test_w32_a_comparison_ends_with_0_only_if_there_is_no_difference(
    machine: Shell, env: dict[str, str], raw: Any
) -> None:
    """Missing: 1, and it says which; equal: 0; a copy changed behind Steward's back: 1 again."""
    planted = left(env, raw)
    missing = machine.steward("schema", "verify")
    assert (missing.code, "missing" in missing.out) == (1, True)
    everything_moved(machine)
    assert machine.steward("schema", "verify").code == 0
    job = next(job for job in planted.jobs if job.written == "completed")
    raw.hset(f"ai:job:{job.workspace_id}:{job.job_id}", "status", "failed")
    different = machine.steward("schema", "verify")
    assert (different.code, job.job_id in different.out) == (1, True)


def test_w137_it_does_not_end_with_0_where_something_could_not_be_moved(
    machine: Shell, env: dict[str, str], raw: Any
) -> None:
    """Invalid records: 1, dry or not, unless they are accepted."""
    planted = left(env, raw, odd=True)
    for arguments in ((), ("--execute",)):
        ended = machine.steward("schema", "backfill", "--rps", "100000", *arguments)
        assert ended.code == 1
        assert f"{len(planted.left_behind)} records" in ended.err
        assert machine.steward("schema", "backfill", "--rps", "100000", "--accept-invalid", *arguments).code == 0
    assert machine.steward("schema", "verify").code == 1
    assert machine.steward("schema", "verify", "--accept-invalid").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        *(("backfill", option, value) for option in ("--rps", "--batch", "--max-keys") for value in ("0", "-1", "x")),
        *(("retire", option, value) for option in ("--rps", "--batch") for value in ("0", "-1")),
        *((command, "--workspace", value) for command in ("backfill", "verify") for value in ("ACME", "a:b", "")),
        ("advance",),
        ("advance", "--to", "newest"),
    ],
)
def test_w137_what_cannot_be_meant_is_wrong_usage(machine: Shell, raw: Any, arguments: tuple[str, ...]) -> None:
    """Nothing and less is not "without a limit", and a workspace that is none is not "all"."""
    assert machine.steward("schema", *arguments).code == 2
    assert raw.dbsize() == 0


def test_w133_limited_runs_move_everything_in_the_end(machine: Shell, env: dict[str, str], raw: Any) -> None:
    """Each goes on where the last one stopped, until there is nothing left, and says which it is."""
    planted = left(env, raw)
    moved, runs = 0, 0
    while current_keys(raw, planted) < len(planted.movable):
        done = everything_moved(machine, "--max-keys", "17")
        moved, runs = moved + done["migrated"], runs + 1
        assert done["migrated"] <= 17
        assert runs < 10
    assert runs > 2
    assert machine.json("schema", "verify")["clean"] is True


def test_w137_a_dry_run_counts_everything_wherever_the_last_run_stopped(
    machine: Shell, env: dict[str, str], raw: Any
) -> None:
    """The kept place is of runs that write. Redis may name a key twice while its table grows, and leaves none out."""
    left(env, raw)
    whole = machine.json("schema", "backfill", "--rps", "100000")
    everything_moved(machine, "--max-keys", "20")
    again = machine.json("schema", "backfill", "--rps", "100000")
    assert again["scanned"] >= len(raw.keys("ai:jobs:*"))
    assert again["skipped_exists"] >= 20
    assert again["migrated"] + again["skipped_exists"] >= whole["migrated"] + whole["skipped_exists"] - 2


def test_w111_counts_are_printed_under_names_of_metrics_and_no_strange_workspace_is_one(
    machine: Shell, env: dict[str, str], raw: Any
) -> None:
    """Nobody scrapes a command, so it prints; whatever stands as the workspace of an invalid record, the label says invalid."""
    planted = left(env, raw, odd=True)
    shown = machine.steward("schema", "backfill", "--rps", "100000")
    for name in ("scanned", "migrated", "skipped", "errors", "operations"):
        assert f"ai_backfill_{name}_total" in shown.out
    assert (
        f'ai_backfill_skipped_total{{reason="invalid",workspace_id="invalid"}} {len(planted.left_behind)}\n'
        in shown.out
    )
    for strange in ("ACME", "7f9c24e8", "acme corp", "ünïcode", "nobodys"):
        assert strange not in shown.out


def test_a_label_is_attached_only_where_the_settings_say_so() -> None:
    """The series of a backfill carry the label that they are given, and invalid records always their own."""
    progress = BackfillProgress(9, 8, 4, 2, 1, 1, 30, "x", finished=False)
    series = backfill_series(progress, UNSCOPED)
    assert list(series.values()) == [8, 4, 2, 1, 1, 30]
    assert all(UNSCOPED in name for name in series if "invalid" not in name and "operations" not in name)


def test_it_says_how_far_it_is_where_nobody_watches(machine: Shell, env: dict[str, str], raw: Any) -> None:
    """Without a terminal there are plain lines with the count, the rate and the time left, on standard error alone."""
    left(env, raw)
    ended = machine.steward("schema", "backfill", "--batch", "20", "--rps", "100000")
    assert "jobs, " in ended.err
    assert "a second" in ended.err
    assert "a second" not in ended.out


def test_ctrl_c_keeps_the_place_and_says_so(machine: Shell, env: dict[str, str], raw: Any) -> None:
    """130, where it stopped, and the command that goes on; what was moved stays moved."""
    planted = left(env, raw, jobs=400)
    process = Process.start(env, "schema", "backfill", "--execute", "--rps", "200", "--batch", "10")
    try:
        process.log.wait_for(" to new keys")
        process.popen.send_signal(signal.SIGINT)
        process.log.wait_for("The place is kept")
        assert process.ended() == 130
        process.log.wait_for("steward schema backfill --execute")
    finally:
        process.close()
    some = current_keys(raw, planted)
    assert 0 < some < len(planted.movable)
    rest = everything_moved(machine)
    assert rest["finished"] is True
    assert current_keys(raw, planted) == len(planted.movable)


def test_before_the_first_start_it_only_looks(machine: Shell, raw: Any) -> None:
    """A dry run counts; whatever would change something says to start a server first, and changes nothing."""
    plant(raw, jobs=JOBS, workspaces=("acme",), odd=False)
    before = raw.dbsize()
    assert machine.json("schema", "backfill", "--rps", "100000")["migrated"] == JOBS
    assert machine.json("schema", "status")["recorded"] is False
    assert "legacy-read if there are old ones" in machine.steward("schema", "status").out  # which it does not look for
    for command in (("advance", "--to", "new-read"), ("back",), ("backfill", "--execute"), ("verify",)):
        ended = machine.steward("schema", *command)
        assert (ended.code, "start a server" in ended.err) == (1, True)
    assert not raw.exists("ai:job:acme:x")
    assert raw.dbsize() - before <= 2  # how long calls took is counted


def test_without_redis_it_says_what_is_missing(shell: Shell, tmp_path: Path) -> None:
    """Wrong usage, with the variable's name."""
    shell.use(environment(tmp_path, STEWARD_SECRET_KEY=SECRET))
    for command in ("status", "back", "backfill", "verify", "retire"):
        ended = shell.steward("schema", command)
        assert (ended.code, "REDIS_URL" in ended.err) == (2, True)


def test_a_person_reads_no_log_of_what_goes_well(machine: Shell, env: dict[str, str], raw: Any) -> None:
    """Beside the answer, standard error holds warnings alone."""
    left(env, raw, jobs=2)
    ended = machine.steward("schema", "advance", "--to", "new-read")
    assert (ended.code, "info" in ended.err) == (0, False)
