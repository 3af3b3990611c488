"""The Python on the pages about the client, the protocol for assistants and tests of actions runs as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from steward.actions import action
from steward.testing import assert_completed, assert_failed, trial
from tests.web.house import open_house

PAGES = Path(__file__).parent.parent / "docs" / "how-to"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("python-client.md", ["write", "file.write completed", "not_found"]),
        ("mcp.md", ["show_plan", "file.write", "completed"]),
        ("test-actions.md", []),
    ],
)
async def test_the_python_on_the_page_runs(tmp_path: Path, anyio_backend: str, page: str, says: list[str]) -> None:
    """The one block of the page, as a program of its own against a running server, ends well and says what it should."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    async with open_house(tmp_path) as house, house.served() as (_, url), house.worker():
        environment = {**os.environ, "STEWARD_URL": url, "STEWARD_API_KEY": await house.key()}
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", block),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await program.communicate()
    assert program.returncode == 0, err.decode()
    assert [words for words in says if words not in out.decode()] == []


async def test_asserts_tell_what_happened_instead(anyio_backend: str) -> None:
    """A job that ended otherwise than a test says fails the test with how it ended."""

    @action("trial.fail", effect="read")
    def fail() -> dict[str, str]:
        """Fail."""
        raise ValueError

    async with trial(fail) as steward:
        job = await steward.run("trial.fail")
    assert_failed(job, job["error"]["code"])
    with pytest.raises(AssertionError, match="failed"):
        assert_completed(job)
    with pytest.raises(AssertionError, match="not failed with other"):
        assert_failed(job, "other")
