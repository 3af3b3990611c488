"""``email.send`` against real SMTP servers."""

import base64
import email
import email.policy
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest

from steward.action import ActionContext, ActionFailed, OutcomeUnknown
from steward.actions.addresses import parse_sender
from steward.actions.email import NO_SUBJECT, EmailSend
from steward.actions.smtp import SmtpAccount, SmtpSecurity, smtp_account
from steward.actions.workspace_files import WorkspaceFiles
from steward.errors import ConfigurationError
from tests.actions.conftest import attempt, fits
from tests.actions.servers import Mailbox, mail_server, scripted_mail_server
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio
LETTER = {"to": "office@example.com", "subject": "Hello", "text": "Good morning."}
PDF = b"%PDF-1.7\n"


def account(port: int, security: SmtpSecurity = SmtpSecurity.PLAIN, **extra: Any) -> SmtpAccount:
    """Return an account on this machine's server."""
    sender = parse_sender("Steward <steward@example.org>")
    return SmtpAccount(
        host="localhost" if security != "plain" else "127.0.0.1", port=port, security=security, sender=sender, **extra
    )


def parsed(mailbox: Mailbox, index: int = -1) -> EmailMessage:
    """Return an arrived mail, read by a parser that raises at any defect."""
    return cast("EmailMessage", email.message_from_bytes(raw(mailbox, index), policy=email.policy.strict))


def raw(mailbox: Mailbox, index: int = -1) -> bytes:
    """Return an arrived mail as it came."""
    content = mailbox.arrived[index].content
    assert isinstance(content, bytes)
    return content


def attached(message: EmailMessage) -> list[tuple[str | None, str, bytes]]:
    """Return (name, type, content) of each attachment."""
    return [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in message.iter_attachments()
    ]


def body(message: EmailMessage, kind: str = "plain") -> str:
    """Return the text or html with plain line ends."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def failure(action: EmailSend, params: dict[str, Any]) -> ActionFailed:
    """Run and return the ``ActionFailed`` that must come."""
    with pytest.raises(ActionFailed) as caught:
        await action.run(params, attempt())
    return caught.value


async def test_a_mail_arrives_with_everything_in_its_place(context: ActionContext) -> None:
    """To, Cc, Reply-To, subject, text and html are in the mail; Bcc gets it without standing in it."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        result = await EmailSend(account(port), clock=FakeClock()).run(
            {
                "to": ["office@example.com", "desk@example.com"],
                "cc": "copy@example.com",
                "bcc": ["hidden@example.com"],
                "reply_to": "answers@example.org",
                "subject": "Grüße",
                "text": "Zeile eins\n.\nZeile drei",
                "html": "<p>Hello</p>",
            },
            context,
        )
    message = parsed(mailbox)
    assert mailbox.arrived[0].mail_from == "steward@example.org"
    assert mailbox.arrived[0].rcpt_tos == [
        "office@example.com",
        "desk@example.com",
        "copy@example.com",
        "hidden@example.com",
    ]
    assert str(message["From"]) == "Steward <steward@example.org>"
    assert str(message["To"]) == "office@example.com, desk@example.com"
    assert str(message["Cc"]) == "copy@example.com"
    assert str(message["Reply-To"]) == "answers@example.org"
    assert str(message["Subject"]) == "Grüße"
    assert message["Date"].datetime == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    assert b"hidden@example.com" not in raw(mailbox)
    assert body(message) == "Zeile eins\n.\nZeile drei\n"
    assert body(message, "html") == "<p>Hello</p>\n"
    assert result == {
        "message_id": str(message["Message-ID"]),
        "accepted": mailbox.arrived[0].rcpt_tos,
        "subject": "Grüße",
    }


async def test_the_message_id_belongs_to_the_job() -> None:
    """The same key gives the same Message-ID in every attempt; another key, or workspace, gives another."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        action = EmailSend(account(port))
        runs = [attempt(), attempt(), attempt(key="job_2"), attempt(workspace_id="other")]
        ids = [(await action.run(LETTER, each))["message_id"] for each in runs]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(name.endswith("@example.org>") and "job_" not in name for name in ids)


async def test_a_missing_subject_has_a_default_and_a_recipient_named_twice_gets_one_copy(
    context: ActionContext,
) -> None:
    """The subject is '(no subject)' unless given; to and cc share recipients without doubling them."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        params = {"to": "office@EXAMPLE.com", "cc": "office@example.com", "text": "Hi"}
        result = await EmailSend(account(port)).run(params, context)
    assert str(parsed(mailbox)["Subject"]) == NO_SUBJECT
    assert result["accepted"] == ["office@example.com"]
    assert EmailSend(None).definition.input_schema["properties"]["subject"]["default"] == NO_SUBJECT


async def test_login_over_starttls(
    context: ActionContext, certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """With STARTTLS the login and the mail travel encrypted."""
    mailbox = Mailbox()
    options = {"tls_context": certified("localhost"), "authenticator": mailbox.authenticate, "auth_required": True}
    async with mail_server(mailbox, **options) as port:
        login = account(port, SmtpSecurity.STARTTLS, username="steward", password="correct")
        await EmailSend(login, tls_context=trusting).run(LETTER, context)
    assert mailbox.logins == [b"steward"]
    assert mailbox.encrypted == [True]


async def test_login_over_tls(
    context: ActionContext, certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """With smtps:// everything is encrypted from the first byte."""
    mailbox = Mailbox()
    options = {"authenticator": mailbox.authenticate, "auth_require_tls": False}
    async with mail_server(mailbox, implicit_tls=certified("localhost"), **options) as port:
        login = account(port, SmtpSecurity.TLS, username="steward", password="correct")
        await EmailSend(login, tls_context=trusting).run(LETTER, context)
    assert mailbox.logins == [b"steward"]
    assert len(mailbox.arrived) == 1


async def test_a_wrong_password_fails_for_good_and_stays_secret(
    certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """A refused login is final, and neither the error nor the account shows the password."""
    mailbox = Mailbox()
    options = {"tls_context": certified("localhost"), "authenticator": mailbox.authenticate, "auth_required": True}
    async with mail_server(mailbox, **options) as port:
        login = account(port, SmtpSecurity.STARTTLS, username="steward", password="hunter2-secret")
        refusal = await failure(EmailSend(login, tls_context=trusting), LETTER)
    assert (refusal.code, refusal.retryable) == ("smtp_login_refused", False)
    assert "hunter2" not in repr(refusal) + repr(login)


async def test_a_server_without_starttls_never_sees_the_login() -> None:
    """Where STARTTLS is required and not offered, nothing is said: no login, no mail, no second try."""
    mailbox = Mailbox()
    options = {"authenticator": mailbox.authenticate, "auth_require_tls": False}
    async with mail_server(mailbox, **options) as port:
        login = account(port, SmtpSecurity.STARTTLS, username="steward", password="correct")
        refusal = await failure(EmailSend(login), LETTER)
    assert (refusal.code, refusal.retryable) == ("smtp_not_supported", False)
    assert (mailbox.logins, mailbox.arrived) == ([], [])


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_a_certificate_for_another_name_is_refused(
    security: SmtpSecurity, certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """The server must be who the setting names; otherwise nothing is sent."""
    mailbox, certificate = Mailbox(), certified("elsewhere.example.com")
    options: dict[str, Any] = (
        {"implicit_tls": certificate} if security is SmtpSecurity.TLS else {"tls_context": certificate}
    )
    async with mail_server(mailbox, **options) as port:
        refusal = await failure(EmailSend(account(port, security), tls_context=trusting), LETTER)
    assert (refusal.code, refusal.retryable) == ("smtp_tls_failed", False)
    assert mailbox.arrived == []


@pytest.mark.parametrize(("verdict", "retryable"), [("451 later", True), ("552 too much", False)])
async def test_a_refused_message_was_not_sent(verdict: str, *, retryable: bool) -> None:
    """The server's 4xx to the message may be tried again, its 5xx not; either way nothing was sent."""
    async with mail_server(Mailbox(verdict=verdict)) as port:
        refusal = await failure(EmailSend(account(port)), LETTER)
    assert (refusal.code, refusal.retryable) == ("smtp_refused", retryable)


@pytest.mark.parametrize("step", ["EHLO", "MAIL", "DATA"])
@pytest.mark.parametrize(("answer", "retryable"), [("421 busy", True), ("550 no", False)])
async def test_a_refusal_before_the_message_left(step: str, answer: str, *, retryable: bool) -> None:
    """At every step before the message a 4xx is retryable and a 5xx final, and no message is handed over."""
    refusals = {"DATA": "354 go on", "HELO": answer, step: answer}
    async with scripted_mail_server(refusals, "250 taken") as (port, messages):
        refusal = await failure(EmailSend(account(port)), LETTER)
    assert refusal.retryable is retryable
    assert messages == []


@pytest.mark.parametrize(
    ("refused", "retryable"),
    [
        ({"b@example.com": "550 unknown"}, False),
        ({"b@example.com": "451 later"}, True),
        ({"b@example.com": "451 later", "c@example.com": "550 unknown"}, False),
    ],
)
async def test_one_refused_recipient_means_nobody_gets_it(refused: dict[str, str], *, retryable: bool) -> None:
    """No partial sends: the message is not handed over when the server refuses any recipient."""
    mailbox = Mailbox(refused=refused)
    async with mail_server(mailbox) as port:
        params = {**LETTER, "to": ["a@example.com", "b@example.com", "c@example.com"]}
        refusal = await failure(EmailSend(account(port)), params)
    assert (refusal.code, refusal.retryable) == ("recipient_refused", retryable)
    assert mailbox.arrived == []


async def test_a_server_that_cannot_be_reached_may_be_tried_again() -> None:
    """A refused connection, and one that drops before the message, are retryable failures."""
    async with mail_server(Mailbox()) as port:
        pass
    assert (await failure(EmailSend(account(port)), LETTER)).retryable
    mailbox = Mailbox(hang_up_after="RCPT")
    async with mail_server(mailbox) as port:
        refusal = await failure(EmailSend(account(port)), LETTER)
    assert (refusal.code, refusal.retryable, mailbox.arrived) == ("smtp_unreachable", True, [])


async def test_w83_no_answer_to_the_message_is_an_unknown_outcome(context: ActionContext) -> None:
    """Once the whole message is out, silence and a dropped line mean unknown: it may have been sent, so never again."""
    async with scripted_mail_server({"DATA": "354 go on"}, None) as (port, messages):
        with pytest.raises(OutcomeUnknown) as silence:
            await EmailSend(account(port), answer_s=0.1).run(LETTER, context)
        assert len(messages) == 1
    mailbox = Mailbox(hang_up_after="DATA")
    async with mail_server(mailbox) as port:
        with pytest.raises(OutcomeUnknown) as dropped:
            await EmailSend(account(port)).run(LETTER, context)
    assert silence.value.code == dropped.value.code == "smtp_no_answer"
    assert len(mailbox.arrived) == 1
    assert EmailSend(None).definition.retry == "none"


async def test_an_answer_that_is_no_verdict_is_an_unknown_outcome(context: ActionContext) -> None:
    """Only a 2xx, 4xx or 5xx says what became of the message."""
    for verdict in ("354 what", "hello?"):
        async with scripted_mail_server({"DATA": "354 go on"}, verdict) as (port, _):
            with pytest.raises(OutcomeUnknown):
                await EmailSend(account(port)).run(LETTER, context)


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


async def test_international_domains_travel_in_ascii(context: ActionContext) -> None:
    """A domain in other scripts is sent in its ASCII form, which any server takes."""
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        result = await EmailSend(account(port)).run({**LETTER, "to": "office@Bücher.example"}, context)
    assert result["accepted"] == ["office@xn--bcher-kva.example"]
    assert str(parsed(mailbox)["To"]) == "office@xn--bcher-kva.example"


async def test_international_names_need_a_server_that_takes_them(context: ActionContext) -> None:
    """A local part in other scripts is sent with SMTPUTF8, and refused clearly where that is not offered."""
    mailbox, params = Mailbox(), {**LETTER, "to": "büro@example.com", "subject": "Grüße"}
    async with mail_server(mailbox, enable_SMTPUTF8=True) as port:
        result = await EmailSend(account(port)).run(params, context)
    assert result["accepted"] == ["büro@example.com"]
    assert "To: büro@example.com\r\n".encode() in raw(mailbox)
    async with mail_server(mailbox) as port:
        refusal = await failure(EmailSend(account(port)), params)
    assert (refusal.code, refusal.retryable, len(mailbox.arrived)) == ("smtp_not_supported", False, 1)


SUBJECTS = ["ü" * 998, "a" * 998, "Übersicht der Woche " * 40, "👩‍👩‍👧 " * 60]


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_w79_headers_are_folded_and_lines_are_short(subject: str, context: ActionContext) -> None:
    """Long subjects, names and bodies come out as lines a strict parser accepts, ended by CRLF, in seven bits."""
    mailbox = Mailbox()
    params = {
        "to": [f"recipient{number}@department{number}.example.com" for number in range(100)],
        "subject": subject,
        "text": "x" * 5000 + "\nbare\rcarriage\r\nreturns\n" + "ü" * 3000,
        "html": "<p>" + "y" * 5000 + "</p>",
        "attachments": [{"filename": "ä" * 100 + ".txt", "content_base64": base64.b64encode(b"z" * 5000).decode()}],
    }
    async with mail_server(mailbox) as port:
        await EmailSend(account(port)).run(params, context)
    content, message = raw(mailbox), parsed(mailbox)
    assert max(len(line) for line in content.split(b"\r\n")) <= 100
    assert content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")
    assert content.isascii()
    assert str(message["Subject"]) == subject.strip() or str(message["Subject"]) == subject
    assert len(message["To"].addresses) == 100
    assert body(message) == "x" * 5000 + "\nbare\ncarriage\nreturns\n" + "ü" * 3000 + "\n"
    assert attached(message) == [("ä" * 100 + ".txt", "text/plain", b"z" * 5000)]


async def test_lines_that_begin_with_a_dot_arrive_unchanged(context: ActionContext) -> None:
    """A lone dot, which ends a message on the wire, is just text here."""
    text = ".\n..\n.hidden\nend."
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        await EmailSend(account(port)).run({**LETTER, "text": text}, context)
    assert body(parsed(mailbox)) == text + "\n"


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


async def test_w81_the_largest_documented_attachment_passes(tmp_path: Path, context: ActionContext) -> None:
    """Workspace files up to exactly 10 MB together arrive; one byte more is refused before anything is sent."""
    home = tmp_path / "acme"
    home.mkdir()
    (home / "big.pdf").write_bytes(PDF + bytes(10 * 1024 * 1024 - len(PDF)))
    (home / "tiny.txt").write_bytes(b"x")
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        action = EmailSend(account(port), files=WorkspaceFiles(tmp_path))
        await action.run({**LETTER, "attachments": [{"file": "big.pdf"}]}, context)
        refusal = await failure(action, {**LETTER, "attachments": [{"file": "big.pdf"}, {"file": "tiny.txt"}]})
    [(name, kind, content)] = attached(parsed(mailbox))
    assert (name, kind, len(content)) == ("big.pdf", "application/pdf", 10 * 1024 * 1024)
    assert not refusal.retryable
    assert len(mailbox.arrived) == 1


async def test_a_message_larger_than_the_server_takes_is_refused_before_it_is_sent() -> None:
    """A server that announces its limit is told the size, and its refusal is final."""
    mailbox = Mailbox()
    async with mail_server(mailbox, data_size_limit=1000) as port:
        refusal = await failure(EmailSend(account(port)), {**LETTER, "text": "x" * 2000})
    assert (refusal.retryable, mailbox.arrived) == (False, [])


async def test_attached_files_come_from_the_own_workspace_only(tmp_path: Path) -> None:
    """No path leads to another workspace's file."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "rival").mkdir()
    (tmp_path / "rival" / "plan.txt").write_text("secret")
    (tmp_path / "acme" / "link.txt").symlink_to(tmp_path / "rival" / "plan.txt")
    async with mail_server(Mailbox()) as port:
        action = EmailSend(account(port), files=WorkspaceFiles(tmp_path))
        for path in ("../rival/plan.txt", str(tmp_path / "rival" / "plan.txt"), "link.txt", "missing.txt"):
            refusal = await failure(action, {**LETTER, "attachments": [{"file": path, "filename": "a.txt"}]})
            assert not refusal.retryable


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


async def test_w68_without_smtp_url_the_action_is_disabled_and_refuses() -> None:
    """It says which setting would enable it, and run by mistake it does nothing."""
    action = EmailSend(None)
    assert not action.definition.enabled
    assert "SMTP_URL" in action.definition.disabled_because
    assert (await failure(action, LETTER)).code == "not_configured"
    assert EmailSend(account(25)).definition.enabled
    assert EmailSend(account(25)).definition.definition_hash == action.definition.definition_hash


def test_smtp_url_is_read() -> None:
    """Scheme, port, credentials and sender come from the two settings."""
    given = smtp_account("smtp://us%40er:p%2Fw@mail.example.com", "Office <office@Example.org>")
    assert (given.host, given.port, given.security) == ("mail.example.com", 587, SmtpSecurity.STARTTLS)
    assert (given.username, given.password) == ("us@er", "p/w")
    assert (given.sender.name, str(given.sender.address)) == ("Office", "office@example.org")
    tls = smtp_account("smtps://office%40example.org:x@mail.example.com/", None)
    assert (tls.port, tls.security, str(tls.sender.address)) == (465, SmtpSecurity.TLS, "office@example.org")
    for local in ("smtp://127.0.0.1:1025", "smtp://localhost:1025", "smtp://[::1]:1025"):
        assert smtp_account(local, "a@example.com").security is SmtpSecurity.PLAIN


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",
        "mail.example.com:25",
        "smtp://",
        "smtp://:secret@mail.example.com",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:x",
        "smtp://mail.example.com/secret",
        "smtp://mail.example.com?secret",
        "smtp://user:secret@mail.exa\nmple.com",
        "smtp://user:sec ret@mail.example.com",
        "",
    ],
)
def test_a_wrong_smtp_url_is_named_and_not_shown(url: str) -> None:
    """The sentence names the variable, says the form, and repeats nothing that may be a password."""
    with pytest.raises(ConfigurationError) as caught:
        smtp_account(url, "a@example.com")
    assert "SMTP_URL" in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    "sender",
    [
        None,
        "",
        "office",
        "office@localhost",
        "a@example.com\nBcc: b@example.com",
        "A\nB <a@example.com>",
        "=?utf-8?q?x?= <a@example.com>",
        "a@example.com, b@example.com",
    ],
)
def test_a_wrong_sender_is_named(sender: str | None) -> None:
    """SMTP_FROM must be one address, with or without a name."""
    with pytest.raises(ConfigurationError, match="SMTP_FROM"):
        smtp_account("smtp://127.0.0.1:25", sender)


def test_an_open_connection_to_another_machine_cannot_be_made() -> None:
    """No account exists that would say a password in clear to another machine."""
    with pytest.raises(ConfigurationError, match="SMTP_URL"):
        SmtpAccount(host="mail.example.com", port=25, security=SmtpSecurity.PLAIN, sender=parse_sender("a@example.com"))


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
