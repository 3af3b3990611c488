"""The cookie of a session, and the rule that only this server's own pages may use it.

A browser adds a cookie to a request whoever caused it, so a cookie alone proves nothing. It counts only if the request
says that it comes from the same origin: by ``Origin``, which browsers send with everything that changes something, and by
``Sec-Fetch-Site`` where they send it. A program that is not a browser uses a Bearer credential.
"""

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from steward.errors import Forbidden

COOKIE: Final = "steward_session"
_MAX_CHARS: Final = 128
_SAFE: Final = frozenset({"GET", "HEAD"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def session_handle(request: Request) -> str | None:
    """Return the handle in the cookie, if there is one and nothing else claims to say who asks."""
    handle = request.cookies.get(COOKIE)
    return handle if handle and len(handle) <= _MAX_CHARS and "authorization" not in request.headers else None


def require_same_origin(request: Request) -> None:
    """Raise ``Forbidden`` (``cross_origin``) unless the request says that it comes from a page of this server."""
    site = request.headers.get("sec-fetch-site")
    allowed = {None, "same-origin", "none"} if request.method in _SAFE else {None, "same-origin"}
    origins = request.headers.getlist("origin")
    said = len(origins) == 1 or (not origins and request.method in _SAFE)
    if not said or site not in allowed or not all(_is_own(origin, request) for origin in origins):
        raise Forbidden(
            "A session works from this server's own pages only; elsewhere send 'Authorization: Bearer <api key>'.",
            code="cross_origin",
        )


def refuse_foreign_page(request: Request) -> None:
    """Raise ``Forbidden`` (``cross_origin``) for a request that a browser makes for another server's page."""
    if {"origin", "sec-fetch-site"} & set(request.headers.keys()):
        require_same_origin(request)


def _is_own(origin: str, request: Request) -> bool:
    """Say whether ``origin`` is this server as the browser knows it; encrypted, except on this machine."""
    own = request.headers.get("host", "").lower()
    return bool(own) and origin in ({f"https://{own}", f"http://{own}"} if _is_local(own) else {f"https://{own}"})


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:
        return False


def place(response: Response, request: Request, handle: str, validity: timedelta) -> None:
    """Put a session's handle into the browser."""
    _set(response, request, handle, int(validity.total_seconds()))


def remove(response: Response, request: Request) -> None:
    """Take it out again."""
    _set(response, request, "", 0)


def _set(response: Response, request: Request, value: str, max_age: int) -> None:
    secure = not _is_local(request.headers.get("host", ""))
    response.set_cookie(COOKIE, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")
