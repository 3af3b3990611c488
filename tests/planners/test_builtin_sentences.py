"""The sentences that the built-in actions declare, as the built-in planner reads them."""

from pathlib import Path
from typing import Any

import pytest

from steward.actions.builtin import builtin_actions
from steward.planners.templates import check_templates, example_of
from tests.planners.definitions import asked, propose, steps

DEFINITIONS = [
    action.definition
    for action in builtin_actions(
        smtp_url="smtp://127.0.0.1:25",
        smtp_from="office@example.com",
        webhook_secrets={},
        http_allow_hosts=frozenset(),
        files_root=Path("unused"),
    )
]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            'send an email to office@example.com saying "Hello"',
            [("email.send", {"to": "office@example.com", "text": "Hello"})],
        ),
        (
            "read the file notes.txt and then email it to office@example.com",
            [
                ("file.read", {"path": "notes.txt"}),
                ("email.send", {"to": "office@example.com", "text": {"$ref": "steps.s1.result.text"}}),
            ],
        ),
        (
            "fetch https://example.com and then write it to the file page.txt",
            [
                ("http.get", {"url": "https://example.com"}),
                ("file.write", {"path": "page.txt", "text": {"$ref": "steps.s1.result.text"}}),
            ],
        ),
        ("list the files", [("file.list", {})]),
    ],
)
def test_a_built_in_sentence_is_understood(prompt: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    """Each request becomes exactly these steps."""
    assert steps(propose(prompt, DEFINITIONS)) == expected


@pytest.mark.parametrize(
    "definition", [each for each in DEFINITIONS if each.sentences], ids=lambda definition: definition.id
)
def test_every_built_in_template_compiles_and_its_example_works(definition: Any) -> None:
    """What is offered as an example is understood as that very action, among all the others."""
    check_templates(definition)
    assert [action for action, _ in steps(propose(example_of(definition), DEFINITIONS))] == [definition.id]


def test_a_missing_recipient_of_a_real_e_mail_is_asked_for() -> None:
    """No name is turned into an address."""
    assert asked(propose('send an email to the office saying "Hello"', DEFINITIONS)) == ["to"]
