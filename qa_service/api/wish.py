"""In what form a caller wants its answer: read from Accept, Accept-Charset and Prefer. It knows no document.

A header that makes no sense wishes nothing: JSON in UTF-8 with times in UTC, which is what nearly everybody gets.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from qa_service.api.charsets import charset_named

VARY = b"Accept, Accept-Charset, Prefer"
_XML = ("application/xml", "text/xml")
_JSON = ("application/json", "application/vnd.api+json", "application/*", "*/*")
_ASKED_BY = {b"accept", b"accept-charset", b"prefer"}
_MOST_CHARS = 1024  # of a header that says something; longer ones wish nothing, and fill no memory
_ZONE = re.compile(r"(?:^|[,;\s])timezone\s*=\s*\"?([A-Za-z][A-Za-z0-9_+/-]{0,63})\"?(?:$|[,;\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one caller wants.

    `xml` is the media type it calls XML by, "" for JSON; `charset` is "" where it names none that is known here.
    """

    xml: str = ""
    camel: bool = False
    charset: str = ""
    zone: ZoneInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """One element of an Accept header."""

    media_type: str
    weight: float
    charset: str
    profile: str


PLAIN = Wish()


def wish_of(headers: Iterable[tuple[bytes, bytes]]) -> Wish:
    """Read the wish of a request whose header names are lower-case."""
    accept = charset = prefer = b""
    for name, value in headers:
        if name not in _ASKED_BY or len(value) > _MOST_CHARS:
            continue
        if name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"accept-charset":
            charset = charset + b"," + value if charset else value
        elif b"timezone" in value.lower():
            prefer = value
    return _wish(accept, charset, prefer)


@lru_cache(maxsize=512)
def _wish(accept: bytes, accept_charset: bytes, prefer: bytes) -> Wish:
    ranges = _ranges(accept.decode("latin-1").lower())
    chosen = _preferred(ranges)
    own = chosen.charset if chosen else ""
    found = Wish(
        xml=chosen.media_type if chosen and chosen.media_type in _XML else "",
        camel=any("camel" in one.profile.split() for one in ranges),
        charset=charset_named(own) or _first_charset(accept_charset.decode("latin-1").lower()),
        zone=_zone(prefer.decode("latin-1")),
    )
    return PLAIN if found == PLAIN else found


def _ranges(accept: str) -> list[_Range]:
    """Give what an Accept header names with a weight above nothing, in its order."""
    found = []
    for element in accept.split(","):
        media_type, *parameters = (part.strip() for part in element.split(";"))
        named = {key.strip(): value.strip().strip('"') for key, _, value in (one.partition("=") for one in parameters)}
        weight = _weight(named.get("q", "1"))
        if media_type and weight > 0:
            own = {"charset": named.get("charset", ""), "profile": named.get("profile", "")}
            found.append(_Range(media_type=media_type, weight=weight, **own))
    return found


def _preferred(ranges: list[_Range]) -> _Range | None:
    """Give the range of a form we have: the one of the greatest weight, then the most exact, then the first named."""
    known = [one for one in ranges if one.media_type in _XML or one.media_type in _JSON]
    return max(known, key=lambda one: (one.weight, -one.media_type.count("*")), default=None)


def _first_charset(accept_charset: str) -> str:
    best, best_weight = "", 0.0
    for element in accept_charset.split(","):
        label, _, parameter = element.partition(";")
        weight = _weight(parameter.partition("=")[2].strip() or "1")
        charset = charset_named(label)
        if charset and weight > best_weight:
            best, best_weight = charset, weight
    return best


def _weight(text: str) -> float:
    """Give a weight from 0 to 1; what is none counts as 1."""
    return float(text) if re.fullmatch(r"[01](?:\.\d{0,3})?", text) else 1.0


def _zone(prefer: str) -> ZoneInfo | None:
    named = _ZONE.search(prefer)
    if not named:
        return None
    try:
        return ZoneInfo(named.group(1))
    except (ValueError, KeyError, OSError):  # not known, a folder's name, or a path out of the data
        return None  # a preference that cannot be met is passed over (RFC 7240, 2)


def zone_applied(zone: ZoneInfo) -> bytes:
    """Name the zone that was met, for Preference-Applied."""
    return f"timezone={zone.key}".encode()
