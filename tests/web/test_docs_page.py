"""The page for people: everything that the description tells, and nothing that a browser would have to run or fetch."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from steward.web.docs_page import page
from tests.web.house import House, assert_marked

pytestmark = pytest.mark.anyio


class Elements(HTMLParser):
    """Collects every element with its attributes."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep one."""
        self.found.append((tag, dict(attrs)))


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the elements of a page."""
    parser = Elements()
    parser.feed(text)
    return parser.found


async def test_every_operation_is_on_the_page(house: House) -> None:
    """By its method, path and summary, with its parameters and answers, for anybody who looks."""
    client = await house.client_with(None)
    answer = await client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    described = (await client.get("/openapi.json")).json()
    there = {attributes.get("id") for _, attributes in elements(answer.text)}
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    assert {operation["operationId"] for operation in operations} <= there
    assert "POST /ai/execute" in answer.text
    assert "Idempotency-Key" in answer.text
    assert "night shift" in answer.text, "an example of a body"


async def test_nothing_on_it_runs_or_comes_from_elsewhere(house: House) -> None:
    """The content policy allows this page's own style, by its hash, and nothing else; every other answer stays as it was."""
    client = await house.client_with(None)
    answer = await client.get("/docs")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    for tag, attributes in elements(answer.text):
        assert tag not in {"script", "link", "img", "iframe", "form", "object"}
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src"}]
        assert (attributes.get("href") or "#").startswith(("#", "/openapi.json"))
    assert_marked(await client.get("/openapi.json"))
    assert "style-src" not in (await client.get("/healthz")).headers["content-security-policy"]


def test_what_a_description_says_is_text_on_the_page() -> None:
    """Whatever stands in it, such as in the description of an own route."""
    evil = "<script>alert(1)</script>"
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "components": {"schemas": {"Odd": {"properties": {evil: {"description": evil}}, "examples": [evil]}}},
        "paths": {
            f"/{evil}": {
                "post": {
                    "operationId": evil,
                    "tags": [evil],
                    "summary": evil,
                    "parameters": [{"name": evil, "in": evil, "description": evil}],
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Odd"}}}},
                    "responses": {"200": {"description": evil}},
                }
            }
        },
    }
    assert evil not in page(document)
    assert "script" not in {tag for tag, _ in elements(page(document))}
