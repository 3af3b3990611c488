"""One server and one browser for all tests of a process; every test has a profile of its own in it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.studio.browser import chromium
from tests.studio.looking import Eyes
from tests.studio.world import ROOT, World, open_world

PICTURES: Final = os.environ.get("STUDIO_PICTURES")
"""Set: the pictures of the documentation are made anew."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a running installation."""
    with open_world(tmp_path_factory.mktemp("studio")) as opened:
        yield opened


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return a browser. It ends with this folder's tests: its event loop would be in the way of others."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        expect.set_options(timeout=15_000)
        yield launched
        launched.close()


@pytest.fixture
def eyes(browser: Browser, tmp_path: Path) -> Iterator[Eyes]:
    """Return who looks at pages, and fails a test in which a page complained."""
    pictures = ROOT / "docs" / "images" if PICTURES else tmp_path
    opened = Eyes(browser, pictures)
    yield opened
    opened.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(eyes: Eyes, world: World) -> Visit:
    """Return how to open Studio in a fresh profile, signed in with a key where one is given."""

    def opened(key: str | None = None, path: str = "/", url: str | None = None, **options: object) -> Page:
        page = eyes.page(**options)
        page.goto((url or world.url) + path)
        if key is not None:
            sign_in(page, key)
        return page

    return opened


def sign_in(page: Page, key: str) -> None:
    """Sign in as a person does."""
    page.get_by_label("API key or one-time code").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation", name="Screens").wait_for()


def ask(page: Page, sentence: str) -> None:
    """Ask for something and wait for what comes back."""
    page.get_by_label("Your request").fill(sentence)
    page.get_by_role("button", name="Make a plan").click()
    page.get_by_role("region", name="The plan").wait_for()
