"""How Studio is served: to whom, with which policy, for how long, and what comes where nothing has been built."""

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from steward.web import studio
from tests.web.house import House, assert_problem

pytestmark = pytest.mark.anyio
SCRIPT = "main-ABCDEFGH.js"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which a page lies as a build leaves it."""
    folder = tmp_path / "studio"
    (folder / "assets").mkdir(parents=True)
    for path, text in {
        folder / "index.html": "<!doctype html><title>Steward</title>",
        folder / "assets" / SCRIPT: "export {}",
        folder / "assets" / "icon.svg": "<svg/>",
        folder / "built-from": "0123",
    }.items():
        path.write_text(text)
        if path.suffix:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(studio, "FOLDER", folder)
    return folder


@pytest.mark.usefixtures("built")
async def test_the_page_is_served_at_the_root_and_at_every_screen(house: House) -> None:
    """Without a credential, asked for anew each time, and never framed; it may load and ask this server alone."""
    client = await house.client_with(None)
    for path in ("/", "/studio/jobs", "/studio/plans/plan_01kb2w8v9c0000000000000a", "/studio/nowhere"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (200, "<!doctype html><title>Steward</title>"), path
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert not {"unsafe-inline", "unsafe-eval", "*"} & set(answer.headers["content-security-policy"].split("'"))
    assert (await client.head("/")).status_code == 200


@pytest.mark.usefixtures("built")
async def test_what_carries_its_hash_is_kept_for_ever(house: House) -> None:
    """Gzipped for those who take it; what has no hash in its name is asked for anew."""
    client = await house.client_with(None)
    plain = await client.get(f"/studio/assets/{SCRIPT}", headers={"Accept-Encoding": "identity"})
    zipped = await client.get(f"/studio/assets/{SCRIPT}", headers={"Accept-Encoding": "br, gzip"})
    for answer in (plain, zipped):
        assert answer.text == "export {}"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    icon = await client.get("/studio/assets/icon.svg")
    assert (icon.headers["cache-control"], icon.headers["content-type"]) == ("no-cache", "image/svg+xml")


@pytest.mark.usefixtures("built")
async def test_nothing_but_what_was_built_is_served(house: House) -> None:
    """No other file by whatever way, and no page at a path of the API."""
    client = await house.client_with(None)
    for name in ("built-from", "index.html", "main.js", "..%2Findex.html", "%2e%2e%2fbuilt-from", f"{SCRIPT}.gz"):
        assert_problem(await client.get(f"/studio/assets/{name}"), 404, "not_found")
    for path in ("/ai/nothing", "/jobs", "/studio", "/studio/a/b/c", "/index.html"):
        assert_problem(await client.get(path), 404, "not_found")
    assert_problem(await client.post("/"), 405, "method_not_allowed")


async def test_where_nothing_was_built_the_page_says_how(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, and the way to the API's description."""
    monkeypatch.setattr(studio, "FOLDER", tmp_path / "nothing")
    client = await house.client_with(None)
    for path in ("/", "/studio/jobs"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "make studio" in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert_problem(await client.get(f"/studio/assets/{SCRIPT}"), 404, "not_found")


async def test_a_session_says_whose_it_is(house: House) -> None:
    """To this server's own pages, with the cookie; to nobody else."""
    token = await house.key()
    origin = "http://127.0.0.1:8440"
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=house.api), base_url=origin)
    async with client:
        assert_problem(await client.get("/session"), 401, "unauthenticated")
        opened = await client.post("/session", headers={"Authorization": f"Bearer {token}", "Origin": origin})
        shown = await client.get("/session", headers={"Sec-Fetch-Site": "same-origin"})
        assert shown.json() | {"expires_at": ""} == opened.json() | {"expires_at": ""}
        ends = [datetime.fromisoformat(answer.json()["expires_at"]) for answer in (opened, shown)]
        assert abs(ends[0] - ends[1]) < timedelta(seconds=1)
        assert_problem(await client.get("/session", headers={"Sec-Fetch-Site": "cross-site"}), 403, "cross_origin")
        await client.delete("/session", headers={"Origin": origin})
        assert_problem(await client.get("/session"), 401, "unauthenticated")
