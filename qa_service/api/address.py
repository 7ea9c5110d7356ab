"""Whose address a request is counted by: the peer's, or what trusted proxies say of their callers. It knows no limit.

Who calls can write anything into these headers; only what a trusted proxy wrote counts, and that stands at the end.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

UNKNOWN = "unknown"  # a peer without an address, as on a Unix socket
_MAX_HOPS = 32
_MAX_FORWARDED_CHARS = 2048
_MAX_ADDRESS_CHARS = 64
_V6_PREFIX = 64  # what one household or phone is given; it may use any address of it
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")
# RFC 7239, 4: pairs of a name and a token or a quoted string; ";" between pairs, "," between proxies.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word for it
_PAIR = re.compile(rf'[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*([;,]|$)')


def networks_of(text: str) -> Networks:
    """Read networks and addresses with commas between them; ValueError when one is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def counted_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Networks) -> str:
    """Give the address that a request is counted by: an IPv4 address, or the /64 that an IPv6 address lies in.

    `headers` have lower-case names. A trusted peer's `X-Forwarded-For` or `Forwarded` is read from the right, past
    trusted proxies; what cannot be read, and two headers that do not agree, count as the peer.
    """
    direct = _parsed(peer)
    if direct is None:
        return UNKNOWN
    if _is_trusted(direct, trusted):
        direct = _forwarded_for(headers, trusted) or direct
    return _group(direct)


def _forwarded_for(headers: Iterable[tuple[bytes, bytes]], trusted: Networks) -> Address | None:
    values: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in _READERS:
            values.setdefault(name, []).append(value.decode("latin-1"))
    # A proxy writes one of them and may pass on the other as its caller wrote it.
    told = {_first_untrusted(_READERS[name](",".join(lines)), trusted) for name, lines in values.items()}
    return told.pop() if len(told) == 1 else None


def _first_untrusted(hops: Sequence[str], trusted: Networks) -> Address | None:
    """Give the hop nearest to us that is no proxy of ours, or the farthest if all are; None for what is no address."""
    address = None
    for hop in reversed(hops):
        address = _parsed(hop)
        if address is None or not _is_trusted(address, trusted):
            break
    return address


def _listed(x_forwarded_for: str) -> list[str]:
    """Give the last hops of an X-Forwarded-For header."""
    return x_forwarded_for.rsplit(",", _MAX_HOPS)


def _elements(forwarded: str) -> list[str]:
    """Give what each element of a Forwarded header calls its caller, "" where it says nothing; none if malformed."""
    hops, at, hop = [""], 0, 0
    while at < len(forwarded) <= _MAX_FORWARDED_CHARS:
        pair = _PAIR.match(forwarded, at)
        if not pair:
            return []
        name, value, end = pair.groups()
        if name.lower() == "for":
            hops[hop] = value.strip('"')
        if end == ",":
            hops.append("")
            hop += 1
        at = pair.end()
    return hops


_READERS: dict[bytes, Callable[[str], list[str]]] = {b"x-forwarded-for": _listed, b"forwarded": _elements}


def _parsed(text: str) -> Address | None:
    """Read an address, with or without a port; None for anything else, such as `unknown` and `_hidden`."""
    text = text.strip(" \t")
    if len(text) > _MAX_ADDRESS_CHARS:
        return None
    with_port = _WITH_PORT.fullmatch(text)
    return _address(with_port.group(1) or with_port.group(2) if with_port else text)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def _is_trusted(address: Address, trusted: Networks) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=4096)
def _group(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _V6_PREFIX), strict=False))
