"""The watch over the tests, against made-up tests: the empty and the self-absorbed fail, the honest pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from guard.patches.tenants import TENANTS

ROOT = Path(__file__).parent.parent
MADE_UP = '''
import subprocess, sys, threading
import pytest
from pathlib import Path
from steward.job import TRANSITIONS
from steward.workspace import canonical_workspace_id

ROOT = Path({root!r})
EDGES = {{(a, b) for a, ends in TRANSITIONS.items() for b in ends}}


@pytest.fixture
def local():
    return {{"workspace_id": "acme"}}


@pytest.fixture
def made_by_the_system():
    return canonical_workspace_id("acme")


@pytest.fixture(scope="module")
def shared_service():
    assert canonical_workspace_id("acme")


def test_bad_empty():
    """Nothing at all."""


def test_bad_pass():
    pass


def test_bad_own_dictionary(local):
    assert local["workspace_id"] == "acme"
    assert len(sorted(local)) == 1


def test_bad_only_the_fixture(made_by_the_system):
    assert True


def test_bad_another_program():
    subprocess.run([sys.executable, "-c", "print('hello')"], check=True)


def test_bad_file_of_its_own(tmp_path):
    (tmp_path / "README.md").write_text("x")
    assert (tmp_path / "README.md").read_text() == "x"


@pytest.mark.anyio
async def test_bad_async(local):
    assert local


def test_good_call():
    assert canonical_workspace_id("acme") == "acme"


def test_good_call_on_a_thread():
    thread = threading.Thread(target=canonical_workspace_id, args=("acme",))
    thread.start()
    thread.join()


@pytest.mark.anyio
async def test_good_async():
    assert canonical_workspace_id("acme") == "acme"


def test_good_declaration():
    assert EDGES


def test_good_program():
    subprocess.run([sys.executable, "-m", "steward", "--help"], check=False, stdout=-3, stderr=-3)


def test_good_script():
    subprocess.run([sys.executable, "-c", "from steward import clock"], check=True)


def test_good_page():
    assert (ROOT / "README.md").read_text()


def test_good_shared(shared_service):
    assert True
'''


def outcomes(folder: Path, text: str) -> dict[str, str]:
    """Run made-up tests under the watch, outside this run; return how each ended."""
    (folder / "test_made_up.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.honesty", "-c", "/dev/null", "--import-mode=importlib"]
    command += ["-rA", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.split() for line in ran.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR"))]
    assert lines, ran.stdout + ran.stderr
    return {words[1].partition("::")[2]: words[0] for words in lines}


@pytest.mark.slow
@pytest.mark.about_tests
def test_w146_a_test_that_never_reaches_the_system_fails(tmp_path: Path) -> None:
    """Whatever it asserts: by a call, a program, a page or a declaration, a test must meet the system."""
    found = outcomes(tmp_path, MADE_UP.format(root=str(ROOT)))
    bad = {name for name, ended in found.items() if ended != "PASSED"}
    assert len(found) == 15
    assert bad == {name for name in found if name.startswith("test_bad")}


def test_w146_without_the_workspace_filter_three_tests_fail() -> None:
    """What keeps tenants apart is tested three times over; ``make guard`` takes each away and counts."""
    filters = [mutation for mutation in TENANTS if mutation.file.endswith("statements.py")]
    assert sum(mutation.at_least >= 3 for mutation in filters) >= 8


@pytest.mark.slow
@pytest.mark.about_tests
def test_w147_a_run_with_a_skipped_test_fails(tmp_path: Path) -> None:
    """A test that is skipped, by itself or with its module, or expected to fail, makes the whole run a failure."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.conftest import pytest_sessionfinish\n"
    )
    skips = {
        "by_itself": "import pytest\ndef test_x():\n    pytest.skip('later')\n",
        "with_its_module": "import pytest\npytest.skip('later', allow_module_level=True)\n",
        "expected": "import pytest\n@pytest.mark.xfail\ndef test_x():\n    assert False\n",
        "none": "def test_x():\n    assert True\n",
    }
    codes, alone = {}, {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name, text in skips.items():
        path = tmp_path / f"test_{name}.py"
        path.write_text(text + ("\ndef test_y():\n    assert True\n" if name != "with_its_module" else ""))
        command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", str(path)]
        ran = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, check=False)
        codes[name] = ran.returncode
    assert codes == {"by_itself": 1, "with_its_module": 1, "expected": 1, "none": 0}
