"""API keys: ``stw_<id>_<secret>``, made here once and recognised here on every request.

The id names the key's row, so any token costs one indexed look-up and one SHA-256, however many keys there are. The secret
is 256 random bits; only its hash is kept. What is wrong with a refused key is never said: unknown, wrong, expired and
revoked look alike, and an unknown id is compared with a hash too.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Final

from steward.clock import Clock
from steward.directory import ApiKey, Directory
from steward.display_name import require_display_name
from steward.errors import Forbidden, Invalid, StoreUnavailable, Unauthenticated
from steward.identity import Principal, Role, require_actor_id
from steward.ids import IdFactory
from steward.workspace import SYSTEM_WORKSPACE, canonical_workspace_id, require_workspace_id

PREFIX: Final = "stw_"
_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"stw_([0-9abcdefghjkmnpqrstvwxyz]{24})_([a-z2-7]{52})")
_NO_HASH: Final = bytes(32)
"""Compared with when there is no such key: the digest of nothing anybody can find."""
_USE_IS_COARSE_BY: Final = timedelta(minutes=1)
_MAX_VALIDITY: Final = timedelta(days=3660)


def mint_key(  # noqa: PLR0917 - two collaborators and the four facts of a key
    ids: IdFactory,
    clock: Clock,
    workspace_id: str,
    role: Role,
    name: str,
    expires_in: timedelta | None,
    *,
    owner: str | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key, ready for ``Directory.add_key``, and its token, which is shown once and kept nowhere.

    ``owner`` is the person it is made for; None: it cannot be told whose it is.

    Raises ``Invalid`` for a malformed workspace or name, a validity that is not between zero and ten years, and an
    operator outside the reserved workspace or anybody else inside it.
    """
    require_workspace_id(workspace_id)
    if (role is Role.OPERATOR) != (workspace_id == SYSTEM_WORKSPACE):
        raise Invalid(
            f"The role 'operator' belongs to workspace '{SYSTEM_WORKSPACE}' and no other role does.",
            code="operator_workspace",
        )
    if expires_in is not None and not timedelta(0) < expires_in <= _MAX_VALIDITY:
        raise Invalid("A key is valid for more than zero and at most 3660 days.", code="invalid_validity")
    now = clock.now()
    key_id = ids.new("key")
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=").lower()
    key = ApiKey(
        key_id=key_id,
        workspace_id=workspace_id,
        role=role,
        name=require_display_name(name, "A key's name"),
        secret_hash=_hash(secret),
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        revoked_at=None,
        last_used_at=None,
        owner=None if owner is None else require_actor_id(owner),
    )
    return key, f"{PREFIX}{key_id.removeprefix('key_')}_{secret}"


def mint_successor(ids: IdFactory, clock: Clock, old: ApiKey, expires_in: timedelta | None) -> tuple[ApiKey, str]:
    """Return a key that can replace ``old``, ready for ``Directory.replace_key``, and its token.

    Without ``expires_in`` it is valid for as long as the old one was meant to be.
    """
    if expires_in is None and old.expires_at is not None:
        expires_in = old.expires_at - old.created_at
    return mint_key(ids, clock, old.workspace_id, old.role, old.name, expires_in, owner=old.owner)


class ApiKeyAuthenticator:
    """Recognises API keys. The secret is compared on every request; what is kept of the key may be as old as the directory says."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        """Take where keys are kept and the clock that expires them."""
        self._directory = directory
        self._clock = clock
        self._notes: dict[str, asyncio.Task[None]] = {}

    async def authenticate(self, token: str) -> Principal | None:
        """Return the principal; None if ``token`` is no API key. Raises ``Unauthenticated`` or ``Forbidden``."""
        if not token.startswith(PREFIX):
            return None
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise Unauthenticated
        key = await self._directory.get_key(f"key_{match[1]}")
        genuine = hmac.compare_digest(_hash(match[2]), _NO_HASH if key is None else key.secret_hash)
        if key is None or not genuine:
            raise Unauthenticated
        return await self._holder(key)

    async def holder(self, key_id: str) -> Principal:
        """Return who holds a key that was presented before. Raises ``Unauthenticated`` or ``Forbidden``."""
        key = await self._directory.get_key(key_id)
        if key is None:
            raise Unauthenticated
        return await self._holder(key)

    async def _holder(self, key: ApiKey) -> Principal:
        now = self._clock.now()
        if not key.valid_at(now):
            raise Unauthenticated
        await self._require_workspace(key)
        stale = key.last_used_at is None or now - key.last_used_at >= _USE_IS_COARSE_BY
        if stale and key.key_id not in self._notes:
            note = self._notes[key.key_id] = asyncio.create_task(self._note_use(key.key_id))  # nobody waits for it
            note.add_done_callback(lambda _: self._notes.pop(key.key_id))
        return key.principal

    async def _note_use(self, key_id: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # the next request notes it
            await self._directory.note_use(key_id)

    async def _require_workspace(self, key: ApiKey) -> None:
        known = canonical_workspace_id(key.workspace_id) and await self._directory.get_workspace(key.workspace_id)
        if not known:
            raise Forbidden("The workspace of this key is gone or malformed.", code="workspace_unavailable")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()
