"""The documentation's site: every page is in it, every link in it leads somewhere, and it needs nothing from elsewhere."""

import os
import re
import runpy
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.reading import DOCS, ROOT

pytestmark = pytest.mark.slow
_LOADING: Final = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself when it shows a page."""


class Page(HTMLParser):
    """Collects what a page leads to, what it loads, and the places in it that can be led to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of one element."""
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if address := given.get(_LOADING.get(tag, "")):
            self.loaded.append(address)


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Make a site as ``make docs`` does."""
    recipe = re.search(
        r"^docs: .*\n\t@\.venv/bin/sphinx-build (.*) docs _site$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe is not None
    options = recipe[1].replace("_site", str(target)).split()
    program = str(Path(sys.executable).with_name("sphinx-build"))
    return subprocess.run(
        [program, *options, str(source), str(target)],
        env={**os.environ, "no_proxy": "", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    """It is made without a network; each page is there; each link and each place it names exists; nothing is loaded from outside."""
    made = build(DOCS, tmp_path)
    assert made.returncode == 0, made.stderr
    written = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {page for page in written if not (tmp_path / page).exists()} == set()
    page_at = cache(Page)
    broken, foreign = [], []
    for page in sorted(tmp_path / path for path in written):
        foreign += [f"{page.name}: {address}" for address in page_at(page).loaded if urlsplit(address).netloc]
        for link in page_at(page).links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in page_at(target).places):
                broken.append(f"{page.name}: {link}")
    assert (broken, foreign) == ([], [])
    styles = "".join(path.read_text() for path in tmp_path.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?https?:[^)\"']*", styles) == []


def test_a_broken_link_and_a_page_that_nothing_leads_to_fail(tmp_path: Path) -> None:
    """What makes the site strict: a link to a page or a heading that is not there, and a page outside the navigation."""
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "lonely.md").write_text("# Lonely\n")
    (source / "here.md").write_text("# Here\n\n[gone](gone.md) [nowhere](here.md#nowhere)\n")
    (source / "index.md").write_text("# Index\n\n## Pages\n\n- [Here](here.md)\n")
    made = build(source, tmp_path / "site")
    assert made.returncode == 1
    assert [word for word in ("lonely.md", "gone", "nowhere") if word not in made.stderr] == []


def test_the_navigation_is_the_index_page() -> None:
    """Each section of the index that links to pages is a part of the navigation, in the order of the page."""
    with_navigation = runpy.run_path(str(DOCS / "conf.py"))["with_navigation"]
    shown = with_navigation((DOCS / "index.md").read_text())
    captions = re.findall(r"^:caption: (.+)$", shown, re.MULTILINE)
    assert captions == ["Tutorials", "How to", "Reference", "Explanation", "Decisions"]
    assert re.findall(r"^(tutorial/.+)$", shown, re.MULTILINE)[0] == "tutorial/first-plan"
