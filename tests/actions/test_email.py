"""``email.send`` against real SMTP servers."""

import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steward.action import ActionContext, OutcomeUnknown
from steward.actions.email import NO_SUBJECT, EmailSend
from steward.actions.smtp import SmtpSecurity
from steward.actions.workspace_files import WorkspaceFiles
from tests.actions.conftest import attempt
from tests.actions.mail import LETTER, PDF, account, attached, body, failure, parsed, raw
from tests.actions.servers import Mailbox, mail_server, scripted_mail_server
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


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


async def test_w97_a_wrong_password_fails_for_good_and_stays_secret(
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


async def test_w85_empty_attachments_go_out(tmp_path: Path, context: ActionContext) -> None:
    """A file of no bytes, from the workspace or inline, is an attachment like any other."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "empty.txt").touch()
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        action = EmailSend(account(port), files=WorkspaceFiles(tmp_path))
        inline = {"filename": "inline.csv", "content_base64": ""}
        await action.run({**LETTER, "attachments": [{"file": "empty.txt"}, inline]}, context)
    assert [(name, content) for name, _, content in attached(parsed(mailbox))] == [
        ("empty.txt", b""),
        ("inline.csv", b""),
    ]


async def test_lines_that_begin_with_a_dot_arrive_unchanged(context: ActionContext) -> None:
    """A lone dot, which ends a message on the wire, is just text here."""
    text = ".\n..\n.hidden\nend."
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        await EmailSend(account(port)).run({**LETTER, "text": text}, context)
    assert body(parsed(mailbox)) == text + "\n"


@pytest.mark.slow
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


async def test_w68_without_smtp_url_the_action_is_disabled_and_refuses() -> None:
    """It says which setting would enable it, and run by mistake it does nothing."""
    action = EmailSend(None)
    assert not action.definition.enabled
    assert "SMTP_URL" in action.definition.disabled_because
    assert (await failure(action, LETTER)).code == "not_configured"
    assert EmailSend(account(25)).definition.enabled
    assert EmailSend(account(25)).definition.definition_hash == action.definition.definition_hash
