"""How the migration of keys is shown as JSON, the same over HTTP and on the command line."""

from dataclasses import asdict
from typing import Any

from steward.key_schema import Verified


def clean(found: Verified, *, accept_invalid: bool = False) -> bool:
    """Say whether both copies of every job agree; records that name no workspace may be accepted as they are."""
    return not (found.missing or found.different or found.extra or (found.invalid and not accept_invalid))


def verified_view(found: Verified) -> dict[str, Any]:
    """Return what a comparison found."""
    return {"clean": clean(found), **asdict(found)}
