"""Which addresses a webhook may be sent to: public ones, and private ones that the operator named.

`not ip.is_private` lets 100.100.100.200, 100.64/10, NAT64 and 6to4 through (measured), so that this lists what is left
out, and of IPv6 lets in only what is given to somebody. It knows no request.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_V4_LEFT_OUT = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier; 100.100.100.200 tells a cloud machine about itself
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own, though it looks public
        "169.254.0.0/16",  # link-local; 169.254.169.254 tells a cloud machine about itself
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Loopback, mapped and translated IPv4 (::ffff:0:0/96, 64:ff9b::/96), private (fc00::/7), link-local and multicast
# addresses all lie outside of it.
_V6_GIVEN = IPv6Network("2000::/3")
_V6_LEFT_OUT = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address, whichever
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
)

_ENTRY = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")
_HOST = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z_-]")  # what ends in a digit is an address, or none


def is_public(address: Address) -> bool:
    """Whether an address belongs to somebody on the open internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _V4_LEFT_OUT)
    return address in _V6_GIVEN and not any(address in network for network in _V6_LEFT_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One entry of the setting: a network or a host's name; `port` is None where any will do."""

    network: IPv4Network | IPv6Network | None
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class PrivateHosts:
    """The private hosts that may be reached all the same."""

    named: tuple[_Named, ...] = ()

    def allow(self, host: str, address: Address, port: int) -> bool:
        """Whether the URL's `host`, found at this address and port, is one of them."""
        return any(
            one.port in {None, port} and (address in one.network if one.network else one.host == host.lower())
            for one in self.named
        )

    def know(self, host: str, port: int) -> bool:
        """Whether a host and its port are named, so that its port needs no other leave."""
        try:
            return self.allow(host, ip_address(host), port)
        except ValueError:
            return any(one.port in {None, port} and one.host == host.lower() for one in self.named if one.host)


def private_hosts_of(text: str) -> PrivateHosts:
    """Read hosts, addresses and networks with commas between them, each with a port or without: `crm.lan:8080`.

    Raises:
        ValueError: one is none of these; it is named.
    """
    return PrivateHosts(tuple(_named(part.strip()) for part in text.split(",") if part.strip()))


def _named(part: str) -> _Named:
    found = _ENTRY.fullmatch(part)
    host, port = (found[1] or found[2], int(found[3] or 0)) if found else (part, 0)  # an IPv6 network needs no brackets
    if found and found[3] and not 0 < port < 65536:
        message = f"{part!r} has no port between 1 and 65535"
        raise ValueError(message)
    try:
        return _Named(network=ip_network(host), host="", port=port or None)
    except ValueError:
        if not _HOST.fullmatch(host):
            message = f"{part!r} is no host, address or network"
            raise ValueError(message) from None
        return _Named(network=None, host=host.lower(), port=port or None)
