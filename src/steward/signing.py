"""Checks signatures with public keys alone, so that whoever has a record and a key needs nothing else."""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ID_CHARS: Final = 16


def signing_key_id(public_key: str) -> str:
    """Return the short name of a public key (hex): the beginning of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:_ID_CHARS]


def is_signed(message: bytes, signature: str, public_key: str) -> bool:
    """Say whether the owner of ``public_key`` (hex) signed ``message``; what is malformed is not a signature."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
