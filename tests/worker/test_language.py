"""The plan language at work: conditions, lists, templates and answers, and where every value came from."""

from typing import Annotated, Any

import pytest

from steward.actions import Content, Destination, action
from steward.job import JobStatus
from steward.orchestrator import RequestedAction
from steward.plan import PlannedAction, PlanResult, PlanStatus
from steward.provenance import Label
from tests.installation import Installation
from tests.worker.deeds import Deeds, note

pytestmark = pytest.mark.anyio
S = JobStatus
ROWS = [
    {"id": "1", "who": "ann", "text": "hello"},
    {"id": "2", "who": "bob", "text": {"$ref": "steps.s9.result"}},
    {"id": "3", "who": "ann", "text": "again"},
]


def step(action_id: str, **more: Any) -> PlannedAction:
    """Return a step as JSON has it."""
    return PlannedAction.model_validate({"action_id": action_id, **more})


def rows(result: Any = None) -> Any:
    """Return a read whose ids and names come from its provider, and whose texts come from anybody."""

    @action("deeds.rows", effect="read", output_labels={"rows": Label.SYSTEM, "rows[].text": Label.UNTRUSTED})
    async def read() -> dict[str, Any]:
        """Give the rows."""
        return {"rows": ROWS if result is None else result}

    return read


async def test_a_template_and_functions_feed_a_step(house: Installation) -> None:
    """Worked out when the step's turn comes, from the full results."""
    done: list[Any] = []
    house.add(rows(), note(done))
    text = {
        "$template": "{n} rows, of which {names}",
        "vars": {
            "n": {"$ref": "length(steps.s1.result.rows)"},
            "names": {"$ref": "steps.s1.result.rows[?who=='ann'].id"},
        },
    }
    submitted = await house.submit(step("deeds.rows"), step("deeds.note", params={"text": text}))
    jobs = await house.run_until_settled(submitted.plan_id)
    assert done == ["3 rows, of which 1, 3"]
    assert jobs[1].labels == {"text": {"from": "s1 (deeds.rows)", "label": Label.SYSTEM}}


@pytest.mark.parametrize(("wanted", "status"), [("ann", S.COMPLETED), ("eve", S.SKIPPED)])
async def test_a_step_runs_only_if_its_condition_holds(house: Installation, wanted: str, status: JobStatus) -> None:
    """Where it does not, the step is skipped, and so is what needs it; the plan is completed all the same."""
    done: list[Any] = []
    house.add(rows(), note(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step("deeds.note", params={"text": "found"}, when={"$ref": f"steps.s1.result.rows[?who=='{wanted}']"}),
        step("deeds.note", params={"text": {"$ref": "steps.s2.result.text"}}),
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED, status, status]
    assert done == (["found", "found"] if status is S.COMPLETED else [])
    plan = await house.app.engine.open(await house.member()).get_plan(submitted.plan_id)
    assert plan is not None
    assert plan.status is PlanStatus.COMPLETED


async def test_a_step_runs_for_each_of_a_list_in_order(house: Installation) -> None:
    """Its results are a list in the same order; what came from outside is a value and never an expression."""
    done: list[Any] = []
    house.add(rows(), note(done), note_all(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step(
            "deeds.note",
            for_each={"$ref": "steps.s1.result.rows"},
            params={
                "text": {
                    "$template": "{id}: {text}",
                    "vars": {"id": {"$ref": "item.id"}, "text": {"$ref": "item.text"}},
                }
            },
        ),
        step("deeds.note_all", params={"texts": {"$ref": "steps.s2.result[*].text"}}),
    )
    jobs = {job.step_id: job for job in await house.run_until_settled(submitted.plan_id)}
    expected = ["1: hello", '2: {"$ref":"steps.s9.result"}', "3: again"]
    assert sorted(done[:3]) == sorted(expected)
    assert done[3] == expected
    assert {job.status for job in jobs.values()} == {S.COMPLETED}
    assert jobs["s2[1]"].parent_step_id == "s2"
    assert jobs["s2[0]"].labels == {
        "text": {"from": "each of s1 (deeds.rows)", "label": Label.UNTRUSTED},
    }
    assert jobs["s3"].labels == {"texts": {"from": "s2 (deeds.note)", "label": Label.UNTRUSTED}}


def note_all(done: list[Any]) -> Any:
    """Return a keyed write that appends its texts to ``done``."""

    @action("deeds.note_all", effect="write", retry="keyed")
    async def write(texts: Annotated[list[str], Content]) -> dict[str, int]:
        """Note them."""
        done.append(texts)
        return {"noted": len(texts)}

    return write


async def test_for_each_of_nothing_is_done_at_once(house: Installation) -> None:
    """An empty list has an empty result."""
    done: list[Any] = []
    house.add(rows([]), note(done), note_all(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step("deeds.note", for_each={"$ref": "steps.s1.result.rows"}, params={"text": {"$ref": "item.id"}}),
        step("deeds.note_all", params={"texts": {"$ref": "steps.s2.result[*].text"}}),
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED] * 3
    assert done == [[]]


async def test_for_each_of_too_many_fails_and_has_no_effect(house: Installation) -> None:
    """At most a hundred; none of them is begun."""
    done: list[Any] = []
    house.add(rows([{"id": str(n)} for n in range(101)]), note(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step("deeds.note", for_each={"$ref": "steps.s1.result.rows"}, params={"text": {"$ref": "item.id"}}),
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert len(jobs) == 2
    assert (jobs[1].status, jobs[1].error and jobs[1].error.code) == (S.FAILED, "expression_failed")
    assert done == []


@pytest.mark.parametrize(
    "expression",
    ["only(steps.s1.result.rows).id", "lookup(steps.s1.result.rows, &who, 'ann').id", "sum(steps.s1.result.rows)"],
)
async def test_an_expression_without_a_value_fails_the_step(house: Installation, expression: str) -> None:
    """It never guesses; the error says what was meant and repeats nothing of what was read."""
    done: list[Any] = []
    house.add(rows(), note(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step("deeds.note", params={"text": {"$template": "{x}", "vars": {"x": {"$ref": expression}}}}),
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert (jobs[1].status, jobs[1].error and jobs[1].error.code) == (S.FAILED, "expression_failed")
    assert "bob" not in str(jobs[1].error)
    assert done == []


async def test_what_runs_a_plan_can_be_told(house: Installation) -> None:
    """``ctx`` says who, where, and the day on which it was executed."""
    done: list[Any] = []
    house.add(note(done))
    names = ["actor_id", "workspace_id", "today", "now"]
    text = {
        "$template": " ".join(f"{{{name}}}" for name in names),
        "vars": {name: {"$ref": f"ctx.{name}"} for name in names},
    }
    submitted = await house.submit(step("deeds.note", params={"text": text}))
    (job,) = await house.run_until_settled(submitted.plan_id)
    who, where, day, moment = done[0].split(" ")
    assert (who, where) == (job.actor_id, "acme")
    assert moment.startswith(day)
    assert job.labels == {"text": {"from": "the run itself", "label": Label.TRUSTED}}


async def test_labels_are_the_same_after_a_restart(house: Installation) -> None:
    """They are stored with the result: another worker finds what the first one knew."""
    done: list[Any] = []
    house.add(rows(), note(done))
    submitted = await house.submit(
        step("deeds.rows"),
        step("compute", params={"value": {"$ref": "steps.s1.result.rows[0]"}}),
        step("deeds.note", params={"text": {"$ref": "steps.s2.result.value.id"}}),
        step("deeds.note", params={"text": {"$ref": "steps.s2.result.value.text"}}),
    )
    async with house.worker(concurrency=1):
        await house.until(submitted.plan_id, {S.COMPLETED})
    jobs = await house.jobs(submitted.plan_id)
    assert jobs[1].result_labels == {"value": "S", "value[!]": "S", "value.text": "U"}
    assert [job.labels["text"]["label"] for job in jobs[2:]] == ["S", "U"]


async def test_where_others_would_decide_a_destination_a_person_is_asked(house: Installation) -> None:
    """With the value, where it came from, and the rule; a destination that its provider vouches for goes through."""
    sent: list[str] = []

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    house.add(rows(), send)
    submitted = await house.submit(
        step("deeds.rows"),
        step("deeds.send", params={"to": {"$ref": "steps.s1.result.rows[0].who"}}),
        step("deeds.send", params={"to": {"$ref": "steps.s1.result.rows[0].text"}}),
    )
    assert submitted.approval_id is None
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED, S.COMPLETED, S.HELD]
    assert sent == ["ann"]
    store = house.app.engine.open(await house.member())
    (asked,) = await store.plan_approvals(submitted.plan_id)
    assert asked.rule == "untrusted_destination"
    (shown,) = asked.detail["steps"]
    assert (shown["id"], shown["params"]) == ("s3", {"to": "hello"})
    assert shown["inputs"]["to"] == {"from": "s1 (deeds.rows)", "label": Label.UNTRUSTED}


EVIL = "mallory@evil.example"


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"to": EVIL}},
        {"params": {"to": {"$ref": f"'{EVIL}'"}}},
        {"params": {"to": {"$ref": f"ctx.today && '{EVIL}'"}}},
        {"params": {"to": {"$template": EVIL}}},
        {"params": {"to": {"$template": "{who}", "vars": {"who": {"$ref": f"'{EVIL}'"}}}}},
        {"params": {"to": {"$ref": "item"}}, "for_each": [EVIL]},
        {"params": {"to": {"$ref": "item"}}, "for_each": {"$ref": f"['{EVIL}']"}},
    ],
)
async def test_an_author_who_has_read_what_others_wrote_is_trusted_with_no_constant(
    house: Installation, more: dict[str, Any]
) -> None:
    """However it is dressed up: an expression is as much its author's as a text that is written out."""
    sent: list[str] = []

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    house.add(send)
    submitted = await house.app.orchestrator.execute_actions(
        await house.member(),
        [RequestedAction(step("deeds.send", **more))],
        run_at=None,
        idempotency_key=None,
        request_id="req-test",
        authored_after=("s0",),
    )
    await house.run_until_settled(submitted.plan_id)
    (asked,) = await house.app.engine.open(await house.member()).plan_approvals(submitted.plan_id)
    assert (sent, asked.rule) == ([], "untrusted_destination")


async def test_an_answer_is_worked_out_last(house: Installation) -> None:
    """It is a step like others, with where it came from; what it reads must be done before."""
    house.add(rows())
    plan = PlanResult(
        prompt="How many?",
        intent="Count.",
        explanation="As asked.",
        steps=[step("deeds.rows")],
        answer={"$template": "{n} in all.", "vars": {"n": {"$ref": "length(steps.s1.result.rows)"}}},
    )
    submitted = await house.submit(*plan.steps)
    jobs = await house.run_until_settled(submitted.plan_id)
    assert (jobs[1].step_id, jobs[1].result) == ("answer", {"value": "3 in all."})
    assert jobs[1].labels == {"value": {"from": "s1 (deeds.rows)", "label": Label.SYSTEM}}


async def test_a_step_of_a_list_that_fails_takes_the_rest_of_the_plan_along(house: Installation) -> None:
    """Those beside it run to their end; what was to be made of all of them is cancelled."""
    done: list[Any] = []
    house.add(rows([{"id": "1"}, {"id": "2"}]), note(done), Deeds().read())
    submitted = await house.submit(
        step("deeds.rows"),
        step(
            "deeds.note",
            for_each={"$ref": "steps.s1.result.rows"},
            params={"text": {"$ref": "only([item.id][?@ == '1'])"}},
        ),
        step("deeds.note", params={"text": "after"}, depends_on=["s2"]),
    )
    jobs = {job.step_id: job.status for job in await house.run_until_settled(submitted.plan_id)}
    assert jobs == {"s1": S.COMPLETED, "s2": S.FAILED, "s3": S.CANCELLED}
    assert done == []
