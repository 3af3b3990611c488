"""Whose things a door is about: what every route and every command declares, and the isolation audit attacks.

A door that declares nothing fails the audit, so that nothing new is left out of it by being forgotten.
"""

from typing import Final, Literal, get_args

Tenancy = Literal["workspace", "shared", "installation", "public"]
"""``workspace``: about the caller's workspace alone; what is another's is unknown here.
``shared``: behind a credential, and the same for every workspace.
``installation``: for operators; every other credential is refused.
``public``: without a credential, and the same for everybody."""
TENANCIES: Final[frozenset[str]] = frozenset(get_args(Tenancy))
TENANCY_KEY: Final = "x-tenancy"
"""Where an operation of the published description declares it."""
