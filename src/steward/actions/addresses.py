"""E-mail addresses: one strict form, ``local@domain``, the whole string.

Quoted local parts, comments, display names, address literals and single-label domains are refused: nobody needs them to
reach a person, and each has been used to smuggle something. A domain in other scripts is kept in its ASCII form.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import idna

from steward.action import ActionFailed
from steward.actions.base import ONE_LINE, invalid, require_one_line
from steward.policy_facts import DOT_ALIKES

MAX_ADDRESS_CHARS: Final = 254
_MAX_LOCAL_BYTES: Final = 64
_ATOM: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*"
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SENDER: Final = re.compile(r'"?(?P<name>[^<>"]*?)"?\s*<(?P<address>[^<>]+)>')

ADDRESS_PATTERN: Final = (
    ONE_LINE + r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\".]+(?:\.[^\s@<>()\[\],;:\\\".]+)+(?![\s\S])"
)
"""For JSON Schema: rough, but refuses whatever could reach a header. ``parse_address`` has the last word."""


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A checked address; ``domain`` is ASCII in lower case, ``local`` may hold any letters."""

    local: str
    domain: str

    def __str__(self) -> str:
        """Return ``local@domain``."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the server must speak SMTPUTF8 to take it."""
        return not self.local.isascii()


def _ascii_domain(domain: str) -> str | None:
    """Return the domain in lower-case ASCII, None if it is no public-looking domain name."""
    if DOT_ALIKES.search(domain):
        return None
    try:
        # Strict IDNA 2008, no mapping: full-width and other compatibility letters are refused, not guessed at.
        plain = domain.lower() if domain.isascii() else idna.encode(domain.lower()).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None
    labels = plain.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():  # noqa: PLR2004
        return None
    return plain


def parse_address(text: str, what: str = "The address") -> MailAddress:
    """Return a checked address; raise ``ActionFailed`` (``invalid_params``) saying what is wrong with ``what``."""
    require_one_line(text, what)
    local, at, domain = text.rpartition("@")
    ascii_domain = _ascii_domain(domain)
    if not at or ascii_domain is None or not _ATOM.fullmatch(local) or len(text) > MAX_ADDRESS_CHARS:
        raise invalid(f"{what} is not an e-mail address of the form name@example.com.")
    hidden = any(unicodedata.category(letter)[0] in "CZ" for letter in local)
    if hidden or len(local.encode()) > _MAX_LOCAL_BYTES or len(local.encode()) + len(ascii_domain) >= MAX_ADDRESS_CHARS:
        raise invalid(f"{what} is too long or holds a blank or hidden character.")
    return MailAddress(local, ascii_domain)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who mail comes from: an address, and a name to show, blank for none."""

    address: MailAddress
    name: str = ""


def parse_sender(text: str) -> Sender:
    """Return ``name@example.com`` or ``Name <name@example.com>`` as a sender; raise ``ValueError`` for anything else."""
    match = _SENDER.fullmatch(text.strip())
    name, address = (match["name"].strip(), match["address"]) if match else ("", text.strip())
    try:
        require_one_line(name, "The name")
        if "=?" in name:
            raise ValueError("the name is already encoded")
        return Sender(parse_address(address), name)
    except ActionFailed as error:
        raise ValueError(error.detail) from None
