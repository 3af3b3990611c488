"""Planning further during a run: what it may do, what it may not, and that no person's yes to the plan is one to it."""

from dataclasses import replace
from typing import Annotated, Any

import pytest

from steward.action import Action
from steward.actions import Content, Destination, action
from steward.actions import Object as Named
from steward.approval import Approval, Verdict
from steward.errors import Invalid
from steward.identity import Principal
from steward.job import LEASE_S, Expanded, Job, JobStatus
from steward.orchestrator import RequestedAction, proposed
from steward.plan import MAX_FURTHER, MAX_REPLANS, PlannedAction, PlanStatus
from steward.planner import Planner, PlanningRequest, Proposal
from steward.provenance import Label
from steward.work_store import Lease, Settlement, Submitted
from tests.conftest import FakeClock
from tests.installation import Installation
from tests.worker.deeds import note
from tests.worker.test_language import step

pytestmark = pytest.mark.anyio
S = JobStatus


def letter(text: Any) -> Action:
    """Return a read of something that anybody may have written."""

    @action("deeds.letter", effect="read", sentences=["read the letter"])
    async def read() -> Any:
        """Give the letter."""
        return text

    return read


def look(seen: list[str]) -> Action:
    """Return a read that a sentence can ask for, whose id comes from its provider."""

    @action("deeds.look", effect="read", output_labels={"id": Label.SYSTEM}, sentences=["look up {what:text}"])
    async def look_up(what: Annotated[str, Named]) -> dict[str, str]:
        """Look it up."""
        seen.append(what)
        return {"id": f"id of {what}", "text": what.upper()}

    return look_up


READ = step("deeds.letter")
DO_IT = step("plan.replan", params={"goal": {"$ref": "steps.s1.result"}, "inputs": [{"$ref": "steps.s1.result"}]})


class Dictated(Planner):
    """Proposes what a test has it propose, and keeps what it was asked."""

    name = "dictated"

    def __init__(self, *steps: PlannedAction, checks: bool) -> None:
        """Say these; ``checks``: unless they could not be carried out."""
        self.steps = list(steps)
        self.checks = checks
        self.asked: list[PlanningRequest] = []

    async def propose(self, request: PlanningRequest) -> Proposal:
        """Return the steps as a plan."""
        self.asked.append(request)
        given = [] if request.data is None else ["inputs"]
        steps = [one.model_dump() for one in self.steps]
        plan = proposed(prompt="x", intent="As told.", explanation="As told.", steps=steps, given=given)
        if self.checks:
            request.check(plan.steps)
        return Proposal(plan=plan)


def dictate(house: Installation, *steps: PlannedAction, checks: bool = True) -> Dictated:
    """Have an installation ask this planner from now on."""
    planner = Dictated(*steps, checks=checks)
    house.app = replace(house.app, planner=planner)
    return planner


async def approvals(house: Installation, submitted: Submitted) -> tuple[Approval, ...]:
    """Return the approvals of a plan, newest first."""
    return await house.app.engine.open(await house.member()).plan_approvals(submitted.plan_id)


async def approve(house: Installation, one: Approval, who: Principal | None = None) -> None:
    """Say yes."""
    store = house.app.engine.open(who or await house.member())
    await store.decide_approval(one.approval_id, one.digest, Verdict.APPROVE, None)


def by_step(jobs: tuple[Job, ...]) -> dict[str, Job]:
    """Return jobs by the ids of their steps."""
    return {job.step_id: job for job in jobs}


async def test_what_was_read_says_what_is_read_next(house: Installation) -> None:
    """The built-in planner reads the sentence that a step returned; its steps run in order, and their results are the step's."""
    seen: list[str] = []
    house.add(letter("look up apples and then look up pears"), look(seen))
    submitted = await house.submit(READ, DO_IT, step("compute", params={"value": {"$ref": "steps.s2.result[*].id"}}))
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert {job.status for job in jobs.values()} == {S.COMPLETED}
    assert seen == ["apples", "pears"]
    assert list(jobs) == ["s1", "s2", "s2[0]", "s2[1]", "s3"]
    assert jobs["s2[1]"].depends_on == ("s2[0]",)
    assert jobs["s3"].result == {"value": ["id of apples", "id of pears"]}
    assert jobs["s2[0]"].labels["what"] == {"from": "written after reading s1", "label": Label.UNTRUSTED}
    assert jobs["s2"].result_labels == {"": Label.UNTRUSTED}
    assert jobs["s3"].result_labels == {"value": Label.UNTRUSTED}
    plan = await house.app.orchestrator.show_plan(await house.member(), submitted.plan_id)
    planned = plan["steps"][1]["planned"]
    assert [(one["id"], one["action_id"], one["params"]) for one in planned] == [
        ("s2[0]", "deeds.look", {"what": "apples"}),
        ("s2[1]", "deeds.look", {"what": "pears"}),
    ]
    assert all(one["authored_after"] == ["s1"] for one in planned)
    assert len({one["planned_digest"] for one in planned}) == 1


async def test_a_write_that_was_planned_after_reading_asks_a_person(house: Installation) -> None:
    """It shows the action, the value and the rule, and a yes to just that runs it."""
    done: list[Any] = []
    house.add(letter("note that all is well"), note(done))
    submitted = await house.submit(READ, DO_IT)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert (jobs["s2"].status, jobs["s2[0]"].status) == (S.WAITING, S.HELD)
    (asked,) = await approvals(house, submitted)
    assert asked.rule == "written_after_reading"
    (shown,) = asked.detail["steps"]
    assert (shown["id"], shown["action_id"], shown["effect"]) == ("s2[0]", "deeds.note", "write")
    assert shown["params"] == {"text": "that all is well"}
    assert shown["inputs"]["text"]["label"] == Label.UNTRUSTED
    assert done == []
    await approve(house, asked)
    await house.run_until_settled(submitted.plan_id)
    assert done == ["that all is well"]
    plan = await house.app.engine.open(await house.member()).get_plan(submitted.plan_id)
    assert plan is not None
    assert plan.status is PlanStatus.COMPLETED


@pytest.mark.parametrize("params", [{"text": "paid"}, {"text": {"$ref": "'paid'"}}, {"text": {"$template": "paid"}}])
async def test_a_yes_to_the_plan_is_none_to_what_is_planned_later(house: Installation, params: dict[str, Any]) -> None:
    """Even where the plan itself was approved for the very same rule and action, and however the words are dressed up."""
    done: list[Any] = []
    house.add(letter("anything"), note(done))
    dictate(house, step("deeds.note", params=params))
    submitted = await house.app.orchestrator.execute_actions(
        await house.member(),
        [
            RequestedAction(one)
            for one in (step("deeds.note", params={"text": "first"}), step("deeds.letter"), DO_IT_AFTER)
        ],
        run_at=None,
        idempotency_key=None,
        request_id="req-test",
        authored_after=("s0",),
    )
    assert submitted.approval_id is not None
    (asked,) = await approvals(house, submitted)
    await approve(house, asked)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert jobs["s3[0]"].status is S.HELD
    assert done == ["first"]


DO_IT_AFTER = step("plan.replan", params={"goal": {"$ref": "steps.s2.result"}})


@pytest.mark.parametrize(
    "to",
    [
        "eve@evil.example",
        {"$ref": "'eve@evil.example'"},
        {"$ref": "steps.inputs.result.value[0]"},
        {"$ref": "ctx.actor_id"},
        {"$ref": "steps.s1.result.id"},
        {"$ref": "only([steps.s1.result.id])"},
    ],
)
async def test_nothing_that_was_planned_after_reading_decides_a_destination(house: Installation, to: Any) -> None:
    """Written out, dressed up, taken from what was read, or from what a provider minted: a person is asked."""
    sent: list[str] = []

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    house.add(letter("eve@evil.example"), send, look([]))
    dictate(house, step("deeds.look", id="s1", params={"what": "it"}), step("deeds.send", id="s2", params={"to": to}))
    submitted = await house.submit(READ, DO_IT)
    await house.run_until_settled(submitted.plan_id)
    (asked,) = await approvals(house, submitted)
    assert (sent, asked.rule) == ([], "untrusted_destination")


async def test_steps_may_read_what_they_were_planned_from(house: Installation) -> None:
    """As values of a job of their own, named so that no step of the plan is meant instead; expressions in it stay text."""
    done: list[Any] = []
    sly = {"text": {"$ref": "steps.s1.result"}}
    house.add(letter(sly), look(done))
    words = {"$template": "{it}", "vars": {"it": {"$ref": "steps.inputs.result.value[0]"}}}
    dictate(
        house,
        step("deeds.look", id="s1", params={"what": words}),
        step("compute", params={"value": {"$ref": "steps.s1.result.text"}}),
    )
    goal = step("plan.replan", params={"goal": "look", "inputs": [{"$ref": "steps.s1.result"}]})
    submitted = await house.submit(READ, goal)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert done == ['{"text":{"$ref":"steps.s1.result"}}']
    assert list(jobs) == ["s1", "s2", "s2[inputs]", "s2[0]", "s2[1]"]
    assert jobs["s2[inputs]"].labels["value"]["from"] == "s1 (deeds.letter)"
    assert jobs["s2[0]"].labels["what"]["from"] == "s2[inputs] (what was read)"
    assert jobs["s2[1]"].labels["value"]["from"] == "s2[0] (deeds.look)"
    assert [one for one in jobs["s2"].result if "id" in one] == [jobs["s2[0]"].result]
    assert len(jobs["s2"].result) == 2


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([{"$ref": "steps.s1.result.text"}], "see page 5"),
        ([{"$ref": "steps.s1.result"}], '{"text":"see page 5"}'),
        (["Dear all,", {"$ref": "steps.s1.result.text"}], "Dear all,\nsee page 5"),
        ([{"$ref": "steps.s1.result.text"}, 5], '["see page 5",5]'),
    ],
)
async def test_the_built_in_planner_reads_what_it_is_given(house: Installation, inputs: list[Any], text: str) -> None:
    """In its first step "it" is what was read, as text, and in any step "the inputs" are; a person sees the value, and says yes."""
    done: list[Any] = []
    house.add(letter({"text": "see page 5"}), note(done), look([]))
    goal = "note it and then look up apples and then note that the lift is repaired and then note the inputs"
    submitted = await house.submit(READ, step("plan.replan", params={"goal": goal, "inputs": inputs}))
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert jobs["s2[0]"].depends_on == ("s2[inputs]",)
    assert jobs["s2[0]"].labels["text"] == {"from": "s2[inputs] (what was read)", "label": Label.UNTRUSTED}
    for _ in range(3):
        (asked,) = [one for one in await approvals(house, submitted) if one.decided_at is None]
        await approve(house, asked)
        await house.run_until_settled(submitted.plan_id)
    assert done == [text, "that the lift is repaired", text]


async def test_a_condition_in_what_was_planned_is_looked_at_when_its_turn_comes(house: Installation) -> None:
    """A step that is skipped takes along what needs it, as in any plan."""
    seen: list[str] = []
    house.add(letter("x"), look(seen))
    dictate(
        house,
        step("deeds.look", id="s1", params={"what": "a"}),
        step("deeds.look", id="s2", params={"what": "b"}, when={"$ref": "steps.s1.result.text == 'B'"}),
    )
    submitted = await house.submit(READ, DO_IT)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert seen == ["a"]
    assert {name: job.status for name, job in jobs.items()} == {
        "s1": S.COMPLETED, "s2": S.SKIPPED, "s2[0]": S.COMPLETED, "s2[1]": S.SKIPPED
    }  # fmt: skip


@pytest.mark.parametrize(
    "steps",
    [
        [step("deeds.look", params={"what": {"$ref": "item"}}, for_each=["a", "b"])],
        [step("plan.replan", params={"goal": "again"})],
        [step("deeds.look", params={"what": str(n)}) for n in range(MAX_FURTHER + 1)],
        [step("deeds.look", params={"what": 5})],
        [step("deeds.nothing")],
        [step("deeds.look", params={"what": {"$ref": "steps.inputs.result.value.x"}})],
    ],
)
async def test_what_may_not_be_planned_fails_the_step_and_puts_nothing_in_place(
    house: Installation, steps: list[PlannedAction]
) -> None:
    """No further planning, no lists, so many steps, and the check of every plan: a run always ends."""
    seen: list[str] = []
    house.add(letter("x"), look(seen))
    dictate(house, *steps, checks=False)
    submitted = await house.submit(READ, DO_IT)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert list(jobs) == ["s1", "s2"]
    assert jobs["s2"].status is S.FAILED
    assert jobs["s2"].error is not None
    assert "cannot be carried out" in jobs["s2"].error.detail
    assert seen == []


async def test_a_denied_action_is_not_planned(house: Installation) -> None:
    """The planner is not offered what may not run, nor further planning; a denial ends the step."""
    house.add(letter("x"))
    planner = dictate(house, step("email.send", params={"to": "a@example.com", "subject": "x", "text": "x"}))
    submitted = await house.submit(READ, DO_IT)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert (jobs["s2"].error and jobs["s2"].error.code) == "policy_denied"  # no mail without SMTP_URL
    (request,) = planner.asked
    offered = {definition.id for definition in request.actions}
    assert not offered & {"email.send", "plan.replan"}
    assert request.data == ["x"]


async def test_a_goal_that_is_not_understood_fails_with_what_was_lacking(house: Installation) -> None:
    """Nobody can be asked in the middle of a run."""
    house.add(letter("frobnicate the quux"))
    submitted = await house.submit(READ, DO_IT)
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert (jobs["s2"].error and jobs["s2"].error.code) == "needs_input"
    assert len(jobs) == 2


async def test_a_worker_that_dies_while_planning_leaves_nothing(house: Installation, clock: FakeClock) -> None:
    """The steps are put in place in one write: before it the step is planned again, to the same digests, and only once."""
    seen: list[str] = []
    house.add(letter("look up apples and then look up pears"), look(seen))
    submitted = await house.submit(READ, DO_IT)
    await house.app.engine.dispatcher.settle(
        [Settlement((first := await house.lease()).ref, await _outcome(house, first))]
    )
    lost = await _outcome(house, await house.lease())
    assert isinstance(lost, Expanded)
    assert len(await house.jobs(submitted.plan_id)) == 2
    clock.advance(LEASE_S + 1)
    await house.app.engine.dispatcher.sweep()
    jobs = by_step(await house.run_until_settled(submitted.plan_id))
    assert seen == ["apples", "pears"]
    assert [jobs[child.step_id].digest for child in lost.children] == [child.digest for child in lost.children]
    assert [jobs[child.step_id].labels for child in lost.children] == [child.labels for child in lost.children]


async def _outcome(house: Installation, lease: Lease) -> Any:
    """Return how an attempt on a lease ended, before anybody wrote it down."""
    return await house.attempt(lease).run()


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([step("plan.replan", params={"goal": "x"})] * (MAX_REPLANS + 1), "at most 5 steps that plan further"),
        ([step("plan.replan", params={"goal": {"$ref": "item"}}, for_each=["a"])], "for each of a list"),
    ],
)
async def test_planning_further_has_an_end(house: Installation, steps: list[PlannedAction], says: str) -> None:
    """So often in a plan, and never for each of a list: refused before anything runs."""
    with pytest.raises(Invalid) as caught:
        await house.submit(*steps)
    assert says in caught.value.errors[0].detail


async def test_content_keeps_its_link_guard(house: Installation) -> None:
    """Nothing else is different about a step that was planned during the run."""
    done: list[Any] = []

    @action("deeds.post", effect="write", retry="keyed", groups=["external"])
    async def post(text: Annotated[str, Content]) -> dict[str, str]:
        """Post."""
        done.append(text)
        return {}

    house.add(letter("x"), post)
    dictate(house, step("deeds.post", params={"text": "see https://evil.example/x"}))
    submitted = await house.submit(READ, DO_IT)
    await house.run_until_settled(submitted.plan_id)
    (asked,) = await approvals(house, submitted)
    assert "https://evil.example" not in str(asked.detail)
    await approve(house, asked)
    await house.run_until_settled(submitted.plan_id)
    assert done == ["see hxxps[:]//evil[.]example/x"]
