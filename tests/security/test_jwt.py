"""Tokens of an identity provider: what is taken, everything that is not, and what happens when the provider changes or fails."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from steward.errors import ConfigurationError, Forbidden, Unauthenticated
from steward.identity import Role, Scope
from steward.settings import Settings
from tests.conftest import FakeClock
from tests.security.issuer import AUDIENCE, ISSUER, SHARED, Issuer, new_key
from tests.web.house import House, assert_problem, open_house

pytestmark = pytest.mark.anyio


async def ask(house: House, token: str, path: str = "/ai/jobs") -> httpx2.Response:
    """Return the answer to a request that presents ``token``."""
    return await (await house.client_with(token)).get(path)


def part(value: Any) -> str:
    """Return one part of a token, made by hand."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def by_hand(header: Any, claims: Any, signature: bytes = b"") -> str:
    """Return a token that no library would make."""
    return f"{part(header)}.{part(claims)}.{part(signature)}"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "Ed25519"])
async def test_a_good_token_is_taken(house: House, provider: Issuer, algorithm: str) -> None:
    """Signed with any allowed algorithm, it stands for its ``sub`` in its workspace with its roles' scopes."""
    provider.keys = [new_key(algorithm, algorithm)]
    provider.publish()
    token = provider.token(algorithm=algorithm)
    principal = await house.app.authenticator.authenticate(token)
    assert principal is not None
    assert (principal.actor_id, principal.workspace_id, principal.roles) == ("alice", "acme", {Role.DEVELOPER})
    assert principal.scopes == {Scope.PREVIEW, Scope.EXECUTE, Scope.CONNECTIONS}
    assert (await ask(house, token)).status_code == 200


async def test_w56_the_confusion_set_is_refused(house: House, provider: Issuer) -> None:
    """No signature, ``none`` in any spelling, a public key as a secret, a key of one's own, another algorithm: 401 all alike."""
    key = provider.keys[0]
    public = key.as_dict(private=False)
    pem = key.raw_value.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = new_key("one")
    good = provider.token()
    head, body, signature = good.split(".")
    claims = provider.claims()
    hs = JWSRegistry(algorithms=["HS256"])
    as_secret = [
        by_hand_signed({"alg": "HS256", "kid": "one"}, claims, secret)
        for secret in (pem, pem.strip(), json.dumps(public).encode(), public["n"].encode(), b"")
    ]
    odd = [
        *(
            by_hand({"alg": name, "kid": "one"}, claims)
            for name in ("none", "None", "NONE", "nOnE", "", None, 0, ["RS256"])
        ),
        *(by_hand({"alg": "none"}, claims, b"x"), f"{head}.{body}.", f"{head}..{signature}", f".{body}.{signature}"),
        *as_secret,
        jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SHARED), registry=hs),
        provider.token(key=stranger),
        provider.token(key=stranger, header={"jwk": stranger.as_dict(private=False)}),
        provider.token(key=stranger, header={"jku": "https://evil.example/jwks"}),
        provider.token(algorithm="RS512"),
        provider.token(header={"kid": "two"}),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": True}, claims),
        provider.token(header={"typ": "logout+jwt"}),
        by_hand({"alg": "RS256", "kid": "../../etc/passwd"}, claims, b"x"),
        by_hand({"alg": "RS256", "kid": {"a": 1}}, claims, b"x"),
        by_hand({"alg": "RS256", "kid": "k" * 3000}, claims, b"x"),
        by_hand(b"[" * 3000, claims, b"x"),
        by_hand([], claims, b"x"),
        by_hand(b"\xff\xfe", claims, b"x"),
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        f"{head}.{part({**claims, 'roles': ['admin']})}.{signature}",
    ]
    shapes = set()
    for token in odd:
        document = assert_problem(await ask(house, token), 401, "unauthenticated")
        del document["request_id"]
        shapes.add(str(document))
    assert len(shapes) == 1
    assert (await ask(house, good)).status_code == 200


def by_hand_signed(header: Any, claims: Any, secret: bytes) -> str:
    """Return a token with an HMAC over it, whatever the secret looks like."""
    import hashlib
    import hmac

    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def by_hand_signed_by(key: Any, header: Any, claims: Any) -> str:
    """Return a token with a good signature under a header that no library would sign."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(key.raw_value.sign(signed.encode(), PKCS1v15(), SHA256()))}"


async def test_w56_issuer_audience_and_times_are_checked(house: House, provider: Issuer, clock: FakeClock) -> None:
    """Each claim, missing or wrong, is a 401; the clocks may differ by half a minute and no more."""
    now = int(clock.now().timestamp())
    wrong: list[dict[str, Any]] = [
        *({"iss": value} for value in (None, "", "https://login.example.com", ISSUER.upper(), 7, [ISSUER])),
        *({"aud": value} for value in (None, "", "other", [], ["other"], {"a": AUDIENCE}, "STEWARD")),
        *({"exp": value} for value in (None, now - 30, now - 9999, str(now + 300), True, "never", [now + 300])),
        *({"nbf": value} for value in (now + 31, now + 9999, "soon", True)),
        {"iat": now + 31},
        *(
            {"sub": value}
            for value in (None, "", " ", 7, ["alice"], "a\n", "key_" + "0" * 24, "a" * 65, "@local", "аlice")
        ),
    ]
    for changes in wrong:
        assert_problem(await ask(house, provider.token(**changes)), 401, "unauthenticated")
    fine: list[dict[str, Any]] = [
        {"aud": [AUDIENCE, "other"]},
        {"exp": now - 29},
        {"exp": now + 0.5},
        {"nbf": now + 30},
        {"iat": None},
        {"sub": "auth0|5f7c8ec7c33c6c004bbafe82"},
        {"sub": "alice@example.com"},
    ]
    for changes in fine:
        assert (await ask(house, provider.token(**changes))).status_code == 200, changes


async def test_w56_a_token_expires_while_it_is_used(house: House, provider: Issuer, clock: FakeClock) -> None:
    """Nothing about a token is remembered beyond its end."""
    token = provider.token()
    assert (await ask(house, token)).status_code == 200
    clock.advance(300 + 30)
    assert_problem(await ask(house, token), 401, "unauthenticated")


async def test_a_workspace_that_is_gone_malformed_or_reserved_is_403(house: House, provider: Issuer) -> None:
    """The token is genuine, so it is not 401; and nothing about the workspace is said."""
    for workspace in (None, "", "nowhere", "system", "Acme", "acme\n", "a" * 33, "аcme", 7, ["acme"], {"id": "acme"}):
        answer = await ask(house, provider.token(workspace_id=workspace))
        assert_problem(answer, 403, "workspace_unavailable")
    assert await house.app.directory.list_members("system") == ()


async def test_a_uuid_is_taken_in_its_hex_form(house: House, provider: Issuer) -> None:
    """With dashes, in either case, or without: the same workspace."""
    await house.key("0f8fad5bd9cb469fa16570867728950e")
    for spelling in ("0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E"):
        answer = await ask(house, provider.token(workspace_id=spelling))
        assert answer.json()["workspace_id"] == "0f8fad5bd9cb469fa16570867728950e"


async def test_a_token_never_makes_an_operator(house: House, provider: Issuer) -> None:
    """Not by role, not by scope, not in any mixture: what is unknown here counts as not said."""
    cases: tuple[dict[str, Any], ...] = (
        {"roles": ["operator"]},
        {"roles": ["operator", "admin"]},
        {"roles": "operator admin"},
        {"roles": [], "scope": "operator"},
        {"roles": ["operator"], "scope": "admin operator"},
        {"roles": None, "scope": ["operator", "admin"]},
    )
    for claims in cases:
        principal = await house.app.authenticator.authenticate(provider.token(**claims))
        assert principal is not None
        assert not principal.is_operator
        assert Role.OPERATOR not in principal.roles
        assert_problem(await ask(house, provider.token(**claims), "/workspaces"), 403, "missing_scope")


async def test_scopes_narrow_roles_and_stand_alone_without_them(house: House, provider: Issuer) -> None:
    """A scope beyond the roles is not granted; roles that mean nothing here are not replaced by a scope."""
    everything = " ".join(Scope)
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"roles": ["developer"], "scope": "actions:preview admin"}, {"actions:preview"}),
        ({"roles": ["admin"], "scope": "audit:read openid profile"}, {"audit:read"}),
        ({"roles": None, "scope": "actions:preview actions:execute"}, {"actions:preview", "actions:execute"}),
        ({"roles": ["owner"], "scope": everything}, set()),
        ({"roles": {"admin": True}, "scope": everything}, set()),
        ({"roles": [["admin"], None, 7]}, set()),
        ({"roles": None}, set()),
        ({"roles": "viewer auditor"}, {"actions:preview", "audit:read"}),
    ]
    for claims, scopes in cases:
        principal = await house.app.authenticator.authenticate(provider.token(**claims))
        assert principal is not None
        assert principal.scopes == scopes, claims


async def test_an_admin_settles_what_a_token_may_do(house: House, provider: Issuer) -> None:
    """Pinned roles hold against a token that says more, one that says less narrows them; a disabled member is out."""
    await ask(house, provider.token())
    admin = await house.client(role=Role.ADMIN)
    assert (await admin.put("/members/alice", json={"roles": ["viewer"]})).status_code == 200
    principal = await house.app.authenticator.authenticate(provider.token(roles=["admin"]))
    assert principal is not None
    assert principal.scopes == {Scope.PREVIEW}
    narrowed = await house.app.authenticator.authenticate(provider.token(roles=["auditor"]))
    assert narrowed is not None
    assert narrowed.scopes == set()
    assert (await admin.put("/members/alice", json={"disabled": True})).status_code == 200
    assert_problem(await ask(house, provider.token()), 403, "member_disabled")
    assert (await admin.put("/members/alice", json={"disabled": False})).status_code == 200
    assert (await ask(house, provider.token())).status_code == 200


async def test_w56_a_shared_secret_signs_too(tmp_path: Path, clock: FakeClock, provider: Issuer) -> None:
    """With JWT_SECRET only HMAC is taken, and only with that secret."""
    more = {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE, "JWT_SECRET": SHARED}
    async with open_house(tmp_path, clock=clock, **more) as house:
        await house.key()
        registry = JWSRegistry(algorithms=["HS256"])
        key = OctKey.import_key(SHARED)
        assert (
            await ask(house, jwt.encode({"alg": "HS256"}, provider.claims(), key, registry=registry))
        ).status_code == 200
        wrong = by_hand_signed({"alg": "HS256"}, provider.claims(), SHARED[:-1].encode() + b"B")
        for token in (wrong, provider.token(), by_hand({"alg": "none"}, provider.claims())):
            assert_problem(await ask(house, token), 401, "unauthenticated")


@given(st.one_of(st.text(alphabet="abcXYZ012_-.=", max_size=200), st.binary(max_size=80).map(part)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_breaks_the_recognition(house: House, provider: Issuer, text: str) -> None:
    """Whatever is presented is nobody's credential or refused, never an error."""
    head, body, signature = provider.token().split(".")
    for token in (
        text,
        f"{text}.{body}.{signature}",
        f"{head}.{text}.{signature}",
        f"{head}.{body}.{text}",
        f"stw_{text}",
    ):
        try:
            assert await house.app.authenticator.authenticate(token) is None or token == f"{head}.{body}.{signature}"
        except (Unauthenticated, Forbidden):
            continue


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"JWT_JWKS": "https://login.example.com/jwks"}, "JWT_ISSUER"),
        ({"JWT_JWKS": "https://login.example.com/jwks", "JWT_ISSUER": ISSUER}, "JWT_AUDIENCE"),
        ({"JWT_ISSUER": ISSUER}, "JWT_JWKS"),
        ({"JWT_ALGORITHMS": "RS256"}, "JWT_JWKS"),
        ({"JWT_JWKS": "keys.json", "JWT_SECRET": SHARED}, "JWT_SECRET"),
        ({"JWT_JWKS": "http://login.example.com/jwks"}, "JWT_JWKS"),
        ({"JWT_JWKS": "ftp://login.example.com/jwks"}, "JWT_JWKS"),
        ({"JWT_JWKS": "https://user:pw@login.example.com/"}, "JWT_JWKS"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"JWT_SECRET": "dev-secret-key-dev-secret-key-dev-secret"}, "JWT_SECRET"),
        ({"JWT_SECRET": "a" * 64}, "JWT_SECRET"),
        (
            {"JWT_SECRET": SHARED, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_ALGORITHMS": "RS256"},
            "JWT_ALGORITHMS",
        ),
        (
            {"JWT_JWKS": "k.json", "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a", "JWT_ALGORITHMS": "HS256"},
            "JWT_ALGORITHMS",
        ),
        ({"JWT_ALGORITHMS": "none"}, "JWT_ALGORITHMS"),
        ({"JWT_ALGORITHMS": "RS256,none"}, "JWT_ALGORITHMS"),
        ({"JWT_SKEW_S": "61"}, "JWT_SKEW_S"),
        ({"DEV_AUTH_MODE": "1"}, "DEV_AUTH_MODE"),
    ],
)
def test_w56_w57_bad_settings_stop_the_start(tmp_path: Path, env: dict[str, str], named: str) -> None:
    """One sentence that names the variable and never repeats a secret."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.load({"STEWARD_HOME": str(tmp_path), "STEWARD_SECRET_KEY": SHARED, **env})
    assert named in caught.value.detail
    assert SHARED not in caught.value.detail
    assert "dev-secret" not in caught.value.detail
