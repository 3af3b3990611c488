"""Looking at a page: in a profile of its own, for barriers, for what sticks out, and as a picture."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.studio.world import ROOT

_AXE: Final = ROOT / "studio" / "node_modules" / "axe-core" / "axe.min.js"
_STANDARDS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_NOT_OURS: Final = ("net::ERR", "Failed to load resource")
"""What the browser itself notes about refused requests and a cut line."""


@dataclass
class Eyes:
    """Opens pages and remembers what they complained about."""

    browser: Browser
    pictures: Path
    complaints: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def page(self, **options: Any) -> Page:
        """Return a page in a fresh profile."""
        chosen: dict[str, Any] = {
            "viewport": {"width": 1200, "height": 850},
            "locale": "en-GB",
            "color_scheme": "light",
            "reduced_motion": "reduce",
            **options,
        }
        context = self.browser.new_context(**chosen)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(words in message.text for words in _NOT_OURS):
            self.complaints.append(message.text)

    def close(self) -> None:
        """Close all profiles; fail if a page had an error, or broke its content policy."""
        for context in self._contexts:
            context.close()
        assert not self.complaints

    def picture(self, page: Page, name: str, *, whole: bool = True) -> None:
        """Take a picture of the whole page, or of what a window shows of it."""
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=self.pictures / f"studio-{name}.png", full_page=whole)


def barriers(page: Page, only: Sequence[str]) -> str:
    """Return what axe finds on a page by these rules, in words; nothing, where everybody can use it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text())
    found = page.evaluate("only => axe.run(document, {runOnly: only, resultTypes: ['violations']})", list(only))
    return json.dumps(
        [
            {"rule": one["id"], "help": one["help"], "at": [node["html"][:200] for node in one["nodes"]]}
            for one in found["violations"]
        ],
        indent=1,
    )


def look_for_barriers(page: Page) -> None:
    """Fail if axe finds anything: all of it in light, and in dark what depends on colours."""
    for scheme, only in (("light", _STANDARDS), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme)
        found = barriers(page, only)
        assert found == "[]", f"{scheme}: {found}"
    page.emulate_media(color_scheme="light")


def sticks_out(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
