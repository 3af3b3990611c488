"""Writes the reference pages whose facts stand in the code, each made by a module of ``docs/pages``.

``python docs/generate.py`` writes them; ``--check`` writes nothing and says which page no longer says what the code does.
"""  # noqa: INP001 - a script beside the pages

import argparse
import sys
from pathlib import Path

from pages import actions, cli, errors, http, metrics, settings

REFERENCE = Path(__file__).parent / "reference"
PAGES = {"settings": settings, "metrics": metrics, "errors": errors, "actions": actions, "cli": cli, "http": http}
NOTE = "<!-- Written by docs/generate.py; change the code or docs/pages, not this page. -->\n\n"


def page(text: str) -> str:
    """Return a page's text as it is kept: no trailing blanks, never two blank lines, one newline at the end."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    kept = [line for number, line in enumerate(lines) if line or lines[number - 1]]
    return NOTE + "\n".join(kept) + "\n"


def main() -> int:
    """Write the pages, or check them; return 1 if a page is not what it should be."""
    parser = argparse.ArgumentParser(description="Write the reference pages whose facts stand in the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    check = parser.parse_args().check
    stale = []
    for name, module in PAGES.items():
        path, text = REFERENCE / f"{name}.md", page(module.make())
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text)
    verb = "is not current: run 'python docs/generate.py'" if check else "written"
    sys.stdout.write("".join(f"docs/reference/{name} {verb}\n" for name in stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
