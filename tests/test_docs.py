"""What the pages say must be so: links lead somewhere, commands and settings exist, generated pages are current."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from steward.approval import ApprovalStatus
from steward.cli.app import app as cli
from steward.errors import PlanExpired
from steward.identity import Role
from steward.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SETTING = re.compile(
    r"\b(?:STEWARD|SMTP|ACTION|METRICS|HTTP_ALLOW|WEBHOOK|AI|DATABASE|REDIS|JWT|CORS)_[A-Z][A-Z0-9_]*\b"
)
_EXAMPLE = re.compile(r"(?<![\w./-])steward +([^`\n)]*)")


def names(paths: list[Path]) -> list[str]:
    """Return ids for parametrised tests."""
    return [str(path.relative_to(ROOT)) for path in paths]


def code_in(page: Path) -> Iterator[str]:
    """Yield every line of code on a page: in shell blocks, and between backticks."""
    text = page.read_text()
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def commands_in(page: Path) -> list[str]:
    """Return what follows ``steward`` in the code on a page, comments left out."""
    typed = (re.split(r" [#|>]+ ?", line)[0] for line in code_in(page))
    return [found[1] for line in typed for found in _EXAMPLE.finditer(line) if found[1].strip()]


def unknown_part(words: list[str]) -> str | None:
    """Return the first command or option that the command line does not have; None: it has them all."""
    command: Any = typer.main.get_command(cli)
    options = {"--help", "-h", *(option for parameter in command.params for option in parameter.opts)}
    for word in words:
        children = getattr(command, "commands", {})
        if children and not word.startswith("-"):
            if word not in children:
                return word
            command = children[word]
            options |= {option for parameter in command.params for option in parameter.opts}
        elif word.startswith("-") and word.split("=")[0] not in options:
            return word
    return None


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """A link to a file of this repository names one that is there."""
    links = [link.split("#")[0] for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_exists(page: Path) -> None:
    """Each ``steward …`` on a page is a command with options that the command line has."""
    wrong = {line: unknown_part(shlex.split(line.replace("…", ""))) for line in commands_in(page)}
    assert {line: part for line, part in wrong.items() if part is not None} == {}


def test_the_check_of_commands_sees_commands() -> None:
    """The check above finds the README's commands, and tells what does not exist from what does."""
    assert "up" in [command.strip() for command in commands_in(ROOT / "README.md")]
    assert unknown_part(["jobs", "retry", "job_1"]) is None
    assert unknown_part(["jobs", "repeat", "job_1"]) == "repeat"
    assert unknown_part(["jobs", "list", "--colour"]) == "--colour"


def test_every_command_is_documented() -> None:
    """The page about the command line has a section for each command."""

    def leaves(command: Any, path: str) -> Iterator[str]:
        children = getattr(command, "commands", None)
        for name, child in (children or {}).items():
            yield from leaves(child, f"{path} {name}")
        if not children:
            yield path

    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    documented = set(re.findall(r"^## `([^`]+)`$", page, re.MULTILINE))
    assert documented == set(leaves(typer.main.get_command(cli), "steward"))


def test_every_setting_is_documented() -> None:
    """The page about settings has a line for each variable that is read."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert {row.variable for row in Settings.table()} <= documented


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    """A variable on any page is one that the settings page knows."""
    known = set(_SETTING.findall((ROOT / "docs" / "reference" / "settings.md").read_text()))
    assert set(_SETTING.findall(page.read_text())) <= known


def test_every_role_is_documented() -> None:
    """The page about workspaces says what each role may do."""
    page = (ROOT / "docs" / "how-to" / "workspaces-and-keys.md").read_text()
    assert set(re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)) == set(Role)


@pytest.mark.slow
def test_the_generated_pages_are_current() -> None:
    """What is generated from the code says what the code says now; if not, the message tells what to run."""
    script = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_page_can_be_reached_from_the_index() -> None:
    """A page that nobody can find is not documentation."""
    reached, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = [link.split("#")[0] for link in _LINK.findall(page.read_text()) if "://" not in link]
        waiting += [(page.parent / link).resolve() for link in links if link]
    assert sorted(set((ROOT / "docs").rglob("*.md")) - reached) == []


@pytest.mark.parametrize("page", DECISIONS, ids=names(DECISIONS))
def test_every_decision_has_the_same_parts(page: Path) -> None:
    """A decision is one page: a number and a sentence, then what led to it, what it is, and what it leaves open."""
    text = page.read_text()
    assert re.match(rf"# {page.name[:4]} [A-Z].+ .+\n", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        *("Context", "Decision", "Alternatives considered", "Consequences", "Not covered"),
    ]
    assert len(text.splitlines()) <= 60


def test_every_decision_has_a_number_of_its_own() -> None:
    """Nothing is decided twice under one number, and no number is left out."""
    numbers = [page.read_text()[2:6] for page in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


def test_the_licence_is_apache_2() -> None:
    """LICENSE holds the whole text of the Apache License 2.0."""
    text = (ROOT / "LICENSE").read_text()
    for part in (
        "Version 2.0, January 2004",
        "9. Accepting Warranty or Additional Liability",
        "END OF TERMS AND CONDITIONS",
    ):
        assert part in text


def test_the_glossary_has_every_state_in_the_words_of_its_page() -> None:
    """Each state of jobs, plans and approvals is in the glossary, with the sentence that the page about states has."""
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    rows = dict.fromkeys(re.findall(r"^\| `(\w+)` \| (.+) \|$", glossary, re.MULTILINE))
    states = (
        (ROOT / "docs" / "explanation" / "states.md").read_text().replace("](limits.md)", "](explanation/limits.md)")
    )
    assert set(re.findall(r"^\| `(\w+)` \| (.+) \|$", states, re.MULTILINE)) <= set(rows)
    assert [word for word, _ in rows][-len(ApprovalStatus) :] == list(ApprovalStatus)


def test_the_glossary_is_in_alphabetical_order() -> None:
    """A word is found where one looks for it, and stands there once."""
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    words = re.findall(r"^\*\*(.+?)\.?\*\*(?: \((.+?)\))?", glossary, re.MULTILINE)
    assert len(words) > 50
    assert [word for word, _ in words] == sorted((word for word, _ in words), key=str.lower)
    assert len(set(words)) == len(words)


def test_the_problem_on_the_page_about_errors_is_one_of_ours() -> None:
    """Its example is a document as the server would send it: code, status and title belong together."""
    (example,) = re.findall(
        r"^```json\n(.*?)^```$", (ROOT / "docs/reference/errors.md").read_text(), re.DOTALL | re.MULTILINE
    )
    problem = json.loads(example)
    known = PlanExpired("")
    assert (problem["code"], problem["status"], problem["title"]) == (known.code, known.status, known.title)
