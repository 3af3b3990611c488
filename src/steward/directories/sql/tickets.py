"""Tickets: one-time codes and sessions, kept by their hash until they expire, are used up or are ended."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from steward.audit import AuditKind
from steward.clock import from_milliseconds, milliseconds
from steward.database.tables import tickets
from steward.directories.sql.shelf import Shelf, note
from steward.directory import Ticket, TicketKind


class Tickets(Shelf):
    """The shelf of tickets."""

    async def add_ticket(self, ticket: Ticket) -> None:
        """Keep a ticket until it expires or is taken; those that have expired go."""
        now_ms = self._now_ms()
        opened = ticket.kind is TicketKind.SESSION
        entry = self._entry(AuditKind.SESSION_OPENED, ticket.workspace_id, ticket.key_id, {"key_id": ticket.key_id})

        def add(connection: Connection) -> None:
            connection.execute(delete(tickets).where(tickets.c.expires_at <= now_ms))
            row = {
                "token_hash": ticket.token_hash,
                "kind": ticket.kind.value,
                "key_id": ticket.key_id,
                "workspace_id": ticket.workspace_id,
                "expires_at": milliseconds(ticket.expires_at),
            }
            connection.execute(insert(tickets).values(row))
            if opened:
                note(connection, entry)

        await self._database.write(add)

    async def get_ticket(self, kind: TicketKind, token_hash: bytes) -> Ticket | None:
        """Return a ticket that has not expired."""

        async def read() -> Ticket | None:
            statement = select(tickets).where(*_is(kind, token_hash))
            row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
            return None if row is None else _ticket(row)

        ticket = await self._memory.recall(("ticket", kind, token_hash.hex()), read)
        return ticket if ticket is not None and self._clock.now() < ticket.expires_at else None

    async def take_ticket(self, kind: TicketKind, token_hash: bytes) -> Ticket | None:
        """Return a ticket that has not expired, and remove it: of any number at once, one gets it."""

        def take(connection: Connection) -> Row[Any] | None:
            mine = _is(kind, token_hash)
            row = connection.execute(select(tickets).where(*mine)).one_or_none()
            connection.execute(delete(tickets).where(*mine))
            return row

        row = await self._database.write(take, lambda _: self._memory.forget("ticket", kind, token_hash.hex()))
        ticket = None if row is None else _ticket(row)
        return ticket if ticket is not None and self._clock.now() < ticket.expires_at else None


def _is(kind: TicketKind, token_hash: bytes) -> tuple[Any, Any]:
    return tickets.c.token_hash == token_hash, tickets.c.kind == kind.value


def _ticket(row: Row[Any]) -> Ticket:
    return Ticket(
        kind=TicketKind(row.kind),
        token_hash=row.token_hash,
        key_id=row.key_id,
        workspace_id=row.workspace_id,
        expires_at=from_milliseconds(row.expires_at),
    )
