"""What becomes of the HTML of a mail: nothing in it can run or hide, and what it shows stays as it was."""

import pytest

from steward.action import ActionFailed
from steward.actions.email import EmailSend
from steward.actions.mail_html import cleaned_html
from tests.actions.conftest import attempt, fits
from tests.actions.mail import LETTER, account, body, failure, parsed
from tests.actions.servers import Mailbox, mail_server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "html",
    [
        '<img src="cid:logo">',
        "<p>Hello</p><IMG SRC=' CID:logo'>",
        '<p><a href="cid:logo">logo</a></p>',
        '<img src="&#99;id:logo" alt="x">',
    ],
)
async def test_w76_a_picture_that_is_not_there_is_refused(html: str) -> None:
    """A mail has no parts that its html could show, so html that asks for one is refused and nothing is sent."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        refusal = await failure(EmailSend(account(port)), {**LETTER, "html": html})
    assert (refusal.code, refusal.retryable) == ("invalid_params", False)
    assert "cid:" in refusal.detail
    assert mailbox.arrived == []


def test_w76_inline_images_do_not_vanish() -> None:
    """There is no parameter for them, and one that is not there is refused rather than dropped."""
    picture = {"cid": "logo", "filename": "logo.png", "content_type": "image/png", "data": "aGk="}
    assert not fits(EmailSend(None).definition, {**LETTER, "inline": [picture]})
    assert not fits(EmailSend(None).definition, {**LETTER, "html": "<p>x</p>", "inline": [picture]})


@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("<p>a<script>steal()</script>b</p>", "<p>ab</p>"),
        ("<p>a</p><style>p{color:red}</style>", "<p>a</p>"),
        ("<p>a</p><SCRIPT\n>steal()</SCRIPT >", "<p>a</p>"),
        ("<p>a</p><svg><script>steal()</script></svg>", "<p>a</p>"),
        ("<p>a</p><noscript><p title='</noscript><img src=x onerror=steal()>'>", "<p>a</p><img>'&gt;"),
        ("<p onclick='steal()'>a</p>", "<p>a</p>"),
        ("<html><head><title>t</title></head><body><p>a</p></body></html>", "<p>a</p>"),
        ("<form action='https://example.org'><input name='password'>a</form>", "a"),
        ("<p>a</p><!-- secret -->", "<p>a</p>"),
        ("<p style='color:red'>a</p>", '<p style="color:red">a</p>'),
        (
            "<p style='color:red;position:fixed;margin-top:4px;background-image:url(https://example.org/x)'>a</p>",
            '<p style="color:red;margin-top:4px">a</p>',
        ),
        (
            "<table><tr><td colspan='2'>a</td></tr></table>",
            '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>',
        ),
        ("<p>Grüße &amp; Küsse &lt;3</p>", "<p>Grüße &amp; Küsse &lt;3</p>"),
    ],
)
def test_w77_what_could_run_goes_with_all_that_is_in_it(html: str, clean: str) -> None:
    """Scripts and style sheets leave no text behind; common styles stay, the others go one by one."""
    assert cleaned_html(html) == clean
    assert cleaned_html(clean) == clean


async def test_w77_what_is_sent_is_clean() -> None:
    """The mail that arrives has the cleaned html, and the text as it was."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        await EmailSend(account(port)).run({**LETTER, "html": "<p>Hello<script>steal()</script></p>"}, attempt())
    assert body(parsed(mailbox), "html") == "<p>Hello</p>\n"
    assert body(parsed(mailbox)) == "Good morning.\n"


def test_w77_html_of_which_nothing_is_left_is_refused() -> None:
    """Rather than a mail with an empty part."""
    with pytest.raises(ActionFailed) as caught:
        cleaned_html("<script>steal()</script>")
    assert caught.value.code == "invalid_params"


@pytest.mark.parametrize(
    "url",
    [
        "tel:+390412345",
        "javascript:steal()",
        " jAvAsCrIpT:steal()",
        "java\nscript:steal()",
        "&#106;avascript:steal()",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//example.org/x",
        "/relative",
    ],
)
def test_w78_only_known_protocols_are_linked_to(url: str) -> None:
    """Links and pictures lead to http, https and mailto; any other address is taken out of its tag."""
    assert cleaned_html(f'<a href="{url}">a</a>') == "<a>a</a>"
    assert cleaned_html(f'<p>a</p><img src="{url}">') == "<p>a</p><img>"
    for good in ("https://example.com/x", "http://example.com/x", "mailto:office@example.com"):
        assert cleaned_html(f'<a href="{good}">a</a>') == f'<a href="{good}">a</a>'
