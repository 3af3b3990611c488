"""What must be kept secret or unforgeable, with keys derived from ``STEWARD_SECRET_KEY``.

Sealing is AES-256-GCM with the workspace and the purpose as associated data, so bytes copied to another tenant's row, or
to another use, do not open. Several secret keys allow rotation: the first seals and signs, all of them open and verify.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic_core import from_json, to_json

from steward.digest import canonical_json
from steward.errors import ConfigurationError, Conflict, InvalidCursor
from steward.signing import signing_key_id

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 4
_HEADER_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES
_MAX_CURSOR_CHARS: Final = 1_000
_CURSOR_TAG_BYTES: Final = 16


class SealBroken(Conflict):
    """Something sealed cannot be opened: it was altered, moved, or sealed with a secret key that is no longer given."""

    code = "seal_broken"


def _derive(secret: str, purpose: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"steward/{purpose}".encode()).derive(
        secret.encode()
    )


@dataclass(frozen=True, slots=True, repr=False)
class _Keys:
    """The keys derived from one secret key."""

    key_id: bytes
    aead: AESGCM
    mac: bytes
    cursor: bytes
    signer: Ed25519PrivateKey


class Vault:
    """Seals, opens, and signs. Safe to share between threads."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        """Derive keys from ``secret_keys``, the primary one first; raise ``ConfigurationError`` when there is none."""
        if not secret_keys:
            raise ConfigurationError("STEWARD_SECRET_KEY is not set.")
        self._keys = tuple(
            _Keys(
                key_id=_derive(secret, "key-id")[:_KEY_ID_BYTES],
                aead=AESGCM(_derive(secret, "seal")),
                mac=_derive(secret, "mac"),
                cursor=_derive(secret, "cursor"),
                signer=Ed25519PrivateKey.from_private_bytes(_derive(secret, "sign")),
            )
            for secret in secret_keys
        )
        public = [keys.signer.public_key().public_bytes_raw().hex() for keys in self._keys]
        self._public_keys = MappingProxyType({signing_key_id(key): key for key in public})

    @property
    def key_count(self) -> int:
        """How many secret keys are given."""
        return len(self._keys)

    def seal(self, value: Any, *, workspace_id: str, purpose: str) -> bytes:
        """Return the JSON ``value`` sealed for one workspace and one purpose."""
        return self.seal_json(to_json(value), workspace_id=workspace_id, purpose=purpose)

    def seal_json(self, text: bytes, *, workspace_id: str, purpose: str) -> bytes:
        """Return what ``seal`` does, of a value that is JSON already."""
        keys, nonce = self._keys[0], os.urandom(_NONCE_BYTES)
        hidden = keys.aead.encrypt(nonce, text, f"{workspace_id}/{purpose}".encode())
        return b"".join((_VERSION, keys.key_id, nonce, hidden))

    def seal_all(self, values: Sequence[tuple[str, Any]], *, workspace_id: str) -> list[bytes]:
        """Return JSON values sealed for one workspace, each for the purpose before it; chance is asked for once."""
        keys, chance = self._keys[0], secrets.token_bytes(_NONCE_BYTES * len(values))
        head, sealed = _VERSION + keys.key_id, []
        for number, (purpose, value) in enumerate(values):
            nonce = chance[number * _NONCE_BYTES : (number + 1) * _NONCE_BYTES]
            hidden = keys.aead.encrypt(nonce, to_json(value), f"{workspace_id}/{purpose}".encode())
            sealed.append(head + nonce + hidden)
        return sealed

    def unseal(self, sealed: bytes, *, workspace_id: str, purpose: str) -> Any:
        """Return the JSON value inside ``sealed``; raise ``SealBroken`` unless it was sealed for exactly this."""
        key_id, nonce = sealed[1 : 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES : _HEADER_BYTES]
        for keys in self._keys:
            if sealed[:1] == _VERSION and keys.key_id == key_id:
                try:
                    return from_json(
                        keys.aead.decrypt(nonce, sealed[_HEADER_BYTES:], f"{workspace_id}/{purpose}".encode())
                    )
                except (InvalidTag, ValueError) as error:
                    raise SealBroken from error
        raise SealBroken

    def macs(self, value: Any, *, workspace_id: str) -> tuple[str, ...]:
        """Return the HMAC-SHA256 (hex) of ``value`` under each key, the primary one first.

        It stands in a digest for a secret: equal secrets of one workspace are equal there, and nothing can be guessed.
        """
        message = workspace_id.encode() + b"\0" + canonical_json(value)
        return tuple(hmac.new(keys.mac, message, hashlib.sha256).hexdigest() for keys in self._keys)

    @property
    def public_keys(self) -> Mapping[str, str]:
        """Key id to public key (hex) of each Ed25519 key, the one that signs first."""
        return self._public_keys

    def sign(self, message: bytes) -> str:
        """Return the primary key's Ed25519 signature (hex), which anybody can check with its public key."""
        return self._keys[0].signer.sign(message).hex()

    def sign_cursor(self, payload: Mapping[str, Any], *, workspace_id: str) -> str:
        """Return an opaque cursor that holds ``payload`` and works in this workspace only."""
        body = canonical_json(dict(payload))
        return _text(_tag(self._keys[0], workspace_id, body) + body)

    def read_cursor(self, text: str, *, workspace_id: str) -> dict[str, Any]:
        """Return the payload of a cursor made by ``sign_cursor`` for this workspace; raise ``InvalidCursor`` otherwise."""
        if len(text) > _MAX_CURSOR_CHARS or not text.isascii():
            raise InvalidCursor
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor from error
        if _text(raw) != text:  # base64 has several spellings of the same bytes; only one was given out
            raise InvalidCursor
        tag, body = raw[:_CURSOR_TAG_BYTES], raw[_CURSOR_TAG_BYTES:]
        if not any(hmac.compare_digest(tag, _tag(keys, workspace_id, body)) for keys in self._keys):
            raise InvalidCursor
        return from_json(body)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _tag(keys: _Keys, workspace_id: str, body: bytes) -> bytes:
    return hmac.digest(keys.cursor, workspace_id.encode() + b"\0" + body, "sha256")[:_CURSOR_TAG_BYTES]
