"""What ``email.send`` refuses before anything is sent: addresses, headers, attachments, sizes."""

import base64
from typing import Any

import pytest

from steward.action import ActionContext
from steward.actions.email import EmailSend
from tests.actions.conftest import fits
from tests.actions.mail import LETTER, PDF, account, attached, failure, parsed
from tests.actions.servers import Mailbox, mail_server

pytestmark = pytest.mark.anyio
INJECTED = ["a\r\nBcc: x@example.org", "a\nBcc: x@example.org", "a\rb", "a\0b", "a\u2028b", "a\x0bb", "a\x85b", "a\n"]


@pytest.mark.parametrize("bad", INJECTED)
@pytest.mark.parametrize("field", ["subject", "to", "cc", "bcc", "reply_to", "filename", "content_type", "file"])
async def test_w73_header_injection_is_refused(field: str, bad: str) -> None:
    """A line break or control character in anything that reaches a header is refused, by schema and by the action."""
    if field in {"filename", "content_type", "file"}:
        item = {"filename": "a.txt", "content_base64": "aGk=", field: bad}
        if field == "file":
            del item["content_base64"]
        params = {**LETTER, "attachments": [item]}
    else:
        params = {**LETTER, field: bad if field == "subject" else f"{bad}@example.com"}
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        refusal = await failure(EmailSend(account(port)), params)
    assert (refusal.code, refusal.retryable) == ("invalid_params", False)
    assert mailbox.arrived == []
    assert not fits(EmailSend(None).definition, params)


@pytest.mark.parametrize("field", ["subject", "filename"])
async def test_w73_an_encoded_line_break_is_refused(field: str) -> None:
    """The library decodes '=?…?=' in headers, line breaks included; such text never gets that far."""
    sly = "=?utf-8?q?Hi=0D=0ABcc:_x=40example.org?="
    params = (
        {**LETTER, "subject": sly}
        if field == "subject"
        else {**LETTER, "attachments": [{"filename": sly + ".txt", "content_base64": "aGk="}]}
    )
    async with mail_server(Mailbox()) as port:
        assert (await failure(EmailSend(account(port)), params)).code == "invalid_params"


@pytest.mark.parametrize(
    "address",
    [
        "office@example.com\n",
        "office@example.com\r\n",
        "\noffice@example.com",
        "office@example.com\0",
        "office@example.com ",
        "office@@example.com",
        "of fice@example.com",
        "office@exam ple.com",
        "office",
        "@example.com",
        "office@",
        "office@localhost",
        "office@example..com",
        "office@.example.com",
        "office@-example.com",
        "office@example.com.",
        "office@[127.0.0.1]",
        "office@127.0.0.1",
        "Office <office@example.com>",
        "<office@example.com>",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        '"a b"@example.com',
        ".office@example.com",
        "office.@example.com",
        "of..fice@example.com",
        "office@example\uff0ecom",
        "office@example\u3002com",
        "office@\uff45xample.com",
        "office\uff20example.com",
        "off\u200bice@example.com",
        "off\u202eice@example.com",
        "office@exa_mple.com",
        "office@" + "a" * 64 + ".com",
        "a" * 65 + "@example.com",
        "office@" + "a." * 125 + "com",
        "",
    ],
)
async def test_w75_only_a_whole_plain_address_is_taken(address: str) -> None:
    """Trailing newlines, look-alike letters, display names, lists in one string and the like are refused."""
    async with mail_server(Mailbox()) as port:
        refusal = await failure(EmailSend(account(port)), {**LETTER, "to": address})
    assert (refusal.code, refusal.retryable) == ("invalid_params", False)


@pytest.mark.parametrize(
    "content", ["aGk=!!!", "aGk", "aGl=", "aG k=", "aGk=\n", " aGk=", "aGk==", "=", "aGk_", "ü==="]
)
async def test_w80_base64_is_read_strictly(content: str) -> None:
    """Only the one proper spelling of the bytes is taken."""
    params = {**LETTER, "attachments": [{"filename": "a.txt", "content_base64": content}]}
    async with mail_server(Mailbox()) as port:
        assert (await failure(EmailSend(account(port)), params)).code == "invalid_params"


@pytest.mark.parametrize(
    ("filename", "content_type", "content"),
    [
        ("a.txt", "Application/X-MSDownload", b"hi"),
        ("a.txt", "application/zip; a=b", b"PK\x03\x04"),
        ("a.txt", "text/html", b"<p>"),
        ("a.txt", "nonsense", b"hi"),
        ("a.txt", "", b"hi"),
        ("a.xyz", None, b"hi"),
        ("run.EXE", "text/plain", b"hi"),
        ("invoice.pdf.exe", "application/pdf", PDF),
        ("page.html", "text/plain", b"hi"),
        ("a.pdf", "application/pdf", b"MZ\x90\x00"),
        ("a.png", "image/png", PDF),
        ("a.webp", "image/webp", b"RIFF0000WAVE"),
        ("a.txt", "text/plain", b"\x7fELF\x02\x00"),
        ("a.docx", None, b"MZ\x90\x00"),
    ],
)
async def test_w74_attachment_types_are_checked(filename: str, content_type: str | None, content: bytes) -> None:
    """The type is compared in one spelling against those allowed, and ending and first bytes must agree with it."""
    item = {"filename": filename, "content_base64": base64.b64encode(content).decode()}
    if content_type is not None:
        item["content_type"] = content_type
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        refusal = await failure(EmailSend(account(port)), {**LETTER, "attachments": [item]})
    assert (refusal.code, refusal.retryable) == ("attachment_refused", False)
    assert mailbox.arrived == []


@pytest.mark.parametrize(
    "name", ["..", ".", "...", "a/..", "CON.txt", "nul", "x\u202efdp.txt", "a" * 256 + ".txt", "a.exe. "]
)
async def test_odd_filenames_are_refused(name: str) -> None:
    """A name that is no plain file name on the reader's machine is refused."""
    async with mail_server(Mailbox()) as port:
        item = {"filename": name, "content_type": "text/plain", "content_base64": "aGk="}
        assert not (await failure(EmailSend(account(port)), {**LETTER, "attachments": [item]})).retryable


async def test_attachments_arrive_with_clean_names_and_types(context: ActionContext) -> None:
    """Path parts are stripped, types lose case and parameters or are guessed, bytes arrive as given."""
    mailbox = Mailbox()
    items = [
        {
            "filename": "C:\\Users\\me\\Rechnung März.pdf",
            "content_type": "Application/PDF; name=x",
            "content_base64": base64.b64encode(PDF).decode(),
        },
        {"filename": "../../etc/notes.txt", "content_base64": ""},
        {"filename": 'quo"te; x=y.csv', "content_base64": base64.b64encode(b"a,b\n1,2").decode()},
    ]
    async with mail_server(mailbox) as port:
        await EmailSend(account(port)).run({**LETTER, "attachments": items}, context)
    assert attached(parsed(mailbox)) == [
        ("Rechnung März.pdf", "application/pdf", PDF),
        ("notes.txt", "text/plain", b""),
        ('quo"te; x=y.csv', "text/csv", b"a,b\n1,2"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {
            "to": [f"a{number}@example.com" for number in range(90)],
            "cc": [f"b{number}@example.com" for number in range(11)],
        },
        {"subject": "x" * 999},
        {"text": "a\0b"},
        {"html": "a\0b"},
        {"text": "\ud800"},
        {"attachments": [{"filename": "a.txt", "content_base64": ""}] * 11},
        {"attachments": [{"filename": "a.txt"}]},
        {"attachments": [{"content_base64": "aGk="}]},
        {"attachments": [{"filename": "a.txt", "content_base64": "aGk=", "file": "a.txt"}]},
        {"attachments": [{"file": "a.txt"}]},
    ],
)
async def test_limits_hold_without_the_schema(wrong: dict[str, Any]) -> None:
    """What only a reference could bring in after the plan check is refused by the action as well."""
    async with mail_server(Mailbox()) as port:
        assert (await failure(EmailSend(account(port)), {**LETTER, **wrong})).code == "invalid_params"


def test_the_schema_takes_what_the_action_takes() -> None:
    """The plan check passes a full, proper mail and stops what is malformed or unknown."""
    definition = EmailSend(None).definition
    full = {
        "to": ["office@example.com", "büro@Bücher.example"],
        "cc": [],
        "bcc": "a.b+c@sub.example.com",
        "subject": "Grüße: 100 % = ok?",
        "text": "a\nb",
        "html": "<p>",
        "attachments": [{"file": "notes/a.pdf"}, {"filename": "a.txt", "content_base64": "aGk="}],
    }
    assert fits(definition, full)
    for wrong in (
        {**full, "extra": 1},
        {"text": "x"},
        {"to": "a@example.com"},
        {**full, "to": 3},
        {**full, "to": []},
        {**full, "to": "office@example.com\n"},
        {**full, "to": "office@localhost"},
        {**full, "to": ["a@example.com"] * 101},
        {**full, "subject": "x" * 999},
        {**full, "subject": "a\n"},
        {**full, "text": "a\0"},
        {**full, "attachments": [{"filename": "a.txt"}]},
        {**full, "attachments": [{"filename": "a.txt", "content_base64": "aGk=\n"}]},
        {**full, "attachments": [{"file": "a.txt", "filename": "a.txt", "content_base64": "aGk="}]},
    ):
        assert not fits(definition, wrong), wrong
