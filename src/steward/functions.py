"""The functions of expressions: those of JMESPath, and the few that real plans need beside them. Pure, and bounded.

An expression is written by a planner or a client and runs on what came from outside, so its cost has a limit: every node
that is visited and every part that is made counts, and past the limit it fails instead of going on.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, cast

from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter

from steward.errors import StewardError

MAX_COST: Final = 200_000
"""Nodes visited and parts made while one expression is evaluated."""
MAX_TEXT: Final = 128 * 1024
"""Characters of any text on the way."""
_URL: Final = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)
_AROUND: Final = ".,;:!?)]}*_"
"""What follows an address in a sentence rather than belonging to it."""
_MAX_DAYS: Final = 366 * 100
_MAX_PLACES: Final = 10
_MAX_NUMBER: Final = 2**53 - 1
"""Beyond it, JSON does not keep numbers exactly."""


class ExpressionFailed(Exception):
    """The expression has no value: ``detail`` says why, and repeats nothing of what was read."""

    def __init__(self, detail: str) -> None:
        """Keep the sentence."""
        self.detail = detail
        super().__init__(detail)


class PlanFunctions(Functions):
    """JMESPath's functions and ours."""

    @signature({"types": ["array"]})
    def _func_only(self, array: list[Any]) -> Any:
        """The one element there is."""
        if len(array) != 1:
            raise ExpressionFailed(f"Exactly one was meant, and there are {len(array) or 'none'}.")
        return array[0]

    @signature({"types": ["array"]}, {"types": ["expref"]})
    def _func_best(self, array: list[Any], expref: Any) -> Any:
        """The element with the greatest value, if one has it alone."""
        keyed = [(expref.visit(expref.expression, element), element) for element in array]
        if {type(value) in {int, float} or type(value) for value, _ in keyed} - {True, str} or any(
            value is None for value, _ in keyed
        ):
            raise ExpressionFailed("best() compares numbers, or texts, and one of its values is neither.")
        if not keyed:
            raise ExpressionFailed("The best was meant, and there is none.")
        greatest = max(value for value, _ in keyed)
        return self._func_only([element for value, element in keyed if value == greatest])

    @signature({"types": ["array"]}, {"types": ["expref"]}, {"types": ["string", "number"]})
    def _func_lookup(self, array: list[Any], expref: Any, wanted: Any) -> Any:
        """The one element whose key is this."""
        return self._func_only([one for one in array if expref.visit(expref.expression, one) == wanted])

    @signature({"types": ["array"]}, {"types": ["array"]})
    def _func_difference(self, array: list[Any], other: list[Any]) -> list[Any]:
        """Those elements of the first that are not in the second."""
        return [one for one in array if one not in other]

    @signature({"types": ["array"]}, {"types": ["expref"]})
    def _func_group_count(self, array: list[Any], expref: Any) -> list[dict[str, Any]]:
        """How often each key occurs, the most frequent first."""
        keys = [expref.visit(expref.expression, one) for one in array]
        if not all(isinstance(key, str) for key in keys):
            raise ExpressionFailed("group_count() counts texts, and one of its keys is none.")
        counted = Counter(keys)
        return [{"key": key, "count": counted[key]} for key in sorted(counted, key=lambda key: (-counted[key], key))]

    @signature({"types": ["number"]}, {"types": ["number"]})
    def _func_subtract(self, number: float, other: float) -> float:
        """The first number without the second."""
        return _calculated(_exact(number) - _exact(other), number, other)

    @signature({"types": ["number"]}, {"types": ["number"]})
    def _func_multiply(self, number: float, other: float) -> float:
        """So many times the number."""
        return _calculated(_exact(number) * _exact(other), number, other)

    @signature({"types": ["number"]}, {"types": ["number"]})
    def _func_round(self, number: float, places: float) -> float:
        """The number to so many decimal places, a half away from zero, as money is rounded."""
        if places not in range(_MAX_PLACES + 1):
            raise ExpressionFailed(f"A number is rounded to 0 to {_MAX_PLACES} places.")
        step = Decimal(1).scaleb(-int(places))
        return _calculated(_exact(number).quantize(step, rounding=ROUND_HALF_UP), number)

    @signature({"types": ["string"]})
    def _func_urls(self, text: str) -> list[str]:
        """The web addresses in a text, in order, each once."""
        found = (match.rstrip(_AROUND) for match in _URL.findall(text))
        return list(dict.fromkeys(found))

    @signature({"types": ["string"]}, {"types": ["number"]})
    def _func_add_days(self, moment: str, days: float) -> str:
        """A date or a time that much later (or earlier), in the same form."""
        return _moved(moment, timedelta(days=_bounded(days, _MAX_DAYS)))

    @signature({"types": ["string"]}, {"types": ["number"]})
    def _func_add_minutes(self, moment: str, minutes: float) -> str:
        """A time that much later (or earlier), in the same form."""
        return _moved(moment, timedelta(minutes=_bounded(minutes, _MAX_DAYS * 1440)))

    @signature({"types": ["string"]})
    def _func_day_of(self, moment: str) -> str:
        """The day of a time: ``2026-03-04``."""
        return _moment(moment)[0].date().isoformat()

    @signature({"types": ["string"]})
    def _func_time_of(self, moment: str) -> str:
        """The time of day of a time: ``15:30``."""
        return _moment(moment)[0].strftime("%H:%M")

    @signature({"types": ["string"]}, {"types": ["string"]})
    def _func_days_between(self, one: str, other: str) -> int:
        """Days from the first day to the second."""
        return (_moment(other)[0].date() - _moment(one)[0].date()).days


def _exact(number: float) -> Decimal:
    """Return a number as it is written: 0.1 is a tenth."""
    return Decimal(str(number))


def _calculated(number: Decimal, *given: float) -> float:
    """Return a number as JSON has it, whole if everything it was made of is."""
    if not number.is_finite() or abs(number) > _MAX_NUMBER:
        raise ExpressionFailed("The number gets too large.")
    return int(number) if all(isinstance(one, int) for one in given) else float(number)


def _bounded(number: float, most: float) -> float:
    if not -most <= number <= most:
        raise ExpressionFailed("That is too far away in time.")
    return number


def _moment(text: str) -> tuple[datetime, str]:
    """Return a moment and how it was written: ``date``, or the separator of day and time."""
    try:
        if len(text) == len("2026-03-04"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time()), "date"
        return datetime.fromisoformat(text), "T" if "T" in text else " "
    except ValueError:
        raise ExpressionFailed("A date is like 2026-03-04, a time like 2026-03-04T15:30.") from None


def _moved(text: str, by: timedelta) -> str:
    moment, form = _moment(text)
    try:
        later = moment + by
    except OverflowError:
        raise ExpressionFailed("That is too far away in time.") from None
    if form == "date":
        return later.date().isoformat()
    seconds = text.count(":") > 1 + (later.utcoffset() is not None and not text.endswith("Z"))
    written = later.isoformat(sep=form, timespec="auto" if seconds else "minutes")
    return written.replace("+00:00", "Z") if text.endswith("Z") else written


FUNCTIONS: Final = PlanFunctions()


class BoundedInterpreter(TreeInterpreter):
    """Evaluates one expression within its limits."""

    def __init__(self) -> None:
        """Start counting."""
        super().__init__()
        self._functions = FUNCTIONS
        self._cost = 0

    def visit(self, node: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Evaluate a node and count what it cost."""
        self._count(1)
        value = super().visit(cast("Any", node), *args, **kwargs)
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise ExpressionFailed("A text on the way gets too long.")
        elif node["type"] in _MAKERS:
            for _ in parts_of(value):
                self._count(1)
        elif isinstance(value, list):
            self._count(len(value) // 8)
        return value

    def _count(self, cost: int) -> None:
        self._cost += cost
        if self._cost > MAX_COST:
            raise ExpressionFailed("It takes too much work to find out.")


_MAKERS: Final = frozenset({"multi_select_list", "multi_select_dict", "function_expression", "flatten"})
"""Nodes whose value may be larger than what they were given: how large is counted at once, part by part."""


def parts_of(value: Any) -> Iterator[Any]:
    """Yield every part of a value, itself first; a part that stands in two places is yielded twice."""
    stack = [value]
    while stack:
        one = stack.pop()
        yield one
        if isinstance(one, Mapping):
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def evaluate(tree: Mapping[str, Any], scope: Mapping[str, Any]) -> Any:
    """Return the value of a parsed expression; raise ``ExpressionFailed`` if it has none."""
    try:
        return BoundedInterpreter().visit(tree, scope)
    except (ExpressionFailed, StewardError):
        raise
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ExpressionFailed(f"It cannot be worked out from what there is ({type(error).__name__}).") from None
