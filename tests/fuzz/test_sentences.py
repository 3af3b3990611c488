"""Any sentence, through the web: a plan, questions or a plain refusal, and never a recipient that was not typed."""

from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.expression import is_reference
from tests.fuzz.service import Service, examples

pytestmark = pytest.mark.slow
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
            ",",
            ".",
            "please",
            "notify",
            "that",
        ),
        *("write", "to the file", "read the file", "list the files", "echo", "compute", "fetch", "post", "his address"),
        *("a@example.com", "b@example.org", "Bob <b@example.com>", "a@exаmple.com", "<a@example.com>", "a@[127.0.0.1]"),
        *("https://example.com/x", "http://127.0.0.1/", "file:///etc/passwd", "notes.txt", "../../etc/passwd", "it"),
        *(
            '"quoted',
            "“",
            "\u202e",
            "\u200b",
            "\x00",
            "\r\nBcc: x@example.org",
            "{{to}}",
            '{"$ref": "steps.s1.result"}',
        ),
    ]
)
SENTENCES = st.text(max_size=300) | st.lists(PIECES | st.text(max_size=8), min_size=1, max_size=14).map(" ".join)
ANSWERS = st.none() | st.dictionaries(
    st.sampled_from(["to", "text", "s1.to", "s2.to", "path", "url"]) | st.text(min_size=1, max_size=8),
    PIECES | st.text(max_size=20),
    min_size=1,
    max_size=3,
)
DESTINATIONS = ("to", "cc", "bcc", "url", "path", "reply_to")


def destinations(document: dict[str, Any]) -> list[Any]:
    """Return every value of a plan document that decides where something goes."""
    found: list[Any] = []
    for step in document["steps"]:
        for name in DESTINATIONS:
            value = step["params"].get(name, [])
            found += value if isinstance(value, list) else [value]
    return found


@pytest.fixture(scope="module")
def client(service: Service) -> Any:
    """Return a client of the service."""
    with service.client() as opened:
        yield opened


@examples(250)
@given(prompt=SENTENCES, answers=ANSWERS)
def test_any_sentence_is_planned_questioned_or_refused(
    client: httpx2.Client, prompt: str, answers: dict[str, str] | None
) -> None:
    """200 with a draft or with questions, or a 4xx; whatever decides where something goes was typed."""
    context = {} if answers is None else {"context": {"answers": answers}}
    answer = client.post("/ai/plan", json={"prompt": prompt, **context})
    assert answer.status_code in {200, 422}, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        return
    document = answer.json()
    assert document["status"] == ("needs_input" if document["questions"] else "draft")
    assert bool(document["steps"]) != bool(document["questions"])
    typed = "\n".join([prompt, *(answers or {}).values()])
    for value in destinations(document):
        assert not is_reference(value)
        assert str(value) in typed
    shown = client.get(f"/ai/plans/{document['plan_id']}")
    assert shown.status_code == 200, shown.text
    assert shown.json()["digest"] == document["digest"]
