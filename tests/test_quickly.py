"""A record that was made quickly is the record that its class makes: equal, of the same class, and as frozen."""

from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace

import pytest

from steward.quickly import quickly


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere."""

    town: str
    houses: int = 1
    roads: dict[str, int] = field(default_factory=dict, kw_only=True)


make_place = quickly(Place)


def test_it_is_the_same_record() -> None:
    """With all of its fields, by place and by name, and with defaults of its own."""
    made = make_place("Ulm", roads={"east": 2})
    assert type(made) is Place
    assert made == Place("Ulm", roads={"east": 2})
    assert asdict(make_place(town="Ulm", houses=3)) == {"town": "Ulm", "houses": 3, "roads": {}}
    assert make_place("Ulm").roads is not make_place("Ulm").roads
    assert replace(made, houses=2) == Place("Ulm", 2, roads={"east": 2})


def test_it_is_frozen() -> None:
    """Nothing of it can be set or taken away, and it has no room for more."""
    made = make_place("Ulm")
    with pytest.raises(FrozenInstanceError):
        made.town = "Bonn"  # pyrefly: ignore[read-only]
    with pytest.raises(FrozenInstanceError):
        del made.town  # pyrefly: ignore[read-only]
    assert not hasattr(made, "__dict__")


def test_it_takes_what_the_class_takes() -> None:
    """A field that is missing or unknown is refused."""
    with pytest.raises(TypeError, match="town"):
        make_place()  # pyrefly: ignore[missing-argument]
    with pytest.raises(TypeError, match="river"):
        make_place("Ulm", river=1)  # pyrefly: ignore[unexpected-keyword]
