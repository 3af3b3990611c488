"""Whatever is typed: a plan, a question or a plain refusal, in bounded work, and never a recipient that was not typed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.expression import is_reference
from steward.plan import PlanResult
from steward.planners.matcher import MAX_EFFORT, Effort
from steward.planners.parts import Reader, TooMuch
from steward.planners.tokens import Sentence, tokenise
from tests.planners.definitions import ALL, propose

PIECES = st.sampled_from(
    [
        *(
            "send an email to",
            "email",
            "saying",
            "about",
            "to",
            "and",
            "and then",
            "; then",
            "then",
            ",",
            ".",
            "please",
        ),
        *(
            "read the file",
            "write",
            "list the files",
            "fetch",
            "notify",
            "that",
            "remind me of",
            "on",
            "pay",
            "with",
            "for",
        ),
        *("a@example.com", "b@example.org", "Bob", "Bob <b@example.com>", "a@example", "them", "it", "its text", "her"),
        *(
            "https://example.com",
            "notes.txt",
            "3",
            "tomorrow 09:30 UTC",
            "friday",
            '"quoted text"',
            "“",
            "'",
            '"',
            "hello",
        ),
    ]
)
SENTENCES = st.one_of(
    st.text(max_size=200), st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=14).map(" ".join)
)
ANSWERS = st.dictionaries(
    st.sampled_from(["to", "text", "s1.to", "s2.to", "s2.text", "prompt", "path", "url", "at"]),
    st.one_of(PIECES, st.text(max_size=20), st.integers(), st.none()),
    max_size=4,
)


def recipients(plan: PlanResult) -> list[Any]:
    """Return every value that decides where something goes to."""
    found: list[Any] = []
    for step in plan.steps:
        to = step.params.get("to", [])
        found += to if isinstance(to, list) else [to]
        found += [step.params[name] for name in ("url", "account", "pin") if name in step.params]
    return found


@given(SENTENCES, ANSWERS, st.one_of(st.none(), st.text(max_size=10), st.just("Europe/Paris")))
def test_any_sentence_gives_a_plan_or_questions(prompt: str, answers: dict[str, Any], zone: str | None) -> None:
    """Never an exception, always a valid document, never both steps and questions, and no recipient out of thin air."""
    proposal = propose(prompt, answers=answers, time_zone=zone)
    assert PlanResult.model_validate(proposal.plan.model_dump())
    assert bool(proposal.plan.steps) != bool(proposal.questions)
    assert {step.action_id for step in proposal.plan.steps} <= {action.id for action in ALL}
    typed = "\n".join([prompt, *(str(answer) for answer in answers.values())])
    for recipient in recipients(proposal.plan):
        assert not is_reference(recipient)
        assert str(recipient) in typed


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_code_point_is_survived(prompt: str) -> None:
    """Also lone surrogates and control characters, alone and inside a sentence that is otherwise understood."""
    for sentence in (prompt, f"email {prompt} to a@example.com", f"email hi to {prompt}@example.com", f"read {prompt}"):
        assert PlanResult.model_validate(propose(sentence).plan.model_dump())


HOSTILE = [
    "email to ", "email it to a@b.co and ", "list files and ", "list files and then ", "send an email to a@b.co, ",
    "email saying with about to ", "'a ", '"a ', "write to the file to ", "(((", "and then ", "; then ", "please ",
    "email and write and read and save and ", "email a@b.co and ", "fetch 1 ", "notify that that ", "email ",
    "remind me of on friday ", "remind me of on friday at 10:00 and ", "pay with for to ", "„a“ ", "'a'b ", "read a and email b and ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_work_is_bounded_for_hostile_prompts(piece: str) -> None:
    """At the full length of a prompt the work stays far below the limit, counted in steps, not in seconds."""
    text = (piece * 4000)[:4000]
    reader = Reader(ALL)
    reader.read(Sentence(text, tokenise(text)))
    assert reader.effort.spent < MAX_EFFORT / 4


def test_work_grows_with_the_length_not_with_its_square() -> None:
    """A prompt of eight times the length costs at most about eight times the work."""

    def spent(repeats: int) -> int:
        text = "send an email to a@b.co about " + "to saying about " * repeats
        reader = Reader(ALL)
        reader.read(Sentence(text, tokenise(text)))
        return reader.effort.spent

    assert spent(160) < 10 * spent(20)


def test_what_would_cost_too_much_is_refused() -> None:
    """Beyond its limit a reader says that the sentence is too tangled, and plans nothing."""
    text = "send an email to a@b.co about " + "to saying about " * 160
    outcome = Reader(ALL, Effort(limit=500)).read(Sentence(text, tokenise(text)))
    assert isinstance(outcome, TooMuch)
    assert "too tangled" in outcome.reason


@given(st.text(max_size=100))
def test_tokens_keep_the_characters_typed(text: str) -> None:
    """Tokens are in order, do not overlap, and point at what was typed; what they leave out is space and punctuation."""
    end = 0
    for token in tokenise(text):
        assert end <= token.start < token.end <= len(text)
        assert token.text in text[token.start : token.end]
        assert text[end : token.start].strip().strip(".,;:!?…-–— \t\n\r") == "" or not text[end : token.start].isascii()
        end = token.end
