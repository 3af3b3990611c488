"""Turns a presented credential into a principal."""

from typing import Protocol

from steward.identity import Principal


class Authenticator(Protocol):
    """Recognises one kind of credential."""

    async def authenticate(self, token: str) -> Principal | None:
        """Return the principal; None if ``token`` is not this kind of credential.

        Raises ``Unauthenticated`` for one that is of this kind but unknown, expired or revoked (the three look alike), and
        ``Forbidden`` if its workspace is gone or malformed.
        """
        ...
