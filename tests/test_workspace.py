"""The one validator of workspace ids."""

from typing import Any

import pytest

from steward.errors import Invalid
from steward.workspace import canonical_workspace_id, require_workspace_id

GOOD = ["a", "0", "acme", "acme-eu_2", "x" * 32, "0123456789abcdef0123456789abcdef"]
BAD: list[Any] = [
    "", " ", "a\n", "\na", "a\0", "a b", "A", "Acme", "-a", "_a", "x" * 33, "аcme", "ﬁ", "é", "a:b", "a*b", "{a}", "a/b", "..",
    "a" * 100_000, None, 5, True, b"acme", ["acme"], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("value", GOOD)
def test_a_well_formed_id_is_itself(value: str) -> None:
    """Nothing is trimmed, folded or otherwise helped along."""
    assert canonical_workspace_id(value) == value
    assert require_workspace_id(value) == value


@pytest.mark.parametrize("value", BAD, ids=lambda value: repr(value)[:20])
def test_w51_anything_else_is_refused(value: Any) -> None:
    """Trailing line breaks, look-alike letters, other lengths and types."""
    assert canonical_workspace_id(value) is None
    with pytest.raises(Invalid) as caught:
        require_workspace_id(value)
    assert caught.value.stable_code == "invalid_workspace_id"
