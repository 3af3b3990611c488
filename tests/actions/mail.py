"""What the mail tests share: an account on this machine, and a strict look at what arrived."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest

from steward.action import ActionFailed
from steward.actions.addresses import parse_sender
from steward.actions.email import EmailSend
from steward.actions.smtp import SmtpAccount, SmtpSecurity
from tests.actions.conftest import attempt
from tests.actions.servers import Mailbox

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
    return email.message_from_bytes(raw(mailbox, index), policy=email.policy.strict)


def raw(mailbox: Mailbox, index: int = -1) -> bytes:
    """Return an arrived mail as it came."""
    content = mailbox.arrived[index].content
    assert isinstance(content, bytes)
    return content


def attached(message: EmailMessage) -> list[tuple[str | None, str, Any]]:
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
