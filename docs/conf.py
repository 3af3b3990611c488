"""How ``make docs`` turns these pages into a site: strictly, and without anything from the network.

Nothing is written twice for it. The pages are the Markdown that stands here, and the navigation is the index page itself: what
a section of it links to is a part of the navigation under that section's heading.
"""  # noqa: INP001 - Sphinx reads it where it stands

import re
from itertools import pairwise

from sphinx.application import Sphinx

project = "Steward"
author = "The Steward developers"
html_title = "Steward"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_permalinks_icon = "#"
extensions = ["myst_parser"]
exclude_patterns = ["pages"]
root_doc = "index"
myst_heading_anchors = 4
pygments_style = "default"
pygments_dark_style = "github-dark"
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_PAGE = re.compile(r"\]\(([\w/-]+)\.md\)")
_OUTSIDE = re.compile(r"\]\((?=(?:\.\./)+[A-Z]+\.md\))")
"""A link to a page beside the folder of pages, such as the README: the site hands out the file."""
_SHOWN_AS_TEXT = re.compile(r"^```(?:mermaid|cedar)$", re.MULTILINE)
"""Languages that the site has no colours for."""


def with_navigation(index: str) -> str:
    """Return the index page with a hidden table of contents for every section that links to pages."""
    found = [*_SECTION.finditer(index), None]
    parts = [index]
    for section, following in pairwise(found):
        if section is not None:
            pages = _PAGE.findall(index, section.end(), following.start() if following else len(index))
            listed = "\n".join(dict.fromkeys(pages))
            if listed:
                parts.append(f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {section[1]}\n\n{listed}\n```")
    return "\n\n".join(parts) + "\n"


def _read(_app: Sphinx, name: str, source: list[str]) -> None:
    text = _OUTSIDE.sub("](path:", _SHOWN_AS_TEXT.sub("```text", source[0]))
    source[0] = with_navigation(text) if name == root_doc else text


def setup(app: Sphinx) -> None:
    """Let Sphinx read pages as they are meant."""
    app.connect("source-read", _read)
