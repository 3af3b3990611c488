"""Cursors of listings: opaque, authenticated, and good only for the same workspace, listing and filters.

A page that is looked at again and again has the same cursors each time. To sign one or to check one is some microseconds of a few
hundred, so what was made, and what was found good, is remembered with everything that it depends on; what was refused never is.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from steward.errors import InvalidCursor
from steward.vault import Vault

_REMEMBERED: Final = 512
_Filters = tuple[tuple[str, str | None], ...]


def next_cursor(
    vault: Vault, listing: str, after: str | None, filters: Mapping[str, str | None], *, workspace_id: str
) -> str | None:
    """Return the cursor of the page that follows ``after``; None when there is no further page."""
    if after is None:
        return None
    return _signed(vault, listing, after, tuple(filters.items()), workspace_id)


@lru_cache(maxsize=_REMEMBERED)
def _signed(vault: Vault, listing: str, after: str, filters: _Filters, workspace_id: str) -> str:
    return vault.sign_cursor({"l": listing, "a": after, "f": dict(filters)}, workspace_id=workspace_id)


def position(
    vault: Vault, listing: str, cursor: str | None, filters: Mapping[str, str | None], *, workspace_id: str
) -> str | None:
    """Return the id after which ``cursor`` goes on (None: from the newest); raise ``InvalidCursor`` for any other text."""
    if cursor is None:
        return None
    return _checked(vault, listing, cursor, tuple(filters.items()), workspace_id)


@lru_cache(maxsize=_REMEMBERED)
def _checked(vault: Vault, listing: str, cursor: str, filters: _Filters, workspace_id: str) -> str:
    payload = vault.read_cursor(cursor, workspace_id=workspace_id)
    if payload.get("l") != listing or payload.get("f") != dict(filters):
        raise InvalidCursor
    return payload["a"]
