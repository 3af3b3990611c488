"""Tokens of an identity provider: signed JWTs (RFC 7519), recognised by their form and checked by joserfc.

What may sign is settled before a token is looked at: the algorithms are those of the settings, each bound to the kind of
key that it is made for, so that neither ``none`` nor a public key used as a secret gets anywhere. The claims ``sub``,
``workspace_id``, ``roles`` and ``scope`` say who somebody is; the directory makes the member at the first login. A token
never makes an operator: that role, like every word that is unknown here, counts as not said.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from joserfc import jws, jwt
from joserfc.errors import JoseError

from steward.authenticators.signing_keys import SigningKeys
from steward.clock import Clock
from steward.directory import Directory
from steward.display_name import MAX_NAME_CHARS
from steward.errors import Forbidden, Unauthenticated
from steward.identity import Principal, Role, Scope, is_actor_id
from steward.workspace import SYSTEM_WORKSPACE, canonical_workspace_id

W = TypeVar("W")

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
_MAX_KID_CHARS: Final = 256
_MAX_WORDS: Final = 200
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROLES: Final = {role.value: role for role in Role if role is not Role.OPERATOR}
_SCOPES: Final = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say to be taken."""

    issuer: str
    audiences: tuple[str, ...]
    """One of them."""
    algorithms: tuple[str, ...]
    skew_s: int
    """By how much the provider's clock may differ."""


class JwtAuthenticator:
    """Recognises the tokens of one identity provider."""

    def __init__(self, rules: TokenRules, keys: SigningKeys, directory: Directory, clock: Clock) -> None:
        """Take what is asked of a token, the keys, who is a member, and the clock that expires tokens."""
        self._rules = rules
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._registry = jws.JWSRegistry(algorithms=rules.algorithms, strict_check_header=False)

    async def authenticate(self, token: str) -> Principal | None:
        """Return the principal; None if ``token`` is no JWT. Raises ``Unauthenticated`` or ``Forbidden``."""
        if not _FORM.fullmatch(token):
            return None
        claims = await self._verified(token)
        actor_id = claims.get("sub")
        if not is_actor_id(actor_id):
            raise Unauthenticated
        workspace_id = _workspace(claims.get("workspace_id"))
        if workspace_id is None or workspace_id == SYSTEM_WORKSPACE:
            raise Forbidden("The workspace of this token is gone or malformed.", code="workspace_unavailable")
        roles = _known(claims.get("roles"), _ROLES)
        scopes = _known(claims.get("scope"), _SCOPES)
        if not roles and "roles" in claims:  # roles that mean nothing here: a scope must not stand in for them
            scopes = frozenset()
        member = await self._directory.admit(
            workspace_id, actor_id, _name(claims, actor_id), roles or frozenset(), scopes
        )
        return member.principal

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token whose signature, issuer, audience and times are right."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            if not self._takes(header):
                raise Unauthenticated
            key = await self._keys.find(header.get("kid"), str(header["alg"]))
            if key is None:
                raise Unauthenticated
            claims = jwt.decode(token, key, registry=self._registry).claims
            self._expected().validate(claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unauthenticated from error
        return claims

    def _takes(self, header: Mapping[str, Any]) -> bool:
        """Say whether a header asks for nothing but what is known here."""
        kid, kind = header.get("kid"), header.get("typ", "JWT")
        return (
            header.get("alg") in self._rules.algorithms
            and (kid is None or (isinstance(kid, str) and len(kid) <= _MAX_KID_CHARS))
            and isinstance(kind, str)
            and kind.lower() in _TYPES
            and "crit" not in header
            and "b64" not in header
        )

    def _expected(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=self._rules.skew_s,
            iss={"essential": True, "value": self._rules.issuer},
            aud={"essential": True, "values": list(self._rules.audiences)},
            exp={"essential": True},
            sub={"essential": True},
        )


def _workspace(claim: object) -> str | None:
    """Return the workspace id; a UUID is taken without its dashes."""
    if isinstance(claim, str) and _UUID.fullmatch(claim):
        return uuid.UUID(claim).hex
    return canonical_workspace_id(claim)


def _known(claim: object, words: Mapping[str, W]) -> frozenset[W] | None:
    """Return the words of a claim that are known here, from a list or a text with spaces; None: nothing was said."""
    if claim is None:
        return None
    said = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(words[word] for word in said[:_MAX_WORDS] if isinstance(word, str) and word in words)


def _name(claims: Mapping[str, Any], actor_id: str) -> str:
    """Return what to call somebody: the first claim that can be shown on one line."""
    for claim in ("name", "preferred_username", "email"):
        value = claims.get(claim)
        if isinstance(value, str) and (name := value.strip()) and name.isprintable() and len(name) <= MAX_NAME_CHARS:
            return name
    return actor_id
