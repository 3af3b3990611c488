"""Refuses requests that come too often, before any work is done for them, and says on every answer how many are left.

Three kinds of request are counted for the credential and for its workspace: planning, executing and previewing (which
includes asking what policy would say). Opening a session is counted for the credential. Requests
without a valid credential are counted for the address they come from. A valid credential is never refused for what others
at its address do: only what would have been a 401 becomes a 429. The address is the connection's; headers of proxies are
not believed. Counting is this process's own, so several servers allow several times as much.
"""

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from operator import itemgetter
from typing import Any, Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.strategies import SlidingWindowCounterRateLimiter

from steward.clock import Clock
from steward.errors import RateLimited
from steward.identity import Principal
from steward.rate_limit import WORKSPACE_RULE, RateLimits, RateRule
from steward.web.window_counters import WindowCounters

MAX_COUNTERS: Final = 131_072
"""Of principals, and again of addresses: two for each that asked lately."""
_BUCKET_BYTES: Final = 2
_NETWORK_BYTES: Final = 8
"""An IPv6 customer has a /64 at least, so that is what an address counts as."""
_EXTENSION: Final = "x-rate-limit"
_WHAT: Final = {
    RateRule.PLAN: "plans asked for with this credential",
    RateRule.EXECUTE: "executions asked for with this credential",
    RateRule.PREVIEW: "previews asked for with this credential",
    RateRule.WORKSPACE_PLAN: "plans asked for in this workspace",
    RateRule.WORKSPACE_EXECUTE: "executions asked for in this workspace",
    RateRule.WORKSPACE_PREVIEW: "previews asked for in this workspace",
    RateRule.SESSION: "sessions opened with this credential",
    RateRule.FAILED_LOGINS: "requests without a valid credential from this address",
}


def limited(rule: RateRule) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that ``rule`` limits, which is how the route knows, and how it is published."""
    return {_EXTENSION: rule.value}


def rule_of(openapi_extra: Mapping[str, Any] | None) -> RateRule | None:
    """Return the rule that limits a route."""
    named = (openapi_extra or {}).get(_EXTENSION)
    return RateRule(named) if named else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, and what its answer says about it either way."""

    headers: Mapping[str, str]
    refused: RateLimited | None


_Asked = list[tuple[RateLimitItem, tuple[str, ...]]]
"""By what one request is counted, and for whom."""


class RateLimiter:
    """Counts requests. Asking and counting is one step, so of two limits both are counted or neither is."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        """Start counting from nothing."""
        self._items: dict[RateRule, RateLimitItem] = {
            rule: RateLimitItemPerSecond(limit.amount, limit.window_s, rule.value) for rule, limit in limits.items()
        }
        self._principals = _Counted(WindowCounters(clock, MAX_COUNTERS))
        self._addresses = _Counted(WindowCounters(clock, MAX_COUNTERS))
        self._salt = secrets.token_bytes(16)

    def request(self, rule: RateRule, principal: Principal) -> Verdict:
        """Count one request of ``principal``, if neither it nor its workspace has had too many."""
        asked: dict[RateRule, tuple[str, ...]] = {rule: (principal.workspace_id, principal.actor_id)}
        if rule in WORKSPACE_RULE:
            asked[WORKSPACE_RULE[rule]] = (principal.workspace_id,)
        return self._principals.count([(self._items[each], who) for each, who in asked.items() if each in self._items])

    def failed_login(self, address: str | None) -> Verdict:
        """Count one request without a valid credential from ``address`` (None: it has none), if there were not too many."""
        item = self._items.get(RateRule.FAILED_LOGINS)
        return self._addresses.count([] if item is None else [(item, (self._bucket(address),))])

    def _bucket(self, address: str | None) -> str:
        """Return one of 65 536 names, so that no number of addresses needs more; which share one, nobody can choose."""
        return hashlib.blake2b(_network(address), digest_size=_BUCKET_BYTES, key=self._salt).hexdigest()


class _Counted:
    """What was counted of one kind of asker."""

    def __init__(self, counters: WindowCounters) -> None:
        self._counters = counters
        self._strategy = SlidingWindowCounterRateLimiter(counters)

    def count(self, asked: _Asked) -> Verdict:
        """Count one request by every item, or by none if one of them refuses it."""
        seen = [self._look(item, who) for item, who in asked]
        full = [(one.wait_s, one.item) for one in seen if one.left <= 0]
        for item, who in [] if full else asked:
            self._strategy.hit(item, *who)
        return Verdict(_headers(seen, 0 if full else 1), _refusal(*max(full, key=itemgetter(0))) if full else None)

    def _look(self, item: RateLimitItem, who: tuple[str, ...]) -> "_Seen":
        window_s = item.get_expiry()
        before, left_s, during, _ = self._counters.get_sliding_window(item.key_for(*who), window_s)
        return _Seen(item, window_s, before, left_s, during)


@dataclass(slots=True)
class _Seen:
    """What was counted by an item: in the window before, of which so much of ``left_s`` still weighs, and in the one under way."""

    item: RateLimitItem
    window_s: int
    before: int
    left_s: float
    during: int

    @property
    def left(self) -> int:
        """How many requests there is room for."""
        return self.item.amount - math.floor(self.before * self.left_s / self.window_s + self.during)

    @property
    def wait_s(self) -> int:
        """After how many whole seconds, at least 1, a request will be let in if none is made meanwhile."""
        amount, left_s = self.item.amount, self.left_s
        if self.during < amount:  # within this window, once what was counted before it weighs little enough
            wait_s = left_s - self.window_s * (amount - self.during) / self.before if self.before else 0.0
        else:  # within the next, where what is counted now is what was before
            wait_s = left_s + self.window_s - self.window_s * amount / self.during
        return math.floor(wait_s) + 1

    @property
    def state(self) -> str:
        """How many requests are left, and for how many seconds that holds; with none left, until there is one."""
        left = self.left
        return f"r=0;t={self.wait_s}" if left <= 0 else f"r={left};t={math.ceil(self.left_s)}"


def _headers(seen: Sequence[_Seen], counted: int) -> dict[str, str]:
    """Return what the answer says of what was seen, ``counted`` having come to it."""
    if not seen:
        return {}
    for one in seen:
        one.during += counted
    policies = (f'"{one.item.namespace}";q={one.item.amount};w={one.window_s}' for one in seen)
    states = (f'"{one.item.namespace}";{one.state}' for one in seen)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def _refusal(wait_s: int, item: RateLimitItem) -> RateLimited:
    rule = RateRule(item.namespace)
    return RateLimited(
        f"There were too many {_WHAT[rule]}; wait {wait_s} s and try again.",
        retry_after_s=wait_s,
        facts={"rule": rule.value, "limit": item.amount, "window_s": item.get_expiry()},
    )


def _network(address: str | None) -> bytes:
    """Return what an address counts as: an IPv4 address as itself, also inside IPv6; any other IPv6 as its /64."""
    try:
        known = ip_address(address or "")
    except ValueError:  # a socket of another kind
        return b""
    if isinstance(known, IPv6Address):
        return known.ipv4_mapped.packed if known.ipv4_mapped else known.packed[:_NETWORK_BYTES]
    return known.packed
