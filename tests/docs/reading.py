"""Reads the fenced blocks of a page, and what the page says about each: the file it is saved as, or why it is not run."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOT_RUN: Final = re.compile(r"^\*Not run by the tests: (.+\.)\*$", re.MULTILINE)
_FILE: Final = re.compile(r"`([\w-]+\.(?:json|cedar|py))`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    """The page's path from the root of the repository."""
    number: int
    language: str
    text: str
    file: str | None
    """What the paragraph above says that it is saved as."""
    not_run: str | None
    """Why it is not run, in the page's own words, if the paragraph above says so."""

    @property
    def is_code(self) -> bool:
        """Whether it is something to type, save or send, and not what a program shows or a drawing."""
        return self.language not in {"text", "mermaid"}


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text()
    found: list[Block] = []
    end = 0
    for number, fence in enumerate(_FENCE.finditer(text)):
        above = text[end : fence.start()].strip().rpartition("\n\n")[2]
        files, reason = _FILE.findall(above), _NOT_RUN.search(above)
        found.append(
            Block(
                page=str(page.relative_to(ROOT)),
                number=number,
                language=fence[2],
                text=textwrap.dedent(fence[3]),
                file=files[-1] if files else None,
                not_run=reason[1] if reason else None,
            )
        )
        end = fence.end()
    return found


def commands_in(block: Block) -> list[str]:
    """Return the commands of a block of shell, each as one line; comments and blank lines left out."""
    joined = block.text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
