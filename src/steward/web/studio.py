"""Studio, the page for people, as it was built into ``steward/studio``: the page itself, and what it loads.

The files are read once, when the server starts, so no path of a request ever meets the file system. What carries a hash in
its name may be kept for ever, the page not at all. The content policy lets the page load, run and ask this server and
nobody else, without any script or style inside a page.
"""

import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path as Folder
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, Response

from steward.errors import NotFound
from steward.web.openapi import Responses, public_answers
from steward.web.request_facts import facts_of

FOLDER: Final = Folder(__file__).parents[1] / "studio"
"""Where the build puts it."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)
NOT_BUILT: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Steward</title></head><body>'
    "<p>Studio has not been built here: run <code>make studio</code> in a checkout, or install Steward from a wheel.</p>"
    '<p>The API is described at <a href="/docs">/docs</a>.</p></body></html>'
)
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_PAGE: Final = "index.html"
router = APIRouter(tags=["studio"])
Name = Annotated[str, Path(max_length=128, description="As the page names it.")]


def _documented(media_type: str, *problems: int) -> Responses:
    documented = public_answers(None, 400, 422, *problems)
    documented[200]["content"] = {media_type: {"schema": {"type": "string"}}}
    return documented


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    media_type: str
    plain: bytes
    gzipped: bytes


@cache
def assets(folder: Folder) -> dict[str, Asset]:
    """Return the built files by name; none where nothing has been built."""
    found = [folder / _PAGE, *sorted((folder / "assets").glob("*"))]
    return {
        path.name: Asset(
            mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            path.read_bytes(),
            path.with_name(f"{path.name}.gz").read_bytes(),
        )
        for path in found
        if path.suffix != ".gz" and path.is_file()
    }


def _sent(request: Request, asset: Asset, keep: str) -> Response:
    facts = facts_of(request.scope)
    facts.headers |= {"Content-Security-Policy": POLICY, "Cache-Control": keep}
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _page(request: Request) -> Response:
    page = assets(FOLDER).get(_PAGE)
    return HTMLResponse(NOT_BUILT) if page is None else _sent(request, page, _ASK_AGAIN)


@router.head("/", include_in_schema=False)
@router.get(
    "/",
    operation_id="studio_page",
    summary="Studio, the page for people",
    response_class=HTMLResponse,
    responses=public_answers(None),
)
async def studio(request: Request) -> Response:
    """It shows nothing before somebody signs in."""
    return _page(request)


@router.get(
    "/studio/assets/{name}",
    operation_id="studio_asset",
    summary="What Studio loads",
    response_class=Response,
    responses=_documented("*/*", 404),
)
async def studio_asset(request: Request, name: Name) -> Response:
    """Its script, its style and its icon."""
    asset = assets(FOLDER).get(name)
    if asset is None or name == _PAGE:
        raise NotFound
    return _sent(request, asset, _FOR_EVER if "-" in name else _ASK_AGAIN)


@router.get(
    "/studio/{screen}",
    operation_id="studio_screen",
    summary="A screen of Studio",
    response_class=HTMLResponse,
    responses=_documented("text/html"),
)
async def studio_screen(request: Request, screen: Name) -> Response:  # noqa: ARG001 - the page reads its own address
    """The same page; it shows the screen that its address names."""
    return _page(request)


@router.get(
    "/studio/{screen}/{item}",
    operation_id="studio_item",
    summary="One thing on a screen of Studio",
    response_class=HTMLResponse,
    responses=_documented("text/html"),
)
async def studio_item(request: Request, screen: Name, item: Name) -> Response:  # noqa: ARG001 - the page reads its own address
    """The same page; it shows the thing that its address names, to whoever may see it."""
    return _page(request)
