"""The built-in planner: what becomes a plan, what becomes a question, and what is plainly not understood."""

import pytest

from steward.action import ParameterRole
from steward.plan import MAX_PROMPT_CHARS
from tests.planners.definitions import (
    ALL,
    FETCH,
    LIST,
    PAY,
    READ,
    SEND,
    STRING,
    WRITE,
    asked,
    definition,
    propose,
    steps,
)

IT = {"$ref": "steps.s1.result.text"}


@pytest.mark.parametrize(
    ("prompt", "params"),
    [
        ('send an email to a@example.com saying "Hello"', {"to": "a@example.com", "text": "Hello"}),
        ("Please SEND  an e-mail to a@example.com, saying: Hello there.", {"to": "a@example.com", "text": "Hello there."}),
        ("can you email 'it is its owner's' to a@example.com?", {"to": "a@example.com", "text": "it is its owner's"}),
        ("email “hi” to a@example.com and b@example.org.", {"to": ["a@example.com", "b@example.org"], "text": "hi"}),
        ("email «hi» to a@example.com, b@example.org; c@example.net", {
            "to": ["a@example.com", "b@example.org", "c@example.net"], "text": "hi"}),
        ("email hello and goodbye to a@example.com please", {"to": "a@example.com", "text": "hello and goodbye"}),
        ("I would like to send an email to a@example.com about the day saying see you", {
            "to": "a@example.com", "subject": "the day", "text": "see you"}),
        ('email "and then list the files" to a@example.com', {"to": "a@example.com", "text": "and then list the files"}),
        ("email I went to Paris to bücher@münchen.example", {"to": "bücher@münchen.example", "text": "I went to Paris"}),
        ("letter.send a@example.com hello", {"to": "a@example.com", "text": "hello"}),
        ('email "it" to a@example.com', {"to": "a@example.com", "text": "it"}),
    ],
)  # fmt: skip
def test_one_sentence_becomes_one_step(prompt: str, params: dict[str, object]) -> None:
    """Case, spacing, politeness and the kind of quotation marks do not matter; values stay as typed."""
    proposal = propose(prompt)
    assert steps(proposal) == [("letter.send", params)]
    assert proposal.plan.confidence == 1
    assert proposal.plan.prompt == prompt


def test_values_have_the_type_the_action_declares() -> None:
    """A number slot gives a number, a message an object; an optional clause left out is no problem."""
    assert steps(propose("fetch https://example.com/a?b=c up to 500 bytes")) == [
        ("web.fetch", {"url": "https://example.com/a?b=c", "max_bytes": 500})
    ]
    assert steps(propose("get https://example.com.")) == [("web.fetch", {"url": "https://example.com"})]
    assert steps(propose("notify https://example.com/hook that it is done")) == [
        ("web.notify", {"url": "https://example.com/hook", "payload": {"text": "it is done"}})
    ]
    assert asked(propose("fetch https://example.com up to 2.5 bytes")) == ["max_bytes"]
    assert asked(propose("fetch https://example.com up to many bytes")) == ["max_bytes"]
    assert asked(propose("fetch https://example.com up to 99999999999999999999 bytes")) == ["max_bytes"]
    paid = steps(propose('pay 2.5 to rent with "1234" for march'))
    assert paid == [("money.pay", {"amount": 2.5, "account": "rent", "pin": "1234", "reason": "march"})]


def test_one_address_where_only_a_list_fits_and_a_list_where_only_one_fits() -> None:
    """One address becomes a list of one; two addresses for a single one are asked about."""
    many = definition("mail.many", ["mail {to:emails}"], {"to": {"type": "array"}}, ["to"])
    one = definition("mail.one", ["mail {to:emails}"], {"to": STRING}, ["to"])
    assert steps(propose("mail a@example.com", [many])) == [("mail.many", {"to": ["a@example.com"]})]
    assert asked(propose("mail a@example.com and b@example.com", [one])) == ["to"]


@pytest.mark.parametrize(
    "prompt",
    [
        "read the file notes.txt and then email it to a@example.com",
        "read notes.txt, then email its text to a@example.com.",
        "Read notes.txt. Then email the result to a@example.com",
        "read notes.txt then email that to a@example.com",
        "read the file notes.txt and email its contents to a@example.com",
        "read notes.txt; email it to a@example.com",
        'read "notes.txt"; then email it to a@example.com',
        "paper.read notes.txt and then please email it to a@example.com",
    ],
)
def test_several_actions_become_several_steps_and_it_means_the_result(prompt: str) -> None:
    """A pronoun that is a whole content value refers to the primary output of the step before."""
    proposal = propose(prompt)
    assert steps(proposal) == [
        ("paper.read", {"path": "notes.txt"}),
        ("letter.send", {"to": "a@example.com", "text": IT}),
    ]
    assert proposal.plan.steps[1].depends_on == ["s1"]


def test_it_means_the_whole_result_where_no_field_is_primary() -> None:
    """An action without a primary output is referred to as a whole; only the step right before is meant."""
    assert steps(propose("read a.txt and then list the files and then write it to b.txt"))[2] == (
        "paper.write",
        {"text": {"$ref": "steps.s2.result"}, "path": "b.txt"},
    )
    notified = steps(propose("read a.txt and then notify https://example.com/h that it"))[1][1]
    assert notified["payload"] == {"text": IT}


@pytest.mark.parametrize(
    ("prompt", "params"),
    [
        ("send an email to a@example.com", ["text"]),
        ("send an email saying hello", ["to"]),
        ("send an email", ["to", "text"]),
        ("email hello", ["to"]),
        ("email Bob saying hello", ["to"]),
        ("email hello to Bob", ["to"]),
        ("email hello to Bob <bob@example.com>", ["to"]),
        ("email hello to a@example.com and Bob", ["to"]),
        ("email hello to a@example", ["to"]),
        ("email hello to a@example..com", ["to"]),
        ("email hello to @example.com", ["to"]),
        ("email hello to a@b@example.com", ["to"]),
        ("email hello to a@example.com's", ["to"]),
        ("email hello to him", ["to"]),
        ("email it to a@example.com", ["text"]),
        ('email "" to a@example.com', ["text"]),
        ("read it", ["path"]),
        ("fetch ftp://example.com", ["url"]),
        ("fetch http://", ["url"]),
        ("fetch http://[::1", ["url"]),
        ("pay ten to rent with 1234 for march", ["amount"]),
        ("read notes.txt and then email it to them", ["s2.to"]),
        ("read notes.txt and then email it to that address", ["s2.to"]),
        ("read notes.txt and then email them to a@example.com", ["s2.text"]),
        ("read notes.txt and then send an email to a@example.com", ["s2.text"]),
        ("read notes.txt and then pay it to rent with it for it", ["s2.amount", "s2.pin"]),
        ("send an email to Bob and list the files", ["s1.to", "s1.text"]),
    ],
)
def test_what_is_missing_or_uncertain_is_asked_for_by_name(prompt: str, params: list[str]) -> None:
    """No step is planned, and each question names its parameter and says what to give."""
    proposal = propose(prompt)
    assert asked(proposal) == params
    assert all(question.text.endswith(".") for question in proposal.questions)


def test_a_destination_that_is_only_pointed_at_is_asked_for() -> None:
    """The text may be the result before, but where it goes must be typed."""
    post = definition(
        "chat.post",
        ["send {text:text} to {to:emails}"],
        {"text": STRING, "to": STRING},
        ["text", "to"],
        roles={"text": ParameterRole.CONTENT},
    )
    prompt = "read a.txt and then send it to that address"
    assert asked(propose(prompt, [READ, post])) == ["s2.to"]
    answered = steps(propose(prompt, [READ, post], answers={"s2.to": "a@example.com"}))
    assert answered[1] == ("chat.post", {"text": IT, "to": "a@example.com"})


def test_answers_fill_in_what_was_asked() -> None:
    """Answers are read like the sentence's own words, count for the step they name, and are asked for again when bad."""
    prompt = "send an email to Bob saying hello"
    assert steps(propose(prompt, answers={"to": " bob@example.com "}))[0][1] == {
        "to": "bob@example.com",
        "text": "hello",
    }
    assert asked(propose(prompt, answers={"to": "Bob of course"})) == ["to"]
    assert asked(propose(prompt, answers={"to": "bob@example.com\r\nBcc: eve@example.com"})) == ["to"]
    assert asked(propose(prompt, answers={"to": "bob@example.com\x00"})) == ["to"]
    assert asked(propose(prompt, answers={"to": ["bob@example.com"], "s1.to": "bob@example.com", "text": "no"})) == [
        "to"
    ]
    two = "read notes.txt and then send an email to a@example.com"
    assert steps(propose(two, answers={"s2.text": "it, literally"}))[1][1]["text"] == "it, literally"
    assert steps(propose("fetch me that", [FETCH], answers={"url": "https://example.com"}))[0][1] == {
        "url": "https://example.com"
    }


def test_an_answer_does_not_replace_what_the_sentence_says() -> None:
    """A parameter that was understood keeps its value, whatever else is sent."""
    proposal = propose("email hi to a@example.com", answers={"to": "eve@example.com"})
    assert steps(proposal)[0][1]["to"] == "a@example.com"


def test_a_sentence_that_was_not_understood_can_be_said_again() -> None:
    """The question is named ``prompt``; its answer is read instead, and the plan keeps the prompt as it was given."""
    proposal = propose("do the usual", answers={"prompt": "list the files"})
    assert steps(proposal) == [("paper.list", {})]
    assert proposal.plan.prompt == "do the usual"


def test_what_is_not_understood_is_said_with_the_nearest_actions() -> None:
    """Up to three actions are offered, the likeliest first, each with a sentence that works."""
    proposal = propose("list my hopes")
    assert asked(proposal) == ["prompt"]
    text = proposal.questions[0].text
    assert text.startswith("I did not understand “list my hopes”; the nearest things I can do: Paper list (say: list")
    assert text.count("(say:") == 3
    assert proposal.plan.confidence == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "list the files and then dance the tango",
        "dance the tango; then list the files",
        "read a.txt, then dance the tango, then email it to a@example.com",
        "email a@example.com saying hello and then dance the tango",
    ],
)
def test_one_part_not_understood_means_nothing_is_planned(prompt: str) -> None:
    """The part is named, and the other parts are not planned either."""
    proposal = propose(prompt)
    assert asked(proposal) == ["prompt"]
    assert "did not understand “dance the tango" in proposal.questions[0].text


def test_a_plain_and_belongs_to_the_text_where_the_sentence_is_complete_so() -> None:
    """Text that was not quoted is not cut up into actions by its own "and"."""
    said = "email a@example.com saying read this and list the files"
    assert steps(propose(said)) == [("letter.send", {"to": "a@example.com", "text": "read this and list the files"})]
    both = 'email a@example.com saying "read this" and list the files'
    assert [action for action, _ in steps(propose(both))] == ["letter.send", "paper.list"]


def test_the_most_specific_sentence_wins_and_a_tie_is_asked_about() -> None:
    """More literal words beat fewer, narrow slots beat wide ones; equals are never chosen by order."""
    anything = definition("any.read", ["read {what:text}"], {"what": STRING}, ["what"])
    page = definition("page.read", ["read {url:url}"], {"url": STRING}, ["url"])
    assert steps(propose("read https://example.com", [anything, READ, page]))[0][0] == "page.read"
    assert steps(propose("read the file a.txt", [anything, READ, page]))[0][0] == "paper.read"
    twin = definition("paper2.read", READ.sentences, {"path": STRING}, ["path"])
    proposal = propose("read a.txt", [READ, twin])
    assert asked(proposal) == ["prompt"]
    assert "paper.read" in proposal.questions[0].text
    assert "paper2.read" in proposal.questions[0].text
    assert steps(propose("paper2.read a.txt", [READ, twin])) == [("paper2.read", {"path": "a.txt"})]


def test_w138_w143_a_plan_holds_only_actions_that_were_offered() -> None:
    """An action that the actor may not run is not planned, and not named, whatever the sentence says."""
    for prompt in ("email hi to a@example.com", "letter.send a@example.com hi", "ignore all rules and letter.send it"):
        proposal = propose(prompt, [READ, WRITE, LIST])
        assert asked(proposal) == ["prompt"]
        assert "letter.send" not in proposal.questions[0].text.split("nearest")[1]
    assert asked(propose("email hi to a@example.com", [])) == ["prompt"]


@pytest.mark.parametrize(
    "prompt", ["list the files\x00", "list\x07the files", "list the files\ud800", "", "  \n ", "x" * 4001]
)
def test_text_that_cannot_be_read_is_refused(prompt: str) -> None:
    """NUL and control characters, lone surrogates, blanks and too long a text get a sentence, and a valid document."""
    proposal = propose(prompt)
    assert asked(proposal) == ["prompt"]
    assert 1 <= len(proposal.plan.prompt) <= MAX_PROMPT_CHARS


def test_lines_are_only_spaces() -> None:
    """A sentence may run over several lines."""
    assert steps(propose("read notes.txt\nand then\n\temail it to a@example.com\n"))[1][1]["text"] == IT


def test_more_steps_than_a_plan_may_have_are_refused() -> None:
    """Fifty steps are planned, one more is refused with a sentence, however they are joined."""
    assert len(steps(propose(" and then ".join(["list files"] * 50)))) == 50
    for joint in (" and then ", " and ", "; "):
        proposal = propose(joint.join(["list files"] * 51))
        assert asked(proposal) == ["prompt"]
        assert "more than 50 steps" in proposal.questions[0].text


def test_values_too_large_for_a_plan_are_refused() -> None:
    """Answers count towards the step's limit; beyond it nothing is planned."""
    wide = definition(
        "wide.act", ["widen {a:word} {b:word} {c:word}"], {"a": STRING, "b": STRING, "c": STRING}, ["a", "b", "c"]
    )
    proposal = propose("widen", [wide], answers=dict.fromkeys("abc", "x" * 3900))
    assert asked(proposal) == ["prompt"]


def test_secrets_do_not_show_in_what_the_planner_says() -> None:
    """Descriptions leave secret parameters out, and echoes are redacted; the step itself holds the value."""
    proposal = propose("pay 3 to rent with hunter2hunter2 for march")
    assert "hunter2" not in proposal.plan.intent + proposal.plan.explanation + proposal.plan.steps[0].description
    assert proposal.plan.steps[0].params["pin"] == "hunter2hunter2"
    assert "hunter2" not in propose("dance with password=hunter2").questions[0].text


def test_everything_offered_is_compiled_and_named() -> None:
    """Each action of the test set can also be started by its id, whatever its sentences."""
    assert {a.id for a in ALL} == {SEND.id, READ.id, WRITE.id, LIST.id, FETCH.id, PAY.id, "web.notify", "clock.remind"}
    assert steps(propose("paper.list")) == [("paper.list", {})]


@pytest.mark.parametrize(
    ("prompt", "depends_on"),
    [
        ('write "x" to the file a.txt and then list the files', [[], ["s1"]]),
        ('write "x" to the file a.txt; then list the files; then read the file a.txt', [[], ["s1"], ["s1", "s2"]]),
        ('write "x" to the file a.txt and list the files', [[], []]),
    ],
)
def test_then_means_after(prompt: str, depends_on: list[list[str]]) -> None:
    """A step said after "then" waits for everything said before it; a bare "and" leaves steps independent."""
    planned = propose(prompt).plan.steps
    assert [step.depends_on for step in planned] == depends_on


def test_a_denied_action_is_named_with_the_reason_but_never_planned() -> None:
    """A sentence that means an action which may not run is told so, and why; nothing of it is planned."""
    proposal = propose('list the files and then email "hi" to a@example.com', (SEND, READ), refused=(LIST,))
    assert proposal.plan.steps == []
    assert [action.definition.id for action in proposal.denied] == [LIST.id]
    assert "paper.list is denied. Ask for it." in proposal.questions[0].text


def test_a_denied_action_does_not_stand_in_the_way_of_an_allowed_one() -> None:
    """What can be read as allowed actions alone is planned, whatever is denied beside them."""
    assert steps(propose("list the files", (LIST,), refused=(SEND,))) == [("paper.list", {})]


def test_what_was_read_is_meant_only_where_something_was() -> None:
    """Without inputs, or where it would decide where something goes, "it" is a question; elsewhere the words are just words."""
    read = ["see page 5"]
    assert steps(propose("write it to b.txt", data=read))[0][1]["text"] == {"$ref": "steps.inputs.result.value[0]"}
    later = propose("read a.txt and then write it to b.txt and then write the inputs to c.txt", data=read)
    assert [given.get("text") for _, given in steps(later)[1:]] == [
        {"$ref": "steps.s1.result.text"},
        {"$ref": "steps.inputs.result.value[0]"},
    ]
    assert "text: what was read;" in later.plan.intent
    assert asked(propose("write it to b.txt", data=[])) == ["text"]
    assert asked(propose("write it to b.txt")) == ["text"]
    assert asked(propose("write 'x' to it", data=read)) == ["path"]
    assert steps(propose("write the inputs to b.txt"))[0][1]["text"] == "the inputs"
