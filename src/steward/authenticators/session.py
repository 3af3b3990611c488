"""Sessions: a browser that was given a key once presents a random handle instead, in a cookie that scripts cannot read.

A handle stands for a key and is good for as long as the key is, at most for half a day. It is no Bearer credential: the
web room asks about it only for requests of its own pages. A one-time code, which ``steward up`` prints, opens a session
without the key being typed anywhere. Only hashes of handles and codes are kept.
"""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from steward.authenticators.api_key import ApiKeyAuthenticator
from steward.clock import Clock
from steward.directory import Directory, Ticket, TicketKind
from steward.errors import Forbidden, Unauthenticated
from steward.identity import Principal
from steward.ids import is_id

SESSION: Final = timedelta(hours=12)
CODE: Final = timedelta(minutes=5)
_HANDLE_BYTES: Final = 32
_CODE_BYTES: Final = 15
_CODE_GROUP: Final = 6


class Opened(NamedTuple):
    """A session, and until when it lasts."""

    handle: str
    principal: Principal
    expires_at: datetime


class Sessions:
    """Opens, recognises and ends sessions."""

    def __init__(self, keys: ApiKeyAuthenticator, directory: Directory, clock: Clock) -> None:
        """Take who holds a key, where handles are kept, and the clock that expires them."""
        self._keys = keys
        self._directory = directory
        self._clock = clock

    async def issue_code(self, principal: Principal) -> str:
        """Return a code that opens one session of a key's holder within the next minutes."""
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
        await self._directory.add_ticket(self._ticket(TicketKind.CODE, code, principal, CODE))
        return "-".join(code[start : start + _CODE_GROUP] for start in range(0, len(code), _CODE_GROUP))

    async def redeem(self, code: str) -> Principal:
        """Return for whom a code opens a session, once; raise ``Unauthenticated`` for any other code."""
        ticket = await self._directory.take_ticket(TicketKind.CODE, _hash(code.replace("-", "").lower()))
        if ticket is None:
            raise Unauthenticated("The code is wrong, used or too old; 'steward up' prints a new one when it starts.")
        return await self._keys.holder(ticket.key_id)

    async def open(self, principal: Principal) -> Opened:
        """Open a session of a key's holder; raise ``Forbidden`` for anybody who came with another credential."""
        if not is_id(principal.actor_id, "key"):
            raise Forbidden("A session is opened with an API key.", code="session_needs_key")
        handle = secrets.token_urlsafe(_HANDLE_BYTES)
        ticket = self._ticket(TicketKind.SESSION, handle, principal, SESSION)
        await self._directory.add_ticket(ticket)
        return Opened(handle, principal, ticket.expires_at)

    async def authenticate(self, handle: str) -> Principal:
        """Return the principal of a session; raise ``Unauthenticated`` if it is unknown, expired, ended or its key is."""
        return (await self.look(handle)).principal

    async def look(self, handle: str) -> Opened:
        """Return a session as it stands; raise ``Unauthenticated`` as ``authenticate`` does."""
        ticket = await self._directory.get_ticket(TicketKind.SESSION, _hash(handle))
        if ticket is None:
            raise Unauthenticated
        return Opened(handle, await self._keys.holder(ticket.key_id), ticket.expires_at)

    async def end(self, handle: str) -> None:
        """End a session; one that has ended is no error."""
        await self._directory.take_ticket(TicketKind.SESSION, _hash(handle))

    def _ticket(self, kind: TicketKind, token: str, principal: Principal, validity: timedelta) -> Ticket:
        return Ticket(
            kind=kind,
            token_hash=_hash(token),
            key_id=principal.actor_id,
            workspace_id=principal.workspace_id,
            expires_at=self._clock.now() + validity,
        )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
