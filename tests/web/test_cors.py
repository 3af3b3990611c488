"""Which other servers' pages may call the API: those that are listed, with a Bearer credential, and no others."""

from pathlib import Path

import httpx2
import pytest

from tests.web.house import House, assert_marked, assert_problem, open_house

pytestmark = pytest.mark.anyio
STUDIO = "https://studio.example.com"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}


async def test_nothing_set_allows_nobody(house: House) -> None:
    """No answer has a CORS header, and a preflight is a request like any other."""
    client = await house.client()
    for answer in (
        await client.get("/ai/jobs", headers={"Origin": STUDIO}),
        await client.options("/ai/jobs", headers={"Origin": STUDIO, **ASKED}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert_marked(answer)


async def test_a_listed_origin_may_call_with_a_bearer_credential(tmp_path: Path) -> None:
    """Exactly that origin is named, never a star, cookies are not allowed, and the security headers stay."""
    async with open_house(tmp_path, CORS_ALLOW_ORIGINS=STUDIO) as house:
        client = await house.client()
        before = await client.options("/ai/plan", headers={"Origin": STUDIO, **ASKED})
        after = await client.get("/ai/jobs", headers={"Origin": STUDIO})
        refused = await client.get("/ai/jobs", headers={"Origin": STUDIO, "Authorization": "Bearer x"})
        assert (before.status_code, after.status_code) == (200, 200)
        assert_problem(refused, 401, "unauthenticated")
        for answer in (before, after, refused):
            assert answer.headers["access-control-allow-origin"] == STUDIO
            assert "access-control-allow-credentials" not in answer.headers
            assert_marked(answer)
        assert "X-Request-ID" in after.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", STUDIO + ".evil.example", "http://studio.example.com", "null", ""]
)
async def test_another_origin_is_not_allowed(tmp_path: Path, origin: str) -> None:
    """Neither before nor after; a browser then keeps the answer from the page."""
    async with open_house(tmp_path, CORS_ALLOW_ORIGINS=STUDIO) as house:
        client = await house.client()
        for answer in (
            await client.options("/ai/plan", headers={"Origin": origin, **ASKED}),
            await client.get("/ai/jobs", headers={"Origin": origin}),
        ):
            assert "access-control-allow-origin" not in answer.headers
            assert_marked(answer)


async def test_a_preflight_is_refused_in_the_one_shape(tmp_path: Path) -> None:
    """An origin, a method or a header that is not allowed: a problem document, which a cache does not mix up."""
    async with (
        open_house(tmp_path, CORS_ALLOW_ORIGINS=STUDIO) as house,
        house.served() as (_, address),
        httpx2.AsyncClient(base_url=address) as client,
    ):
        for origin, more in (
            ("https://evil.example", {}),
            (STUDIO, {"Access-Control-Request-Method": "PATCH"}),
            (STUDIO, {"Access-Control-Request-Headers": "x-other"}),
        ):
            answer = await client.options("/ai/plan", headers={"Origin": origin, **ASKED, **more})
            assert_problem(answer, 400, "cors_refused")
            assert_marked(answer)
            assert "Origin" in answer.headers["vary"].split(", ")
