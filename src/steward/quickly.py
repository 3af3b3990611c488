"""Frozen records, made quickly: a worker makes half a dozen of them for each job.

The ``__init__`` of a frozen dataclass has to go around its own ``__setattr__`` for each field, which takes most of its time. So
a record is made here as an object of an open form of its class, whose fields are simply set, and gets the class itself as the last
thing. From then on it is a record like any other, and as frozen.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import fields, make_dataclass
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
Record = TypeVar("Record")


def quickly(kind: Callable[P, Record]) -> Callable[P, Record]:
    """Return what makes records of ``kind``, a frozen dataclass with slots, as the class does, in less than half of the time."""
    frozen = cast("type[Any]", kind)
    assert not hasattr(frozen, "__post_init__"), "it would not be called"

    def freeze(record: Any) -> None:
        record.__class__ = frozen

    told: list[tuple[str, Any, Any]] = [(one.name, one.type, copy(one)) for one in fields(frozen)]
    ready = {"__slots__": (), "__post_init__": freeze}
    plain = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    init = make_dataclass(frozen.__name__, told, namespace={"__post_init__": freeze}).__init__
    return type(frozen.__name__, (frozen,), {**ready, **plain, "__init__": init})
