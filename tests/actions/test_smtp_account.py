"""The mail server's settings: what is read, and what is refused by name."""

import pytest

from steward.actions.addresses import parse_sender
from steward.actions.smtp import SmtpAccount, SmtpSecurity, smtp_account
from steward.errors import ConfigurationError


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
