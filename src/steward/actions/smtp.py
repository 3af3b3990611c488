"""Hands one mail to the installation's mail server, and says honestly what became of it.

Until the last byte of the message has left, a failure is ``ActionFailed``: nothing was sent. From then on only the
server's own answer counts; without one the outcome is unknown. A message goes to all its recipients or to none: if the
server refuses one, the message itself is never handed over.
"""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib.errors import SMTPConnectError, SMTPServerDisconnected

from steward.action import ActionFailed, OutcomeUnknown
from steward.actions.addresses import Sender, parse_sender
from steward.actions.message import Envelope
from steward.errors import ConfigurationError
from steward.redaction import redact_text

_BEFORE_DATA_S: Final = 45.0
_STEP_S: Final = 20.0
_QUIT_S: Final = 3.0
ANSWER_S: Final = 60.0
"""How long to wait for the server's verdict on a message, in seconds."""
_MAX_REPLY_CHARS: Final = 200
_START_INPUT: Final = 354
_PORTS: Final = {"smtp": 587, "smtps": 465}
_LEADING_DOT: Final = re.compile(rb"(?m)^\.")


class SmtpSecurity(StrEnum):
    """How the connection is protected."""

    PLAIN = "plain"
    """Not at all: only to this very machine."""
    STARTTLS = "starttls"
    """Upgraded before anything is said; a server that does not offer it is refused."""
    TLS = "tls"
    """From the first byte."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    security: SmtpSecurity
    sender: Sender
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse an open connection to another machine: mail and password would travel in clear."""
        if self.security is SmtpSecurity.PLAIN and not _is_loopback(self.host):
            raise ConfigurationError("SMTP_URL: a server on another machine needs STARTTLS or TLS.")


def smtp_account(url: str, sender: str | None) -> SmtpAccount:
    """Return the account of ``SMTP_URL`` and ``SMTP_FROM``; raise ``ConfigurationError`` naming the one that is wrong.

    ``smtp://user:password@host:587`` upgrades with STARTTLS, except that a server on this machine is spoken to plainly;
    ``smtps://…:465`` is TLS throughout. Without ``SMTP_FROM`` the user name is the sender, if it is an address.
    """
    wrong = "SMTP_URL must look like smtp://user:password@host:587 or smtps://user:password@host:465"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{wrong}.") from None
    if re.search(r"[\x00-\x20\x7f]", url) or parts.scheme not in _PORTS or not host or port == 0:
        raise ConfigurationError(f"{wrong}.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or (parts.password and not parts.username):
        raise ConfigurationError(
            f"{wrong}, with nothing after the port; percent-encode special characters in a password."
        )
    plain = SmtpSecurity.PLAIN if _is_loopback(host) else SmtpSecurity.STARTTLS
    username = unquote(parts.username) if parts.username else None
    try:
        origin = parse_sender(sender or username or "")
    except ValueError as error:
        raise ConfigurationError(
            "SMTP_FROM must be the address that mail is sent from, such as office@example.com or 'Office <office@example.com>'."
        ) from error
    return SmtpAccount(
        host=host,
        port=port or _PORTS[parts.scheme],
        security=SmtpSecurity.TLS if parts.scheme == "smtps" else plain,
        sender=origin,
        username=username,
        password=unquote(parts.password) if parts.password else None,
    )


def _said(code: int, message: str) -> str:
    """Return the server's words, short, printable and redacted."""
    words = "".join(letter if letter.isprintable() else " " for letter in message)
    return f"{code} {redact_text(words)[:_MAX_REPLY_CHARS]}".strip()


def _not_sent(error: Exception) -> ActionFailed:
    """Return what an error before the message left means: never sent, and whether trying again may help."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        final = 500 <= error.code < 600  # noqa: PLR2004 - the permanent failures of SMTP
        code = "smtp_login_refused" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else "smtp_refused"
        return ActionFailed(code, f"The mail server refused: {_said(error.code, error.message)}", retryable=not final)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return ActionFailed("smtp_tls_failed", "The mail server's certificate or TLS settings were not accepted.")
    if isinstance(error, TimeoutError):
        return ActionFailed("smtp_timed_out", "The mail server did not answer in time.", retryable=True)
    if isinstance(error, OSError | SMTPServerDisconnected | SMTPConnectError):
        return ActionFailed("smtp_unreachable", "The mail server could not be reached or hung up.", retryable=True)
    return ActionFailed("smtp_not_supported", f"The mail server cannot do what this mail needs: {error}"[:300])


async def _address(client: aiosmtplib.SMTP, envelope: Envelope) -> None:
    """Name the sender and every recipient; raise ``ActionFailed`` if the server refuses even one of them."""
    encoding, options = "ascii", []
    if envelope.needs_smtputf8:
        if not client.supports_extension("smtputf8"):
            raise ActionFailed("smtp_not_supported", "The mail server does not take addresses with such letters.")
        encoding, options = "utf-8", ["SMTPUTF8"]
    if client.supports_extension("size"):
        options.append(f"SIZE={len(envelope.data)}")
    await client.mail(str(envelope.sender), options=options, encoding=encoding)
    refused: list[aiosmtplib.SMTPRecipientRefused] = []
    for recipient in envelope.recipients:
        try:
            await client.rcpt(str(recipient), encoding=encoding)
        except aiosmtplib.SMTPRecipientRefused as error:
            refused.append(error)
    if refused:
        first = refused[0]
        raise ActionFailed(
            "recipient_refused",
            f"Nothing was sent: the mail server refused {len(refused)} of {len(envelope.recipients)} recipients, "
            f"first {first.recipient}: {_said(first.code, first.message)}",
            retryable=all(error.code < 500 for error in refused),  # noqa: PLR2004 - see above
        )


async def _hand_over(client: aiosmtplib.SMTP, data: bytes, answer_s: float) -> None:
    """Send the message itself. Once its last byte is out, only the server's answer tells what became of it.

    The two halves of DATA are sent apart (the library offers them only as one) to know on which side of that point a
    failure lies.
    """
    protocol = client.protocol
    if protocol is None:
        raise SMTPServerDisconnected("Connection lost")
    protocol.write(_LEADING_DOT.sub(b"..", data) + b".\r\n")
    try:
        async with asyncio.timeout(answer_s):
            code, message = await protocol.read_response()
    except (OSError, aiosmtplib.SMTPException) as error:  # TimeoutError is an OSError
        raise OutcomeUnknown(
            "smtp_no_answer", "The whole message was sent, but the mail server did not say whether it took it."
        ) from error
    if 400 <= code < 600:  # noqa: PLR2004 - the failures of SMTP
        raise aiosmtplib.SMTPDataError(code, message)
    if not 200 <= code < 300:  # noqa: PLR2004 - the success range
        raise OutcomeUnknown("smtp_odd_answer", f"The mail server answered the message with {_said(code, message)}")


async def deliver(
    account: SmtpAccount,
    envelope: Envelope,
    *,
    tls_context: ssl.SSLContext | None = None,
    answer_s: float = ANSWER_S,
) -> None:
    """Return once the server has accepted the mail for all its recipients.

    Raises ``ActionFailed`` if it certainly was not sent (``retryable`` for lost connections and 4xx, not for 5xx), and
    ``OutcomeUnknown`` if the message was sent and no answer came within ``answer_s`` seconds.
    """
    client = aiosmtplib.SMTP(
        hostname=account.host,
        port=account.port,
        username=account.username,
        password=account.password,
        local_hostname=account.sender.address.domain,
        use_tls=account.security is SmtpSecurity.TLS,
        start_tls=account.security is SmtpSecurity.STARTTLS,
        tls_context=tls_context,
        timeout=_STEP_S,
    )
    try:
        async with asyncio.timeout(_BEFORE_DATA_S):
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            await _address(client, envelope)
            code, message = await client.execute_command(b"DATA")
            if code != _START_INPUT:
                raise aiosmtplib.SMTPDataError(code, message)
        await _hand_over(client, envelope.data, answer_s)
    except (OSError, aiosmtplib.SMTPException, ValueError) as error:
        raise _not_sent(error) from error
    else:
        with contextlib.suppress(OSError, aiosmtplib.SMTPException):
            await client.quit(timeout=_QUIT_S)
    finally:
        client.close()
