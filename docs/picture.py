"""Takes the picture of the terminal in the README: runs the demo in a real terminal and keeps what it shows first.

``python docs/picture.py`` writes ``docs/images/terminal.svg``. Nothing in it is written by hand.
"""  # noqa: INP001 - a script beside the pages

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COLUMNS = 92
FIRST, LAST = "── 1.", "── 3."
"""The part that is shown: from the first heading up to, and without, the last."""
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")
_FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="What make demo shows">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def recorded() -> str:
    """Return everything that the demo wrote to a terminal of its own."""
    parent, child = pty.openpty()
    env = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    demo = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(ROOT / "demo" / "run.py")], stdin=child, stdout=child, stderr=child, env=env, cwd=ROOT
    )
    os.close(child)
    written = bytearray()
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the last one closed the terminal
            break
        if not piece:
            break
        written += piece
    if demo.wait() != 0:
        raise SystemExit(f"The demo failed:\n{written.decode()}")
    return written.decode()


def screen(written: str) -> list[str]:
    """Return the lines that stand on the screen in the end, with their colours: what was erased is not there."""
    lines, row, at = [""], 0, 0
    for control in [*_CONTROL.finditer(written), None]:
        text = written[at : control.start()] if control else written[at:]
        for piece in re.split(r"(\n)", text.replace("\r", "")):
            if piece == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            else:
                lines[row] += piece
        if control is None:
            break
        at = control.end()
        if control[2] == "m":
            lines[row] += control[0]
        elif control[2] == "K":
            lines[row] = ""
        elif control[2] == "A":
            row = max(0, row - int(control[1] or 1))
    return lines


def main() -> None:
    """Write the picture."""
    lines = screen(recorded())
    first = next(number for number, line in enumerate(lines) if FIRST in line)
    last = next(number for number, line in enumerate(lines) if LAST in line)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines[first:last]).rstrip()))
    PICTURE.write_text(console.export_svg(title="make demo", code_format=_FORMAT, unique_id="steward"))
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
