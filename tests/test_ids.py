"""Ids: sortable, unguessable, and recognised by their exact shape."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from steward.ids import IdFactory, is_id, is_word
from tests.conftest import FakeClock


def test_ids_sort_by_time_and_order(clock: FakeClock) -> None:
    """Also within a millisecond, past the counter's end, and when the clock goes back."""
    factory, made = IdFactory(clock), []
    for _ in range(3):
        made += [factory.new("job") for _ in range(5000)]
        clock.advance(0.001)
    clock.advance(-3600)
    made += [factory.new("job") for _ in range(10)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_that_are_made_together_are_ids_like_any(clock: FakeClock) -> None:
    """In order among themselves and with those before and after, also past the end of a millisecond's counter."""
    factory = IdFactory(clock)
    made = [factory.new("job"), *factory.many("job", 5000), factory.new("job"), *factory.many("job", 2)]
    clock.advance(3600)
    made += factory.many("job", 2)
    assert made == sorted(set(made))
    assert all(is_id(one, "job") for one in made)
    assert factory.many("job", 0) == []


def test_ids_of_many_threads_differ(clock: FakeClock) -> None:
    """One factory may be shared."""
    factory = IdFactory(clock)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: factory.new("job"), range(2000)))
    assert len(set(made)) == 2000


def test_two_processes_do_not_meet(clock: FakeClock) -> None:
    """Two factories at the same moment still make different ids: the rest is random."""
    one, other = IdFactory(clock), IdFactory(clock)
    assert not {one.new("job") for _ in range(1000)} & {other.new("job") for _ in range(1000)}


@pytest.mark.parametrize("prefix", ["plan", "job", "key", "evt", "appr"])
def test_an_id_is_recognised(clock: FakeClock, prefix: str) -> None:
    """By its own prefix only."""
    made = IdFactory(clock).new(prefix)
    assert is_id(made, prefix)
    assert not is_id(made, "other")
    assert len(made) == len(prefix) + 25


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good + "\n",
        lambda good: good + "0",
        lambda good: good[:-1],
        lambda good: good.upper(),
        lambda good: good[:-1] + "ı",
        lambda good: good[:-1] + "０",  # a full-width zero
        lambda good: good[:-1] + "\0",
        lambda good: good[:-1] + "l",  # not in the alphabet
        lambda good: " " + good,
        lambda good: good.replace("_", ":"),
        lambda good: "",
        lambda good: None,
        lambda good: 5,
        lambda good: good.encode(),
    ],
)
def test_w51_nothing_else_is_an_id(clock: FakeClock, spoil: object) -> None:
    """Line breaks, look-alikes, other lengths and types are refused."""
    assert not is_id(spoil(IdFactory(clock).new("job")), "job")  # type: ignore[operator]


@pytest.mark.parametrize("word", ["a", "rate_limited", "a" * 64, "x9_"])
def test_a_word_is_plain(word: str) -> None:
    """Snake_case, beginning with a letter, at most 64 characters."""
    assert is_word(word)


@pytest.mark.parametrize("text", ["", "A", "9a", "_a", "a-b", "a.b", "a\n", "a" * 65, "\u00e4", None, 7])
def test_w51_nothing_else_is_a_word(text: object) -> None:
    """No capitals, no line end, no look-alike letters, nothing that is not text."""
    assert not is_word(text)
