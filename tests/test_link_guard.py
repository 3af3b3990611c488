"""Links of others lose their teeth on the way out: every form that a mail program would make a link of, and nothing else."""

import re

import pytest

from steward.action import ActionDefinition, Effect, ParameterRole, RetryMode
from steward.link_guard import guarded, guarded_places, without_links
from steward.provenance import Label
from steward.shape import Shape
from steward.step_values import Ready

U, T = Label.UNTRUSTED, Label.TRUSTED


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see https://evil.example/a?b=c.d now", "see hxxps[:]//evil[.]example/a?b=c.d now"),
        ("HTTP://EVIL.COM", "HXXP[:]//EVIL[.]COM"),
        ("[click](http://evil.com/x)", "[click](hxxp[:]//evil[.]com/x)"),
        ("<a href='http://1.2.3.4/x'>", "<a href='hxxp[:]//1[.]2[.]3[.]4/x'>"),
        ("http://user:pass@evil.com:80/", "hxxp[:]//user:pass@evil[.]com:80/"),
        ("go to www.evil.com", "go to www[.]evil[.]com"),
        ("go to evil.io/pay", "go to evil[.]io/pay"),
        ("ftp://files.evil.org", "ftp[:]//files[.]evil[.]org"),
        ("slack://open", "slack[:]//open"),
        ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("mailto:eve@evil.com", "mailto[:]eve@evil.com"),
        ("http\uff1a//evil\u3002com", "hxxp[:]//evil[.]com"),
        ("http:\\\\evil.com", "hxxp[:]\\\\evil[.]com"),
        ("https://münchen.example", "hxxps[:]//münchen[.]example"),
        ("evil.technology/login", "evil[.]technology/login"),
    ],
)
def test_links_are_spelt_so_that_nothing_makes_them_links(text: str, left: str) -> None:
    """They can still be read."""
    assert without_links(text) == left
    assert not re.search(r"https?:", without_links(text), re.IGNORECASE)
    assert without_links(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "At 10.30 we meet.",
        "That is 3.50 each, e.g. two.",
        "Write to bob@acme.example.",
        "report.2024",
        "Note: call me",
        "",
    ],
)
def test_what_is_no_link_stays(text: str) -> None:
    """Numbers, abbreviations, addresses and colons."""
    assert without_links(text) == text


def _definition(*groups: str) -> ActionDefinition:
    return ActionDefinition(
        id="post.send",
        title="Send",
        description="Send.",
        input_schema={"type": "object"},
        effect=Effect.WRITE,
        retry=RetryMode.KEYED,
        roles={"to": ParameterRole.DESTINATION, "body": ParameterRole.CONTENT},
        groups=frozenset(groups),
    )


def test_only_untrusted_content_that_leaves_is_touched() -> None:
    """Part by part: what the person wrote stays, beside what others wrote; destinations and inside actions stay whole."""
    link, left = "https://a.example", "hxxps[:]//a[.]example"
    parts = {"ours": Shape(label=T), "theirs": Shape(label=U)}
    turn = Ready(
        params={"to": link, "body": {"ours": link, "theirs": [link, 7, {link: None}]}},
        origins={"to": {"from": "s1", "label": U}, "body/theirs": {"from": "s1", "label": U}},
        shapes={"to": Shape(label=U), "body": Shape(label=T, fields=parts, open=False)},
    )
    out = guarded(_definition("external"), turn)
    assert out.params == {"to": link, "body": {"ours": link, "theirs": [left, 7, {left: None}]}}
    assert guarded(_definition(), turn) is turn
    assert guarded_places(_definition("external"), turn.origins) == ["body/theirs"]
    assert guarded_places(_definition(), turn.origins) == []


def test_a_long_text_is_no_trap() -> None:
    """Time grows with the length, whatever stands in it."""
    for part in ("a.", "http://", "a-", "www.", "http:", "x@", "[:]//", "."):
        assert len(without_links(part * 20_000)) >= 20_000
