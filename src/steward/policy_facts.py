"""What a rule may look at beside who asks and which action it is: the facts of one step, computed from its parameters. Pure.

Facts are recorded with every decision, for good, so that other rules can be tried on the past. Therefore they hold domains,
hosts and counts, never an address, a path or content.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import idna

from steward.action import ActionDefinition, ParameterRole
from steward.dataflow import parameter_at
from steward.expression import is_reference
from steward.provenance import Label, join

UNREADABLE: Final = "?"
"""Stands among the hosts for a URL whose host cannot be read, or is one too many: it is nobody's own."""
MAX_NAMES: Final = 100
"""Domains, and hosts, that are told apart in one step; any more count as destinations that cannot be read."""
_MAX_AMOUNT: Final = 2**53 - 1
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}")
_NOT_IN_AN_ADDRESS: Final = re.compile(r"[\s,;:<>()\[\]\"\\@\x00-\x1f\x7f]")
_NOT_IN_A_URL: Final = re.compile(r"[\s\\\x00-\x1f\x7f]")
DOT_ALIKES: Final = re.compile("[\u3002\uff0e\uff61]")
"""What some programs read as a dot in the name of a host."""
_LABELS: Final = frozenset(Label)


def facts_of(
    definition: ActionDefinition, params: Mapping[str, Any], inputs: Mapping[str, Any], *, resolved: bool = False
) -> dict[str, Any]:
    """Return the facts of a step, in the shape that the policy schema declares.

    ``inputs`` says for each parameter path that an earlier step feeds where it comes from and its label. Unless
    ``resolved``, an expression among the parameters stands for a value that nobody knows yet; after that it is a value
    like any other.
    """
    if not inputs and is_all_content(definition, params):
        return dict(NOTHING)
    found = _Destinations()
    amounts: list[int] = []
    unknown: set[str] = set()
    for name, value in params.items():
        role = definition.role_of(name)
        if role is ParameterRole.CONTENT and isinstance(value, str):  # a fact never tells of it
            continue
        if not resolved and _awaits(value):
            unknown.add(role.value)
        if role is ParameterRole.DESTINATION:
            for text in _leaves(value, resolved=resolved):
                found.add(text)
        elif role is ParameterRole.AMOUNT:
            for item in _leaves(value, resolved=resolved):
                amount = _whole(item)
                if amount is None:
                    unknown.add(role.value)
                else:
                    amounts.append(amount)
    facts = _told(found, unknown, _labels(definition, inputs))
    return facts | ({"amount": max(amounts)} if amounts else {})


def is_all_content(definition: ActionDefinition, params: Mapping[str, Any]) -> bool:
    """Say whether there are only texts that a fact never tells of, as many actions take nothing else."""
    roles = definition.roles
    for name, value in params.items():  # a generator would take twice as long
        if type(value) is not str or roles.get(name) is not ParameterRole.CONTENT:
            return False
    return True


def _told(found: "_Destinations", unknown: Collection[str], labels: list[str]) -> dict[str, Any]:
    return {
        "recipients": len(found.addresses),
        "recipient_domains": sorted(found.domains),
        "hosts": sorted(found.hosts),
        "other_destinations": found.others,
        "unknown": sorted(unknown),
        "labels": labels,
    }


class _Destinations:
    """Where a step goes, as far as it can be told."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.domains: set[str] = set()
        self.hosts: set[str] = set()
        self.others = 0

    def add(self, value: Any) -> None:
        """Count one destination; what is neither an address nor a readable URL is an "other".

        A URL that cannot be read here may well be read elsewhere, so it also counts as a host that nobody knows.
        """
        is_url = isinstance(value, str) and "://" in value
        host = _host(value) if is_url else None
        domain = _domain(value) if isinstance(value, str) and not is_url else None
        if host is not None and len(self.hosts | {host}) <= MAX_NAMES:
            self.hosts.add(host)
        elif is_url:
            self.hosts.add(UNREADABLE)
            self.others += 1
        elif domain is not None and len(self.domains | {domain}) <= MAX_NAMES:
            self.domains.add(domain)
            self.addresses.add(value)
        else:
            self.others += 1


NOTHING: Final[Mapping[str, Any]] = MappingProxyType(_told(_Destinations(), (), []))
"""The facts of a step that has only content, from nowhere else."""


def _awaits(value: Any) -> bool:
    if isinstance(value, str):
        return False
    if is_reference(value):
        return True
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_awaits(item) for item in items)


def _leaves(value: Any, *, resolved: bool) -> Iterator[Any]:
    """Yield every text, number and name of a field inside ``value``; what is not known yet yields nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if resolved or not is_reference(value):
            for key, item in value.items():
                yield key
                yield from _leaves(item, resolved=resolved)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, resolved=resolved)
    elif value is not None and not isinstance(value, bool):
        yield value


def _domain(text: str) -> str | None:
    """Return the domain of an address, in lower-case ASCII; None if the text is not exactly one address."""
    local, _, domain = text.removeprefix("mailto:").rpartition("@")
    return _ascii_name(domain) if local and not _NOT_IN_AN_ADDRESS.search(local) else None


def _host(text: str) -> str | None:
    """Return the host of a URL, in lower-case ASCII; None if the text is not a URL that everybody reads alike."""
    if _NOT_IN_A_URL.search(text):
        return None
    try:
        return _ascii_name((urlsplit(text).hostname or "").removesuffix("."))
    except ValueError:
        return None


def _ascii_name(name: str) -> str | None:
    if DOT_ALIKES.search(name):
        return None
    try:
        # Strict IDNA 2008, no mapping: a look-alike keeps a name of its own, and what is not a name has none.
        plain = name.lower() if name.isascii() else idna.encode(name.lower()).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None
    return plain if _NAME.fullmatch(plain) else None


def _whole(value: Any) -> int | None:
    """Return the size of an amount in whole units, rounded up, so that "more than 500" means what it says; None: unreadable."""
    try:
        amount = abs(Decimal(str(value)))
    except InvalidOperation:
        return None
    if not amount.is_finite():
        return None
    return _MAX_AMOUNT if amount >= _MAX_AMOUNT else math.ceil(amount)


def _labels(definition: ActionDefinition, inputs: Mapping[str, Any]) -> list[str]:
    """Return ``role:label`` for every role that earlier steps feed, with the least trusted label among them."""
    if not inputs:
        return []
    by_role: dict[str, list[Label]] = {}
    for path, source in inputs.items():
        said = source.get("label") if isinstance(source, Mapping) else None
        label = Label(said) if said in _LABELS else Label.UNTRUSTED
        role = definition.role_of(parameter_at(path))
        by_role.setdefault(role.value, []).append(label)
    return sorted(f"{role}:{join(labels).value}" for role, labels in by_role.items())
