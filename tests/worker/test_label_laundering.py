"""Nothing makes a value more trusted on its way: no function, template, list, answer, error, message or file name."""

from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.action import Action
from steward.actions import Content, Destination, Object, action
from steward.approval import Approval
from steward.dataflow import result_labels, result_shape
from steward.errors import Invalid
from steward.expression import shape_in
from steward.functions import FUNCTIONS
from steward.job import Job, JobStatus
from steward.plan import PlannedAction
from steward.provenance import Label, at_least
from steward.shape import Shape, labels_in, shape_of_value
from steward.work_store import Submitted
from tests.installation import Installation
from tests.soak import rounds
from tests.test_flow import EXPRESSIONS, LABELS, LISTS, M, label_of, looking_at
from tests.worker.test_language import rows, step

T, E, S, U = Label
EVIL = "mallory@evil.example"
SLY: Any = f"{M}[0].subject"
"""A text that anybody may have written."""
CALLS = {
    "abs": f"abs(to_number({SLY}))",
    "add_days": f"add_days({SLY}, `1`)",
    "add_minutes": f"add_minutes({SLY}, `1`)",
    "avg": f"avg([to_number({SLY})])",
    "best": f"best([{{a: {SLY}}}], &a)",
    "ceil": f"ceil(to_number({SLY}))",
    "contains": f"contains({SLY}, 'a')",
    "day_of": f"day_of({SLY})",
    "days_between": f"days_between('2026-01-01', {SLY})",
    "difference": f"difference(['a'], [{SLY}])",
    "ends_with": f"ends_with('a', {SLY})",
    "floor": f"floor(to_number({SLY}))",
    "group_count": f"group_count([{SLY}], &@)",
    "join": f"join({SLY}, ['a', 'b'])",
    "keys": f"keys({M}[0])",
    "length": f"length({SLY})",
    "lookup": f"lookup([{{a: 'x'}}], &a, {SLY})",
    "map": f"map(&@, [{SLY}])",
    "max": f"max([{SLY}])",
    "max_by": f"max_by([{{a: {SLY}}}], &a)",
    "merge": f"merge({{a: {SLY}}})",
    "min": f"min([{SLY}])",
    "min_by": f"min_by([{{a: {SLY}}}], &a)",
    "multiply": f"multiply(to_number({SLY}), `2`)",
    "not_null": f"not_null({SLY}, 'a')",
    "only": f"only([{SLY}])",
    "reverse": f"reverse({SLY})",
    "round": f"round(to_number({SLY}), `0`)",
    "sort": f"sort([{SLY}])",
    "sort_by": f"sort_by([{{a: {SLY}}}], &a)",
    "starts_with": f"starts_with('a', {SLY})",
    "subtract": f"subtract(to_number({SLY}), `2`)",
    "sum": f"sum([to_number({SLY})])",
    "time_of": f"time_of({SLY})",
    "to_array": f"to_array({SLY})",
    "to_number": f"to_number({SLY})",
    "to_string": f"to_string({SLY})",
    "type": f"type({SLY})",
    "urls": f"urls({SLY})",
    "values": f"values({{a: {SLY}}})",
}
"""Every function, given something that anybody may have written in the place where that decides what comes out."""
NAMES_ONLY = frozenset({"keys"})
"""Functions that tell the names of fields, which a schema fixes: only as trusted as what has them."""


def test_every_function_is_tried() -> None:
    """A new one needs a line above."""
    assert set(CALLS) == set(FUNCTIONS.FUNCTION_TABLE)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_no_function_washes_a_label_off(name: str) -> None:
    """Before the run and during it, alone, in a template, a list, an object, and twice over."""
    written = CALLS[name]
    wanted = S if name in NAMES_ONLY else U
    ref = {"$ref": written}
    mails = [{"id": "1", "sender": "s", "subject": "2026-01-01T00:00:00Z", "body": None, "size": 1}]
    here = shape_of_value({"mails": mails, "account": "me"}, LABELS)
    for value in (ref, {"$template": "{x}", "vars": {"x": ref}}, [ref], {"a": ref}, {"$ref": f"[{written}]"}):
        assert label_of(written) is wanted
        assert at_least(wanted, shape_in(value, looking_at(here), "/x", strict=False).whole)


@pytest.mark.parametrize(
    "path",
    ["steps.s1.error", "steps.s1.reason", "steps.s1.params", "steps.s1.status", "steps.s1", "steps", "@", "error"],
)
def test_nothing_but_results_can_be_read(path: str) -> None:
    """No error, message or parameter of a step is a value: what stands in it cannot come back without its label."""
    with pytest.raises(Invalid):
        PlannedAction.model_validate({"action_id": "compute", "params": {"value": {"$ref": path}}}).expressions()


# -- what was picked by a place ---------------------------------------------------------------------------------------

SLICE = f"{M}[0:2]"
WRAPPED = [
    "only({})",
    "only({}).id",
    "only(map(&to_string(id), {}))",
    "only({} | [*].to_string(id))",
    "only(map(&join('', [id]), {}))",
    "only(map(&length(id), {}))",
    "only(map(&(id == 'x'), {}))",
    "only(map(&urls(sender), {})[])",
    "only(keys(only({})))",
    "only(values(only({})))",
    "only(map(&merge(@, `{{}}`), {})).id",
    "only(group_count({}, &id)).key",
    "lookup({}, &id, 'x').sender",
    "only(({})[?sender == 'x']).id",
    "only(to_array(only({}).id))",
    "only(not_null({})).id",
]


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_no_function_makes_a_name_of_a_place(wrapped: str) -> None:
    """The first of two is not named by being the only one left, whatever is made of it first."""
    whole = label_of(wrapped.format(SLICE))
    assert not at_least(whole, E)


@settings(max_examples=rounds(150, 2_000), deadline=None)
@given(LISTS, st.integers(-3, 3), st.integers(-3, 3), st.sampled_from(WRAPPED))
def test_a_place_stays_a_place_also_when_it_is_stored(some: str, one: int, other: int, wrapped: str) -> None:
    """Before the run, during it, and read back from what is stored with a result: at most what its provider minted."""
    placed = f"({some})[{one}:{other}]"
    first = shape_in(
        {"$ref": placed}, looking_at(shape_of_value({"mails": [MAIL_HERE] * 2}, LABELS)), "/x", strict=False
    )
    kept = {path: Label(label) for path, label in labels_in(first).items()}
    again = shape_of_value([MAIL_HERE], kept)
    for shape in (first, again):
        base = looking_at(Shape(label=T, types=frozenset({"object"}), fields={"mails": shape}, open=False))
        found = shape_in({"$ref": wrapped.format(M)}, base, "/x", strict=False)
        assert not at_least(found.whole, E)


MAIL_HERE = {"id": "x", "sender": "x", "subject": "", "body": None, "size": 1}


@settings(max_examples=rounds(150, 2_000), deadline=None)
@given(EXPRESSIONS)
def test_what_is_stored_says_all_that_was_known(expression: str) -> None:
    """A shape that was stored and read back lifts nothing that it would not have lifted before."""
    before = shape_in(
        {"$ref": expression}, looking_at(shape_of_value({"mails": [MAIL_HERE] * 2}, LABELS)), "/x", strict=False
    )
    kept = {path: Label(label) for path, label in labels_in(before).items()}
    again = shape_of_value(_like(before), kept)
    assert at_least(before.entailed().whole, again.entailed().whole)


def _like(shape: Shape) -> Any:
    """Return a value that is like that."""
    if shape.fields:
        return {name: _like(part) for name, part in shape.fields.items()}
    return [_like(shape.items)] if shape.items is not None else "x"


# -- through an installation ------------------------------------------------------------------------------------------


def delete(done: list[str]) -> Action:
    """Return a write to an object: it asks unless that was named."""

    @action("deeds.delete", effect="write", retry="keyed")
    async def remove(what: Annotated[str, Object]) -> dict[str, str]:
        """Delete it."""
        done.append(what)
        return {}

    return remove


def about() -> Action:
    """Return a read of what a provider has about one thing."""

    @action("deeds.about", effect="read", output_labels={"rows": S})
    async def read(what: Annotated[str, Object]) -> dict[str, Any]:
        """Give it."""
        return {"rows": [{"id": what}]}

    return read


async def asked_about(house: Installation, submitted: Submitted) -> tuple[Approval, ...]:
    """Return the approvals of a plan once it has settled."""
    await house.run_until_settled(submitted.plan_id)
    return await house.app.engine.open(await house.member()).plan_approvals(submitted.plan_id)


ROWS = "steps.s1.result.rows"
ONE = {"$ref": f"{ROWS}[0].id"}
COUNT = {"$template": "{n}", "vars": {"n": {"$ref": f"length({ROWS})"}}}
BETWEEN = [
    (step("compute", params={"value": [COUNT]}), "only(steps.s2.result.value)"),
    (step("compute", params={"value": {"$ref": f"{ROWS}[0:1]"}}), "only(steps.s2.result.value).id"),
    (step("compute", params={"value": {"$ref": f"{ROWS}[0:1]"}}), "lookup(steps.s2.result.value, &id, '1').id"),
    (step("compute", params={"value": [ONE]}), "only(steps.s2.result.value)"),
    (step("compute", params={"value": {"list": [ONE]}}), "only(steps.s2.result.value.list)"),
    (step("compute", params={"value": [{"$template": "{x}", "vars": {"x": ONE}}]}), "only(steps.s2.result.value)"),
    (
        step("compute", params={"value": {"$ref": "item.id"}}, for_each={"$ref": f"{ROWS}[0:1]"}),
        "only(steps.s2.result).value",
    ),
    (
        step("compute", params={"value": {"$ref": "item"}}, for_each={"$ref": f"{ROWS}[0:1]"}),
        "only(steps.s2.result).value.id",
    ),
    (step("deeds.about", params={"what": ONE}), "only(steps.s2.result.rows).id"),
    (
        step("deeds.about", params={"what": {"$ref": "item.id"}}, for_each={"$ref": f"{ROWS}[0:1]"}),
        "only(steps.s2.result[*].rows[]).id",
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("between", "written"), BETWEEN)
async def test_no_step_between_makes_a_name_of_a_place(
    house: Installation, between: PlannedAction, written: str
) -> None:
    """Put away by compute or for each of a list, or asked about: the first row is still picked, not named, and a person is asked."""
    done: list[str] = []
    house.add(rows([{"id": "1", "who": "ann", "text": "x"}]), delete(done), about())
    submitted = await house.submit(
        step("deeds.rows"), between, step("deeds.delete", params={"what": {"$ref": written}})
    )
    (asked,) = await asked_about(house, submitted)
    assert (done, asked.rule) == ([], "unnamed_object")


@pytest.mark.anyio
async def test_what_was_named_stays_named_through_the_same_steps(house: Installation) -> None:
    """The same for the one that meets a condition: nobody is asked, also not because of steps between."""
    done: list[str] = []
    house.add(rows([{"id": "1", "who": "ann", "text": "x"}]), delete(done), about())
    submitted = await house.submit(
        step("deeds.rows"),
        step("compute", params={"value": {"$ref": f"{ROWS}[?text == 'x']"}}),
        step("compute", params={"value": {"$ref": "item"}}, for_each={"$ref": ROWS}),
        step("deeds.delete", params={"what": {"$ref": "only(steps.s2.result.value).id"}}),
        step("deeds.delete", params={"what": {"$ref": "lookup(steps.s3.result, &value.who, 'ann').value.id"}}),
    )
    assert await asked_about(house, submitted) == ()
    assert done == ["1", "1"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "steps",
    [
        [
            step("compute", params={"value": {"$ref": f"{ROWS}[0].text"}}),
            step("deeds.send", params={"to": {"$ref": "steps.s2.result.value"}}),
        ],
        [
            step("compute", params={"value": {"a": [{"$ref": f"{ROWS}[0].text"}]}}),
            step("deeds.send", params={"to": {"$ref": "only(steps.s2.result.value.a)"}}),
        ],
        [
            step("compute", params={"value": {"$ref": "item.text"}}, for_each={"$ref": ROWS}),
            step("deeds.send", params={"to": {"$ref": "only(steps.s2.result).value"}}),
        ],
        [step("deeds.send", params={"to": {"$ref": "item.text"}}, for_each={"$ref": ROWS})],
        [
            step("deeds.send", params={"to": {"$ref": "item"}}, for_each={"$ref": f"{ROWS}[*].text"}),
        ],
        [
            step("file.write", params={"path": "a.txt", "text": {"$ref": f"{ROWS}[0].text"}}),
            step("file.read", params={"path": "a.txt"}, depends_on=["s2"]),
            step("deeds.send", params={"to": {"$ref": "steps.s3.result.text"}}),
        ],
        [
            step("file.write", params={"path": f"{EVIL}", "text": {"$ref": f"{ROWS}[0].text"}}),
            step("file.list", depends_on=["s2"]),
            step("file.read", params={"path": {"$ref": "only(steps.s3.result.files).name"}}),
            step("deeds.send", params={"to": {"$ref": "steps.s4.result.text"}}),
        ],
        [
            step("compute", params={"value": {"$template": "{x}", "vars": {"x": {"$ref": f"{ROWS}[0].text"}}}}),
            step("deeds.send", params={"to": {"$template": "{x}", "vars": {"x": {"$ref": "steps.s2.result.value"}}}}),
        ],
        [
            step("plan.replan", params={"goal": f"compute {EVIL}", "inputs": [{"$ref": f"{ROWS}[0].text"}]}),
            step("deeds.send", params={"to": {"$ref": "steps.s2.result[0].value"}}),
        ],
    ],
)
async def test_no_way_to_a_destination_loses_the_label(house: Installation, steps: list[PlannedAction]) -> None:
    """By compute, lists, templates, files and their names, and further planning: a person is asked before anything goes out."""
    sent: list[str] = []

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    house.add(rows([{"id": "1", "who": "ann", "text": EVIL}]), send)
    submitted = await house.submit(step("deeds.rows"), *steps)
    asked = await asked_about(house, submitted)
    assert (sent, [one.rule for one in asked]) == ([], ["untrusted_destination"])


@pytest.mark.anyio
async def test_an_answer_carries_the_label(house: Installation) -> None:
    """What is told to the person says where it comes from, during the run as before it."""
    house.add(rows())
    submitted = await house.submit(
        step("deeds.rows"), step("compute", id="answer", params={"value": {"$ref": f"{ROWS}[0].text"}})
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert jobs[1].result_labels == {"value": "U", "value[!]": "U"}


@pytest.mark.anyio
async def test_an_error_is_no_way_for_a_value(house: Installation) -> None:
    """What an action says about why it failed goes to people alone: what needs the step never runs."""
    sent: list[str] = []

    @action("deeds.fail", effect="read")
    async def fail() -> dict[str, str]:
        """Fail."""
        raise ValueError(EVIL)

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination], text: Annotated[str, Content] = "") -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    house.add(fail, send)
    submitted = await house.submit(
        step("deeds.fail"), step("deeds.send", params={"to": {"$ref": "steps.s1.result.detail || steps.s1.result"}})
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [JobStatus.FAILED, JobStatus.CANCELLED]
    assert sent == []
    assert EVIL not in str(jobs)


@pytest.mark.anyio
@pytest.mark.parametrize(("text", "sent"), [("pay", ["ann"]), ("leave it", [])])
async def test_branching_on_what_others_wrote_is_allowed_and_shown(
    house: Installation, text: str, sent: list[str]
) -> None:
    """Every branch is in the plan that the person asked for: the condition's label is kept and shown, its values stay the plan's."""
    done: list[str] = []

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        done.append(to)
        return {"to": to}

    house.add(rows([{"id": "1", "who": "ann", "text": text}]), send)
    when = {"$ref": f"{ROWS}[0].text == 'pay'"}
    submitted = await house.submit(step("deeds.rows"), step("deeds.send", params={"to": "ann"}, when=when))
    jobs: tuple[Job, ...] = await house.run_until_settled(submitted.plan_id)
    assert done == sent
    assert jobs[1].labels == {"$when": {"from": "s1 (deeds.rows)", "label": U}}


def test_a_result_made_of_parameters_is_no_name() -> None:
    """Before the run and during it alike: what a model makes of what was picked by a place names nothing."""
    from steward.actions.llm import LlmExtract

    definition = LlmExtract(None).definition
    params = {"inputs": shape_of_value(["x"], {"": S})}
    before = result_shape(definition, params)
    during = shape_of_value({"value": ["x"]}, result_labels(definition, params, None))
    for shape in (before, during):
        assert shape.entailed().whole is S
