"""Every numbered weakness has a test that would notice its return, or says what it waits for."""

import pytest

from tests.rows import IN_PART, LAST, WAITING, covered, numbers_in


@pytest.mark.about_tests
def test_w148_every_row_has_an_executable_check() -> None:
    """Nothing is answered by a comment: a row is in the name of a test, or waits for something that is not built."""
    tests = covered()
    silent = [number for number in range(1, LAST + 1) if number not in tests]
    assert silent == sorted(WAITING), "what waits has no test, and what has none waits"
    assert IN_PART.keys() <= tests.keys()
    assert [f"W{number}" for number in tests if not 1 <= number <= LAST] == []


@pytest.mark.about_tests
def test_w148_a_name_claims_what_it_says() -> None:
    """Several rows may stand in one name, and only as words of their own."""
    assert numbers_in("test_w3_w55_each_route_needs_its_scope") == [3, 55]
    assert numbers_in("test_two_w_and_sw3_things") == []
