"""Several kinds of credential behind one door: the first that recognises a token decides about it."""

from steward.authenticator import Authenticator
from steward.identity import Principal


class Chain:
    """Asks one authenticator after the other."""

    def __init__(self, *authenticators: Authenticator) -> None:
        """Take them in the order in which they are asked."""
        self._authenticators = authenticators

    async def authenticate(self, token: str) -> Principal | None:
        """Return the principal; None if nobody recognises ``token``. Raises what the one that does raises."""
        for authenticator in self._authenticators:
            principal = await authenticator.authenticate(token)
            if principal is not None:
                return principal
        return None
