"""Builds the mail that is sent: headers folded, lines ended by CRLF, everything but SMTPUTF8 addresses in seven bits.

Nothing here trusts a value: the library would decode ``=?…?=`` in a header and let a line break out of it, so such text
is refused along with plain control characters.
"""

import email.policy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from steward.actions.addresses import MailAddress, Sender
from steward.actions.attachments import Attachment
from steward.actions.base import invalid, require_one_line, require_unicode

MAX_SUBJECT_CHARS: Final = 998
_SEVEN_BIT: Final = email.policy.SMTP.clone(cte_type="7bit")
_UTF8_HEADERS: Final = email.policy.SMTPUTF8.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What somebody wants sent, checked."""

    sender: Sender
    to: Sequence[MailAddress]
    cc: Sequence[MailAddress]
    bcc: Sequence[MailAddress]
    reply_to: Sequence[MailAddress]
    subject: str
    text: str
    html: str | None
    attachments: Sequence[Attachment]

    @property
    def recipients(self) -> tuple[MailAddress, ...]:
        """Everyone who gets it, each once."""
        return tuple(dict.fromkeys([*self.to, *self.cc, *self.bcc]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A finished mail and what the server must be told about it."""

    sender: MailAddress
    recipients: tuple[MailAddress, ...]
    message_id: str
    needs_smtputf8: bool
    data: bytes
    """The message with CRLF line ends, no dots stuffed."""


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID of the mail with this idempotency key: always the same one, telling nothing about the key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def checked_subject(subject: str) -> str:
    """Return ``subject``; raise ``ActionFailed`` if it cannot safely stand in a header."""
    require_one_line(subject, "The subject")
    if "=?" in subject:
        raise invalid("The subject holds '=?', which marks encoded headers; leave it out.")
    if len(subject) > MAX_SUBJECT_CHARS:
        raise invalid(f"The subject is longer than {MAX_SUBJECT_CHARS} characters.")
    return subject


def checked_body(text: str, what: str) -> str:
    """Return ``text`` with one kind of line end; raise ``ActionFailed`` for NUL or half a character."""
    if "\0" in text:
        raise invalid(f"{what} holds a NUL character.")
    return require_unicode(text, what).replace("\r\n", "\n").replace("\r", "\n")


def _addresses(addresses: Sequence[MailAddress]) -> tuple[Address, ...]:
    return tuple(Address(username=address.local, domain=address.domain) for address in addresses)


def build(letter: Letter, *, key: str, date: datetime) -> Envelope:
    """Return the mail for ``letter``; ``key`` decides the Message-ID, ``date`` is aware."""
    shown = [letter.sender.address, *letter.to, *letter.cc, *letter.reply_to]
    utf8 = any(address.needs_smtputf8 for address in [*shown, *letter.bcc])
    message = EmailMessage(policy=_UTF8_HEADERS if utf8 else _SEVEN_BIT)
    name = message_id(key, letter.sender.address.domain)
    origin = letter.sender.address
    message["From"] = Address(letter.sender.name, origin.local, origin.domain)
    for header, addresses in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if addresses:
            message[header] = _addresses(addresses)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(date)
    message["Message-ID"] = name
    message.set_content(letter.text)
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html")
    for attachment in letter.attachments:
        maintype, _, subtype = attachment.content_type.partition("/")
        message.add_attachment(attachment.content, maintype=maintype, subtype=subtype, filename=attachment.filename)
    return Envelope(
        sender=origin,
        recipients=letter.recipients,
        message_id=name,
        needs_smtputf8=utf8,
        data=message.as_bytes(),
    )
