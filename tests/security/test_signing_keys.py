"""The keys of an identity provider: fetched, rotated, missed for a while, odd, and from a file."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry

from steward.errors import ConfigurationError
from tests.conftest import FakeClock
from tests.security.issuer import SHARED, Issuer, new_key
from tests.security.issuer import settings as token_settings
from tests.security.test_jwt import ask, by_hand_signed
from tests.web.house import House, assert_problem, open_house

pytestmark = pytest.mark.anyio


async def test_keys_rotate(house: House, provider: Issuer, clock: FakeClock) -> None:
    """A key that was not there is looked for once in half a minute; one that was withdrawn is refused ten minutes later."""
    old, new = provider.keys[0], new_key("two")
    assert (await ask(house, provider.token(key=old))).status_code == 200
    provider.keys = [new]
    provider.publish()
    assert provider.asked == 1
    for _ in range(5):
        assert_problem(await ask(house, provider.token(key=new)), 401, "unauthenticated")
    assert provider.asked == 1, "asked less than half a minute ago"
    clock.advance(30)
    assert (await ask(house, provider.token(key=new))).status_code == 200
    for number in range(20):
        assert_problem(
            await ask(house, provider.token(key=new, header={"kid": f"made-up-{number}"})), 401, "unauthenticated"
        )
    assert provider.asked == 2
    assert_problem(await ask(house, provider.token(key=old)), 401, "unauthenticated")


async def test_others_need_not_wait_while_authorities_are_read(house: House, provider: Issuer) -> None:
    """What a download takes for granted about certificates is read beside the event loop, not on it."""
    called: set[str] = set()
    token = provider.token()
    assert_problem(await ask(house, "none"), 401, "unauthenticated")  # so that nothing else looks at calls any more

    def see(_frame: object, event: str, what: Any) -> None:
        if event == "c_call":
            called.add(what.__name__)

    sys.setprofile(see)  # of this thread alone, which is the loop's
    try:
        assert (await ask(house, token)).status_code == 200
    finally:
        sys.setprofile(None)
    assert provider.asked == 1
    assert called
    assert not any("verify_locations" in name or "default_certs" in name for name in called)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, ""), (200, "no json"), (200, "{}"), (200, '{"keys": []}'), (302, ""), (200, '{"keys": [' + " " * 300_000)],
)
async def test_keys_survive_a_short_outage_of_the_provider(
    house: House, provider: Issuer, clock: FakeClock, status: int, body: str
) -> None:
    """For an hour the last keys are good; then tokens cannot be checked, which is 503, until the provider is back."""
    assert (await ask(house, provider.token())).status_code == 200
    provider.answer(status, body)
    clock.advance(3_570)
    assert (await ask(house, provider.token())).status_code == 200
    clock.advance(30)
    answer = await ask(house, provider.token())
    assert_problem(answer, 503, "issuer_away")
    assert answer.headers["retry-after"]
    provider.publish()
    clock.advance(30)
    assert (await ask(house, provider.token())).status_code == 200


async def test_a_key_set_holds_no_surprises(house: House, provider: Issuer, clock: FakeClock) -> None:
    """A secret, a weak or an encryption key and rubbish in it are passed over; the rest works."""
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024, {"kid": "weak"}, private=True)
    secret = OctKey.import_key(SHARED, {"kid": "secret"})
    other = new_key("enc")
    good = provider.keys[0].as_dict(private=False)
    listed = [
        weak.as_dict(private=False),
        secret.as_dict(private=True),
        other.as_dict(private=False, use="enc"),
        7,
        {"kty": "XX"},
        good,
    ]
    provider.answer(200, json.dumps({"keys": listed}))
    assert (await ask(house, provider.token())).status_code == 200
    for key in (weak, other):
        assert_problem(await ask(house, provider.token(key=key)), 401, "unauthenticated")
    forged = by_hand_signed({"alg": "HS256", "kid": "secret"}, provider.claims(), SHARED.encode())
    assert_problem(await ask(house, forged), 401, "unauthenticated")


async def test_a_token_without_a_key_id_needs_the_only_key(house: House, provider: Issuer, clock: FakeClock) -> None:
    """With one fitting key there is no doubt; with two there is."""
    registry = JWSRegistry(algorithms=["RS256"])

    def nameless() -> str:
        return jwt.encode({"alg": "RS256"}, provider.claims(), provider.keys[0], registry=registry)

    assert (await ask(house, nameless())).status_code == 200
    provider.keys.append(new_key("two"))
    provider.publish()
    clock.advance(600)
    assert_problem(await ask(house, nameless()), 401, "unauthenticated")


async def test_keys_may_come_from_a_file(tmp_path: Path, clock: FakeClock, provider: Issuer) -> None:
    """A file is read like an address; one that cannot be used stops the start, naming the setting."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in provider.keys]}))
    more: dict[str, Any] = token_settings(provider, JWT_JWKS=str(file))
    async with open_house(tmp_path / "home", clock=clock, **more) as house:
        await house.key()
        assert (await ask(house, provider.token())).status_code == 200
    file.write_text("{}")
    with pytest.raises(ConfigurationError, match="JWT_JWKS"):
        async with open_house(tmp_path / "home", clock=clock, **more):
            pass
