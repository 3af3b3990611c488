"""``@action``: what a function's signature becomes, and what running it does."""

import contextvars
import threading
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from steward.action import (
    Action,
    ActionContext,
    ActionFailed,
    CannotTell,
    DidNotHappen,
    Happened,
    ParameterRole,
    ProbeAnswer,
    RetryMode,
)
from steward.actions import Amount, Content, Destination, Object, Secret, Time, action
from steward.actions.decorator import FunctionAction
from steward.errors import ConfigurationError
from steward.provenance import Label
from tests.actions.conftest import fits

pytestmark = pytest.mark.anyio


class Note(BaseModel):
    """A note."""

    text: str
    day: date


@action(
    "notes.add",
    effect="write",
    retry="keyed",
    title="Add a note",
    sentences=["note {text:text}"],
    output_labels={"day": Label.SYSTEM},
    primary_output="text",
    groups=["local"],
    timeout_s=5,
)
def add(
    text: Annotated[str, Content, Field(max_length=100, description="What to note.")],
    day: Annotated[date, Time] = date(2026, 3, 4),
    tags: Annotated[list[str] | None, Object] = None,
    *,
    copy: int = 1,
    schema: Literal["a", "b"] = "a",
    ctx: ActionContext,
) -> Note:
    """Add a note
    to the list.

    More about notes.
    """
    return Note(text=f"{ctx.workspace_id}: {text} {tags} {copy} {schema}", day=day)


def test_the_signature_becomes_a_closed_schema() -> None:
    """Types, limits, descriptions and defaults are in it; the context is not; made-up titles are gone."""
    assert add.definition.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["text"],
        "properties": {
            "text": {"type": "string", "maxLength": 100, "description": "What to note."},
            "day": {"type": "string", "format": "date", "default": "2026-03-04"},
            "tags": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None},
            "copy": {"type": "integer", "default": 1},
            "schema": {"type": "string", "enum": ["a", "b"], "default": "a"},
        },
    }
    Draft202012Validator.check_schema(dict(add.definition.input_schema))
    assert fits(add.definition, {"text": "x", "copy": 2})
    assert not fits(add.definition, {"text": "x", "ctx": {}})


def test_the_rest_of_the_declaration() -> None:
    """Roles come from the markers, the rest from the arguments and the docstring's first paragraph."""
    definition = add.definition
    assert (definition.id, definition.title, definition.description) == (
        "notes.add",
        "Add a note",
        "Add a note to the list.",
    )
    assert definition.roles == {"text": ParameterRole.CONTENT, "day": ParameterRole.TIME, "tags": ParameterRole.OBJECT}
    assert definition.role_of("copy") is ParameterRole.DESTINATION
    assert definition.output_schema["properties"]["day"] == {"type": "string", "format": "date", "title": "Day"}
    assert (definition.retry, definition.effect, definition.timeout_s) == (RetryMode.KEYED, "write", 5)
    assert (definition.primary_output, definition.groups) == ("text", frozenset({"local"}))
    assert (definition.label_of("day"), definition.label_of("text")) == (Label.SYSTEM, Label.UNTRUSTED)
    assert definition.sentences == ("note {text:text}",)


async def test_running_fills_defaults_and_returns_json(context: ActionContext) -> None:
    """Values arrive in their Python types, the context by its annotation, and the result leaves as JSON."""
    assert await add.run({"text": "hi", "day": "2026-01-02"}, context) == {
        "text": "acme: hi None 1 a",
        "day": "2026-01-02",
    }


def test_the_function_stays_a_function(context: ActionContext) -> None:
    """Decorated, it is called, named and documented as before."""
    assert add("hi", date(2026, 1, 2), ctx=context) == Note(text="acme: hi None 1 a", day=date(2026, 1, 2))
    assert add.__name__ == "add"
    assert add.__doc__ is not None
    checked: Action = add
    assert isinstance(checked, FunctionAction)


@pytest.mark.parametrize(
    "params", [{}, {"text": 3}, {"text": "x" * 101}, {"text": "x", "day": "soon"}, {"text": "x", "no": 1}]
)
async def test_what_does_not_fit_is_refused_without_showing_it(params: dict[str, Any], context: ActionContext) -> None:
    """The function never sees it, and the failure names the parameter but not the value."""
    with pytest.raises(ActionFailed) as caught:
        await add.run(params, context)
    assert (caught.value.code, caught.value.retryable) == ("invalid_params", False)
    assert "soon" not in caught.value.detail


async def test_sync_functions_run_in_a_thread_and_async_ones_do_not(context: ActionContext) -> None:
    """A blocking function does not hold up the event loop; both see the caller's context variables."""
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    request.set("req_1")

    @action("where.sync", effect="read")
    def blocking() -> list[str]:
        return [threading.current_thread().name, request.get()]

    @action("where.async", effect="read")
    async def awaiting() -> list[str]:
        return [threading.current_thread().name, request.get()]

    [thread, seen] = await blocking.run({}, context)
    assert thread.startswith("steward-action")
    assert seen == "req_1"
    assert await awaiting.run({}, context) == [threading.current_thread().name, "req_1"]


async def test_exceptions_pass_through(context: ActionContext) -> None:
    """What the function raises is what the worker sees, so it can tell 'provably not' from 'perhaps'."""

    @action("fails.known", effect="write")
    def known() -> None:
        raise ActionFailed("no_stamps", "There are no stamps left.", retryable=True)

    @action("fails.other", effect="write")
    async def other() -> None:
        raise RuntimeError("boom")

    with pytest.raises(ActionFailed, match="no_stamps"):
        await known.run({}, context)
    with pytest.raises(RuntimeError, match="boom"):
        await other.run({}, context)


async def test_any_json_like_result_is_turned_into_json(context: ActionContext) -> None:
    """Dataclasses, models, dates and tuples become plain JSON; no return annotation means any result."""

    @dataclass
    class Point:
        x: int
        when: date

    @action("points.get", effect="read")
    def get():  # noqa: ANN202 - the missing annotation is the point
        return (Point(1, date(2026, 3, 4)), {"a": Note(text="x", day=date(2026, 3, 4))})

    assert get.definition.output_schema == {}
    assert await get.run({}, context) == [{"x": 1, "when": "2026-03-04"}, {"a": {"text": "x", "day": "2026-03-04"}}]


async def test_a_probe_is_asked_with_what_it_wants(context: ActionContext) -> None:
    """It takes some of the parameters and the context, sync or async; its answer is the contract's."""
    sent: list[str] = []

    async def happened(to: str, ctx: ActionContext) -> ProbeAnswer:
        return Happened({"id": ctx.job_id, "day": date(2026, 3, 4)}) if to in sent else DidNotHappen()

    @action("letters.send", effect="write", retry="probe", probe=happened)
    def send(to: Annotated[str, Destination], text: Annotated[str, Content] = "") -> None:
        sent.append(to)

    assert await send.probe({"to": "a", "text": "x"}, context) == DidNotHappen()
    await send.run({"to": "a"}, context)
    assert await send.probe({"to": "a", "text": "x"}, context) == Happened({"id": "job_1", "day": "2026-03-04"})
    assert isinstance(await add.probe({"text": "x"}, context), CannotTell)


async def test_a_probe_that_answers_nonsense_is_an_error(context: ActionContext) -> None:
    """True or None are no answers: taking them for one could send twice."""

    @action("letters.check", effect="write", retry="probe", probe=lambda: True)
    def send() -> None: ...

    with pytest.raises(TypeError, match="Happened"):
        await send.probe({}, context)


def test_all_roles_have_a_marker() -> None:
    """Six markers, one per role."""
    assert {Amount, Content, Destination, Object, Secret, Time} == set(ParameterRole)


def unusable() -> list[tuple[Any, str]]:  # noqa: C901 - a list of functions, no branches
    """Return functions that cannot be actions, each with a word of the reason."""

    def positional(a: str, /) -> None: ...
    def starred(*a: str) -> None: ...
    def keywords(**a: str) -> None: ...
    def bare(a) -> None: ...  # noqa: ANN001 - the missing annotation is the point
    def torn(a: Annotated[str, Content, Secret]) -> None: ...
    def opaque(a: threading.Lock) -> None: ...
    def made(a: Annotated[list[str], Field(default_factory=list)]) -> None: ...
    def field_default(a: str = Field("x")) -> None: ...
    def odd_default(a: Any = threading) -> None: ...
    def unknown(a: str) -> None: ...
    def opaque_result() -> threading.Lock: ...

    unknown.__annotations__["a"] = "Missing"
    return [
        (positional, "plain named"),
        (starred, "plain named"),
        (keywords, "plain named"),
        (bare, "type annotation"),
        (torn, "more than one role"),
        (opaque, "JSON Schema"),
        (made, "plain JSON value"),
        (field_default, "inside Annotated"),
        (odd_default, "JSON Schema"),
        (unknown, "cannot be resolved"),
        (opaque_result, "return annotation"),
    ]


@pytest.mark.parametrize(("function", "says"), unusable())
def test_a_signature_that_cannot_be_an_action_says_why(function: Any, says: str) -> None:
    """At import, in one sentence with the action's id and the function's name."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        action("bad.one", effect="read")(function)
    assert "bad.one" in caught.value.detail
    assert function.__name__ in caught.value.detail


def takes_other(other: str) -> ProbeAnswer:
    """Ask for a parameter the action lacks."""
    return CannotTell(other)


@pytest.mark.parametrize(
    "arguments",
    [
        {"retry": "probe"},
        {"retry": "none", "probe": DidNotHappen},
        {"retry": "probe", "probe": takes_other},
        {"retry": "sometimes"},
        {"effect": "maybe"},
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_import(arguments: dict[str, Any]) -> None:
    """A probe and retry='probe' go together; modes and effects are those of the contract."""
    complete: dict[str, Any] = {"effect": "write", **arguments}
    with pytest.raises(ConfigurationError, match=r"bad\.one"):
        action("bad.one", **complete)(lambda: None)


@pytest.mark.parametrize(
    "name", ["", "add", "Notes.add", "notes.", ".add", "notes.add\n", "notes add", "n\u043ftes.add", "a." * 60 + "a"]
)
def test_w51_a_malformed_id_is_refused_at_import(name: str) -> None:
    """``provider.name`` in lower case, the whole string."""
    with pytest.raises(ConfigurationError, match=r"provider\.name"):
        action(name, effect="read")(lambda: None)
