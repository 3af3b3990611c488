"""Sentence templates: what compiles, what is refused with a sentence naming the action, and what an example looks like."""

import pytest

from steward.planners.templates import check_templates, example_of, variants_of
from tests.planners.definitions import ALL, READ, SEND, STRING, definition, propose, steps


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{to:email} gets it",
        "[please] {to:email}",
        "send {to}",
        "send {:email}",
        "send {to:sandwich}",
        "send {nobody:email}",
        "send {to:email",
        "send to:email}",
        "send [to {to:email}",
        "send (to|at {to:email}",
        "send to] {to:email}",
        "send to) {to:email}",
        "send | {to:email}",
        "send [] {to:email}",
        "send (a|) {to:email}",
        "send {to:email} or {to:email}",
        "send {text:text} {to:email}",
        "send {text:text} [to] {to:email}",
        "send " + "[a] " * 12 + "{to:email}",
        "send " + "x" * 600,
        "send " + "(" * 200,
    ],
)
def test_a_malformed_template_is_refused_with_its_action_and_text(template: str) -> None:
    """The error names both, so that whoever wrote it finds it."""
    broken = definition("letter.broken", [template], {"to": STRING, "text": STRING})
    with pytest.raises(ValueError, match=r"letter\.broken") as refused:
        check_templates(broken)
    assert repr(template) in str(refused.value)


def test_good_templates_compile_once() -> None:
    """Every reading is kept once, and compiling again gives the same objects."""
    for each in ALL:
        check_templates(each)
    again = variants_of(READ)
    assert all(one is other for one, other in zip(variants_of(READ)[:-1], again[:-1], strict=True))
    assert len(variants_of(READ)) == 4 + 1, "two optional words, and the action's id"


def test_optional_parts_and_alternatives_may_nest() -> None:
    """Each combination is a sentence, and nothing else is."""
    nested = definition("thing.do", ["do (this|that [very]) thing [now [please]]"], {})
    for sentence in ("do this thing", "Do that VERY thing now.", "do  that\tthing now please"):
        assert steps(propose(sentence, [nested])) == [("thing.do", {})]
    for sentence in ("do thing", "do this very thing", "do this thing thing"):
        assert propose(sentence, [nested]).plan.steps == []


def test_an_example_is_a_sentence_that_is_understood() -> None:
    """What is offered as an example works; an action without sentences is named by its id."""
    for each in ALL:
        assert [action for action, _ in steps(propose(example_of(each)))] == [each.id]
    assert "office@example.com" in example_of(SEND)
    assert example_of(definition("silent.act", [], {})) == "silent.act"
