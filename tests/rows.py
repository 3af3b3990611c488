"""The numbered weaknesses that this project answers to, and where each answer stands.

A row W<n> is answered by the tests with ``w<n>`` in their names. What no test can be about yet stands in ``WAITING`` with
what it waits for, in a few words; whoever builds that takes the row out and writes its test.
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
_LIMITS: Final = "rate limits"
_UPLOAD: Final = "connectors that upload in chunks"


def _each(numbers: range, why: str) -> dict[int, str]:
    return dict.fromkeys(numbers, why)


WAITING: Final[dict[int, str]] = {
    **_each(range(7, 9), _OAUTH),
    9: _UPLOAD,
    82: "a policy that keeps mail inside; a refusal names no list",
    **_each(range(84, 86), _UPLOAD),
    **_each(range(88, 98), _OAUTH),
    **_each(range(98, 105), "the audit chain"),
    **_each(range(112, 121), _ROLLOUT),
    **_each(range(121, 124), _LIMITS),
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
