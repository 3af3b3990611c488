"""The numbered weaknesses that this project answers to, and where each answer stands.

A row W<n> is answered by the tests with ``w<n>`` in their names. What no test can be about yet stands in ``WAITING`` with
what it waits for, in a few words; whoever builds that takes the row out and writes its test. What is true of a row already, for
something else that exists, has its tests, and the rest of it stands in ``IN_PART``.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LAST: Final = 149
TESTS: Final = Path(__file__).parent

_OAUTH: Final = "linked accounts: there is no OAuth yet"
_ROLLOUT: Final = "gradual rollout, which is not built"
_UPLOAD: Final = "connectors that upload in chunks"


def _each(why: str, *numbers: int) -> dict[int, str]:
    return dict.fromkeys(numbers, why)


WAITING: Final[dict[int, str]] = {
    **_each(_OAUTH, 7, 8, 88, 90, 93, 94, 95),
    **_each(_UPLOAD, 9, 84),
    **_each(_ROLLOUT, *range(112, 118)),
}
IN_PART: Final[dict[int, str]] = {
    85: f"{_UPLOAD}; empty attachments go out",
    89: f"{_OAUTH}; a code that opens a session works once",
    91: f"{_OAUTH}; no secret of a step lies in Redis in clear",
    92: f"{_OAUTH}; a session that was ended is gone in every copy",
    96: f"{_OAUTH}; no key is made up in production, and what older keys have sealed can be read",
    97: f"{_OAUTH}; what a language model's provider or a mail server says about an error is not passed on",
    118: f"{_ROLLOUT}; a dry run of moving keys changes nothing",
    119: f"{_ROLLOUT}; without Redis nothing is started, and nothing answers with 500",
    120: f"{_ROLLOUT}; the phase of the keys is moved in one operation, by one at a time",
}


def numbers_in(name: str) -> list[int]:
    """Return the rows that the name of a test claims: 3 and 55 of ``test_w3_w55_each_route…``."""
    return [int(number) for number in re.findall(r"(?<=_)w(\d+)(?=_)", name)]


def covered() -> dict[int, list[str]]:
    """Return the tests of each row, as ``file::name``."""
    found = defaultdict[int, list[str]](list)
    for path, name in _tests():
        for number in numbers_in(name):
            found[number].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def _tests() -> Iterator[tuple[Path, str]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node.name
