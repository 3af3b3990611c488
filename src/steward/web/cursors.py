"""Cursors of listings: opaque, authenticated, and good only for the same workspace, listing and filters."""

from collections.abc import Mapping

from steward.errors import InvalidCursor
from steward.vault import Vault


def next_cursor(
    vault: Vault, listing: str, after: str | None, filters: Mapping[str, str | None], *, workspace_id: str
) -> str | None:
    """Return the cursor of the page that follows ``after``; None when there is no further page."""
    if after is None:
        return None
    return vault.sign_cursor({"l": listing, "a": after, "f": dict(filters)}, workspace_id=workspace_id)


def position(
    vault: Vault, listing: str, cursor: str | None, filters: Mapping[str, str | None], *, workspace_id: str
) -> str | None:
    """Return the id after which ``cursor`` goes on (None: from the newest); raise ``InvalidCursor`` for any other text."""
    if cursor is None:
        return None
    payload = vault.read_cursor(cursor, workspace_id=workspace_id)
    if payload.get("l") != listing or payload.get("f") != dict(filters):
        raise InvalidCursor
    return payload["a"]
