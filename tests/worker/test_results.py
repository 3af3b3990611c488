"""What becomes of what an action returns: kept as JSON within bounds, shown redacted, given on in full."""

import math
from pathlib import Path
from typing import Annotated, Any

import pytest

from steward.action import ActionFailed, RetryMode
from steward.actions import Content, action
from steward.job import JobStatus
from steward.plan import MAX_RESULT_BYTES
from steward.redaction import REDACTED
from steward.views import job_detail
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import Deeds, note, post

pytestmark = pytest.mark.anyio
S = JobStatus
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "result",
    [
        "x" * MAX_RESULT_BYTES,
        math.nan,
        {"deep": {"rate": math.inf}},
        object(),
        b"\xff\xfe",
        "half of a character: \ud800",
        DEEP,
    ],
    ids=["too large", "nan", "infinity", "object", "bytes", "surrogate", "too deep"],
)
async def test_a_result_that_cannot_be_kept(house: Installation, result: Any) -> None:
    """A write is done all the same and says that its result was not kept; a read, which is its result, fails."""

    @action("deeds.write", effect="write", retry="keyed")
    async def write() -> Any:
        """Do it and return something odd."""
        return result

    house.add(write, Deeds().read(result=result))
    submitted = await house.submit(planned("deeds.write"), planned("deeds.read"))
    wrote, read = await house.run_until_settled(submitted.plan_id)
    assert (wrote.status, wrote.attempts) == (S.COMPLETED, 1)
    assert "was not kept" in wrote.result["note"]
    assert (read.status, read.error and read.error.code) == (S.FAILED, "result_too_large")


async def test_a_result_of_exactly_the_limit_is_kept(house: Installation) -> None:
    """64 KiB of JSON, quotes included, is still a result."""
    text = "x" * (MAX_RESULT_BYTES - 2)
    house.add(Deeds().read(result=text))
    submitted = await house.submit(planned("deeds.read"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.result == text


async def test_w139_results_are_shown_redacted_and_given_on_in_full(house: Installation) -> None:
    """What looks secret in a result is masked wherever it is read, while the next step gets the real value."""
    done: list[Any] = []
    token = "ghp_abcdefghijklmnop1234567890"  # gitleaks:allow
    house.add(note(done), Deeds().read(result={"text": f"use {token}"}))
    submitted = await house.submit(planned("deeds.read"), planned("deeds.note", text={"$ref": "steps.s1.result.text"}))
    jobs = await house.run_until_settled(submitted.plan_id)
    assert done == [f"use {token}"]
    assert jobs[0].result == {"text": f"use {REDACTED}"}
    events = await house.events()
    assert token not in str([job_detail(job) for job in jobs]) + str(events)


async def test_w139_a_secret_never_lies_anywhere_in_clear(
    tmp_path: Path, clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """A parameter of the secret role is sealed in every copy: database files, documents, events, jobs, logs.

    The sentence that named it is kept masked, too, and the action still gets the real value.
    """
    done: list[Any] = []
    secret = "plain-word-nobody-would-mask"
    async with installation(tmp_path, clock=clock) as house:
        house.add(post(done))
        drafted = await house.plan(f"deliver 'good morning' to office@example.com with key {secret}")
        assert drafted["status"] == "draft", drafted
        assert drafted["steps"][0]["params"] == {"to": "office@example.com", "key": REDACTED, "text": "good morning"}
        assert REDACTED in drafted["prompt"]
        preview = await house.app.orchestrator.preview(
            await house.member(), "deeds.post", {"to": "office@example.com", "key": secret}, "req-test"
        )
        executed = await house.execute(drafted["plan_id"])
        direct = await house.submit(planned("deeds.post", to="office@example.com", key=secret))
        shown = [drafted, preview]
        for submitted in (executed, direct):
            jobs = await house.run_until_settled(submitted.plan_id)
            assert [job.status for job in jobs] == [S.COMPLETED]
            shown.append(await house.app.orchestrator.show_plan(await house.member(), submitted.plan_id))
            shown += [job_detail(job) for job in jobs]
        assert sorted(done) == [("office@example.com", secret, "good morning"), ("office@example.com", secret, "hello")]
        seen = str(shown) + str(await house.events()) + repr(house.app.vault)
        assert secret not in seen
        raw = house.stored_bytes()
        assert b"office@example.com" in raw, "the files that were looked through are the right ones"
        assert secret.encode() not in raw
    assert secret.encode() not in house.stored_bytes()
    captured = capfd.readouterr()
    assert secret not in captured.out + captured.err


async def test_w21_parameters_and_results_are_sealed_in_the_database(tmp_path: Path, clock: FakeClock) -> None:
    """W21: content is not secret, yet its stored executable copy is sealed, and gone when the plan has ended."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))
        submitted = await house.submit(planned("deeds.note", text="a"))
        store = house.app.engine.open(await house.member())
        running = await store.get_plan(submitted.plan_id)
        assert running is not None
        assert running.body_sealed is not None
        await house.run_until_settled(submitted.plan_id)
        ended = await store.get_plan(submitted.plan_id)
        assert ended is not None
        assert ended.body_sealed is None


@pytest.mark.parametrize(
    "detail",
    ["half \ud800", "x" * 100_000, "password=hunter2 and more", "line\r\nbreak\0"],
    ids=["surrogate", "huge", "secret", "control"],
)
async def test_what_an_action_says_about_a_failure_is_kept_bounded_and_redacted(
    house: Installation, detail: str
) -> None:
    """Whatever an error's text is, the job fails once, with a short detail that can be stored and shown."""
    deeds = Deeds(fails=[ActionFailed("refused", detail)])
    house.add(deeds.write("deeds.do", RetryMode.NONE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.attempts) == (S.FAILED, 1)
    assert job.error is not None
    assert job.error.code == "refused"
    assert len(job.error.detail) <= 500
    assert "hunter2" not in job.error.detail


async def test_results_pass_through_three_steps(house: Installation) -> None:
    """Values keep their JSON types on the way."""
    got: list[Any] = []

    @action("deeds.pass_on", effect="read")
    async def pass_on(value: Annotated[Any, Content]) -> dict[str, Any]:
        """Give back what it was given."""
        got.append(value)
        return {"value": value}

    house.add(pass_on)
    value = {"list": [1, 2.5, None, True, {"ä": "ö"}]}
    submitted = await house.submit(
        planned("deeds.pass_on", value=value),
        planned("deeds.pass_on", value={"$ref": "steps.s1.result.value"}),
        planned(
            "deeds.pass_on", value=[{"$ref": "steps.s2.result.value.list[4]"}, {"in": {"$ref": "steps.s1.result"}}]
        ),
    )
    await house.run_until_settled(submitted.plan_id)
    assert got == [value, value, [{"ä": "ö"}, {"in": {"value": value}}]]
