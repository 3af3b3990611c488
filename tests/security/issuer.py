"""A real identity provider on this machine: it signs tokens and publishes its public keys over HTTP."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from steward.clock import Clock
from tests.actions.servers import Site, web_server

ISSUER: Final = "https://login.example.com/"
AUDIENCE: Final = "steward"
SHARED: Final = "kYw8Qm2Zr5Tn1Bv7Hs4Jd9Lf3Gx6Pc0A"
ALGORITHMS: Final = "RS256,PS256,ES256,Ed25519"


def new_key(kid: str, algorithm: str = "RS256") -> Any:
    """Return a fresh signing key."""
    match algorithm:
        case "ES256":
            return ECKey.generate_key("P-256", {"kid": kid}, private=True)
        case "Ed25519":
            return OKPKey.generate_key("Ed25519", {"kid": kid}, private=True)
        case _:
            return RSAKey.generate_key(2048, {"kid": kid}, private=True)


@dataclass
class Issuer:
    """The provider. Its site can be told to answer otherwise."""

    clock: Clock
    keys: list[Any] = field(default_factory=lambda: [new_key("one")])
    site: Site = field(default_factory=lambda: Site({}))
    url: str = ""

    def __post_init__(self) -> None:
        self.publish()

    def publish(self) -> None:
        """Publish the keys as they are now."""
        self.answer(200, json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}))

    def answer(self, status: int, body: str) -> None:
        """Answer every request for the keys with this."""
        self.site.answers["/jwks"] = (status, {"content-type": "application/json"}, body.encode())

    @property
    def asked(self) -> int:
        """How many times the keys were asked for."""
        return len(self.site.requests)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token, changed; None leaves one out."""
        now = int(self.clock.now().timestamp())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "iat": now, "workspace_id": "acme"}
        return {
            name: value for name, value in {**usual, "roles": ["developer"], **changes}.items() if value is not None
        }

    def token(self, *, key: Any = None, algorithm: str = "RS256", header: Any = None, **changes: Any) -> str:
        """Return a signed token."""
        key = key or self.keys[0]
        first = {"alg": algorithm, "kid": key.kid, **(header or {})}
        registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jwt.encode(first, self.claims(**changes), key, registry=registry)


@contextlib.asynccontextmanager
async def issuer(clock: Clock) -> AsyncGenerator[Issuer]:
    """Run an identity provider."""
    made = Issuer(clock)
    async with web_server(made.site) as port:
        made.url = f"http://127.0.0.1:{port}/jwks"
        yield made


def settings(provider: Issuer, **more: str) -> dict[str, str]:
    """Return the settings of an installation that takes this provider's tokens."""
    return {
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "JWT_JWKS": provider.url,
        "JWT_ALGORITHMS": ALGORITHMS,
        **more,
    }
