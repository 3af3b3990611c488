"""Which addresses an action may reach: public ones only, in whatever form they are written.

Pure: no name is looked up here. ``ipaddress`` knows the registries, but its answers differ between Python versions and
it calls some special ranges global, so those are listed as well.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_SPECIAL: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; one cloud's metadata lives here
        "168.63.129.16/32",  # another cloud's metadata, on a public address
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # local NAT64
        "2001::/23",  # Teredo and other protocol assignments
        "fec0::/10",  # site-local
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 form carries (mapped, 6to4, NAT64), None if it carries none."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def is_public(text: str) -> bool:
    """Say whether ``text`` is an IP address that an action may reach; what is no address at all is not."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if inner := _inner(address):
            return is_public(str(inner))
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _SPECIAL)
    )
