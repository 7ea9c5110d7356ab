"""A compact JWS, read strictly: three base64url parts, two JSON objects without duplicates. It verifies nothing.

What a lenient reader lets through is where two readers disagree: a member that comes twice, a header that names a key
or a URL to fetch one from, padding, white space. None of it has a use in our tokens.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from qa_service.domain.errors import Unauthenticated

MAX_TOKEN_CHARS = 4096
_MAX_KID_CHARS = 128
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_HEADERS = {"alg", "typ", "kid"}  # no crit, jku, jwk, x5u, x5c, b64, zip


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """A token's parts as they were sent; `kid` is empty where none was named."""

    text: str
    typ: str
    alg: str
    kid: str
    claims: dict[str, Any]


def refuse(reason: str) -> NoReturn:
    """Refuse a token with the reason why, for whoever makes such tokens; nothing of the token itself is repeated."""
    raise Unauthenticated(f"the token is refused: {reason}", code="invalid-token")


def is_compact(token: str) -> bool:
    """Whether a token means to be a JWS; session tokens and local keys have no dots."""
    return "." in token


def read_compact(token: str) -> Compact:
    """Read a token that nobody has verified yet.

    Raises:
        Unauthenticated: it is no compact JWS of the one form that is accepted here (invalid-token).
    """
    if len(token) > MAX_TOKEN_CHARS:
        refuse(f"it has more than {MAX_TOKEN_CHARS} characters")
    parts = token.split(".")
    if len(parts) != 3:
        refuse("it has not the three parts of a signed JWT")
    header, claims, _ = _members(parts[0]), _members(parts[1]), _bytes(parts[2])
    if header.keys() - _HEADERS:
        refuse("its header has members beside alg, typ and kid")
    typ, alg, kid = header.get("typ"), header.get("alg"), header.get("kid", "")
    if not isinstance(typ, str) or not isinstance(alg, str):
        refuse("its header names no typ and alg")
    if not isinstance(kid, str) or len(kid) > _MAX_KID_CHARS:
        refuse("its kid is no short text")
    return Compact(text=token, typ=typ, alg=alg, kid=kid, claims=claims)


def _bytes(part: str) -> bytes:
    if not _BASE64URL.fullmatch(part):
        refuse("a part of it is no base64url")
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        refuse("a part of it is no base64url")
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        refuse("a part of it is no canonical base64url")  # else the same token has several spellings
    return decoded


def _members(part: str) -> dict[str, Any]:
    try:
        decoded = json.loads(_bytes(part), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # also: not UTF-8, a number of thousands of digits
        refuse("a part of it is no JSON, or has a member twice")
    if not isinstance(decoded, dict):
        refuse("a part of it is no JSON object")
    return decoded


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _no_constant(_: str) -> NoReturn:
    raise ValueError
