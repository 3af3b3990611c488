"""Studio as it is built: small, the same each time, with types that are the API's, and parts that pass their own tests."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from steward.web import studio
from tests.web.house import open_house

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
BUILD = ROOT / "studio" / "build.py"
FIRST_LOAD_BYTES = 60 * 1024


def run(*arguments: str | Path) -> str:
    """Run the build's program to its end and return what it printed."""
    ended = subprocess.run(
        [sys.executable, BUILD, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_first_load_is_small(capsys: pytest.CaptureFixture[str]) -> None:
    """Page, script and style, gzipped, are at most 60 KB; that is all there is, and the page names nothing of elsewhere."""
    run()
    files = [studio.FOLDER / "index.html.gz", *(studio.FOLDER / "assets").glob("*-*.gz")]
    sizes = {path.name: path.stat().st_size for path in files}
    with capsys.disabled():
        sys.stdout.write(f"\nStudio's first load: {sum(sizes.values()) / 1024:.1f} KB gzip {sizes}\n")
    assert len(sizes) == 3
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES
    named = re.findall(r'(?:src|href)="([^"]+)"', (studio.FOLDER / "index.html").read_text())
    assert named
    assert all(address.startswith("/studio/assets/") for address in named)


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """Built a second time, elsewhere, every file is the same."""
    run()
    run("--out", tmp_path / "again")
    first, second = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (studio.FOLDER, tmp_path / "again")
    )
    first.pop("built-from")
    assert first == second


@pytest.mark.anyio
async def test_the_types_are_those_of_the_api(tmp_path: Path) -> None:
    """What is kept is what the API's own description gives; where it is not, studio/README.md says how to write it anew."""
    described = tmp_path / "openapi.json"
    async with open_house(tmp_path / "home") as house:
        described.write_text(json.dumps(house.api.openapi()))
    run("--types", described, "--out", tmp_path / "schema.d.ts")
    kept = ROOT / "studio" / "src" / "api" / "schema.d.ts"
    assert kept.read_text() == (tmp_path / "schema.d.ts").read_text(), "see studio/README.md: write schema.d.ts anew"


@pytest.mark.about_tests
def test_its_parts_pass_their_own_tests() -> None:
    """The unit tests of the TypeScript, by node's own runner."""
    assert re.search(r"# pass [1-9]|pass [1-9]", run("--test"))
