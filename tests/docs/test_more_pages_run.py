"""The pages that need more than a folder: a Redis, a PostgreSQL, a language model that nobody asks."""

import io
import os
from contextlib import closing, redirect_stdout, suppress
from pathlib import Path

import psycopg
import pytest
from chaos.legacy import plant

from steward.settings import Settings
from tests.docs.reading import DOCS, ROOT, blocks_of, commands_in
from tests.docs.stage import Stage
from tests.docs.test_pages_run import PAYING, perform
from tests.docs.test_pages_run import shell as shell_fixture
from tests.docs.test_pages_run import stage as stage_fixture
from tests.installation import SECRET
from tests.postgresql import server
from tests.redis_server import shared_server

pytestmark = pytest.mark.slow
shell, stage = shell_fixture, stage_fixture


def test_moving_keys(stage: Stage) -> None:
    """The way forward and the way back, command by command, on what the older software left in a Redis."""
    database, empty = shared_server().new_database(), shared_server().new_database()
    with closing(shared_server().client(database)) as raw, redirect_stdout(io.StringIO()):
        plant(raw, workspaces=("acme", "beta"), jobs=20, odd=False)
    stage.env |= {
        "REDIS_URL": shared_server().url(database),
        "REDIS_EFFECT_SAFETY": "fast",
        "STEWARD_SECRET_KEY": SECRET,
    }
    stage.env["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
    stage.words |= {"redis://127.0.0.1:6379/1": shared_server().url(empty), "--jobs 100000": "--jobs 50"}
    stage.shell.use(stage.env)
    stage.type("steward worker")
    stage.close()
    perform(stage, "how-to/migrate-keys.md")
    assert "Phase: new-read" in "".join(stage.said)


def test_work_in_redis(stage: Stage) -> None:
    """Steward starts on the page's address, in every form that it shows, and the doctor repairs nothing that is whole."""
    url = shared_server().url(shared_server().new_database())
    stage.words["redis://steward:password@cache.example.com:6379/0"] = url
    stage.env["REDIS_EFFECT_SAFETY"] = "fast"
    other = 0
    for block in blocks_of(DOCS / "how-to/redis.md"):
        if block.language == "":
            assert set(block.text.splitlines()) <= set((ROOT / "deploy/redis/redis.conf").read_text().splitlines())
        elif "steward" in "".join(line.split("=")[0] for line in commands_in(block)):
            stage.perform(block)
        else:
            for line in commands_in(block):
                address = line.split("=", 1)[1].strip("'").replace("/etc/steward/ca.pem", str(_authority(stage.folder)))
                assert Settings.load({"STEWARD_SECRET_KEY": SECRET, "REDIS_URL": address}).redis_url is not None
                other += 1
    assert other == 3


def _authority(folder: Path) -> Path:
    file = folder / "ca.pem"
    file.touch()
    return file


def test_everything_in_postgresql(stage: Stage) -> None:
    """The administrator's statements are ones that PostgreSQL takes, and Steward starts on what they make."""
    with server().administrator() as administrator:
        for block in blocks_of(DOCS / "how-to/postgresql.md"):
            if block.language == "sql":
                for statement in block.text.split(";\n"):
                    with suppress(psycopg.errors.DuplicateObject):  # roles that the tests' server was made with
                        administrator.execute(statement.encode())
    stage.words["postgresql://steward:password@db.example.com:5432/steward?sslmode=verify-full"] = server().url(
        "steward"
    )
    for block in blocks_of(DOCS / "how-to/postgresql.md"):
        if block.language == "sh":
            stage.perform(block)
    with server().administrator() as administrator:
        stage.close()
        administrator.execute("DROP DATABASE steward WITH (FORCE)")


def test_a_language_model(stage: Stage) -> None:
    """Steward starts with the model that the page names, and nobody asks it; the page's plan is one."""
    stage.words["OPENAI_API_KEY=…"] = "OPENAI_API_KEY=the-key-of-nobody"
    perform(stage, "how-to/language-model.md")


def test_a_plan_that_is_written_by_hand(stage: Stage) -> None:
    """The reference's plan is one."""
    perform(stage, "reference/plan-language.md")


def test_the_policy_of_a_decision(stage: Stage) -> None:
    """The two rules that the decision about asking shows can be put."""
    (stage.folder / "paying.py").write_text(PAYING)
    stage.up(STEWARD_ACTIONS="paying")
    perform(stage, "adr/0010-ask-is-made-of-two-questions-to-cedar.md")


def test_after_a_restore(stage: Stage) -> None:
    """What somebody looks at before workers start can be looked at; the scripts have tests of their own."""
    stage.up()
    block = blocks_of(DOCS / "how-to/back-up-and-restore.md")[-1]
    stage.perform(block)
    assert len(stage.said) == 2


def test_a_route_that_says_whose_it_is(stage: Stage) -> None:
    """The page's route can be declared as it stands there."""
    (route,) = [block for block in blocks_of(DOCS / "how-to/isolation-audit.md") if block.language == "python"]
    stage.perform(route)
