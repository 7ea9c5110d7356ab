"""What a token's claims must say: for whom, by whom, since when and for how long. It knows no key.

The usual libraries take a token without `exp`, with an `exp` in a hundred years, or without `aud`; here all of them
are required, and bounded.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any

from qa_service.access.compact import refuse

_MAX_TEXT_CHARS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one kind of token must say. `longest_s` bounds `exp - iat`; `skew_s` is how far clocks may differ."""

    issuer: str
    audience: str
    longest_s: int
    skew_s: int


def check_claims(claims: dict[str, Any], rules: Rules, *, now_s: float) -> float:
    """Check the claims that every token has; give the moment after which it is void (Unix seconds).

    Raises:
        Unauthenticated: a claim is missing, of another kind, or says something else (invalid-token).
    """
    if claims.get("iss") != rules.issuer:
        refuse("its iss is not the one expected")
    audience = claims.get("aud")
    if audience != rules.audience and not (isinstance(audience, list) and rules.audience in audience):
        refuse(f"its aud does not name {rules.audience}")
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    if issued > now_s + rules.skew_s:
        refuse("its iat lies in the future")
    if "nbf" in claims and _seconds(claims, "nbf") > now_s + rules.skew_s:
        refuse("its nbf lies in the future")
    if not 0 < expires - issued <= rules.longest_s:
        refuse(f"it lives longer than {rules.longest_s} s, or ends before it begins")
    if now_s > expires + rules.skew_s:
        refuse("it has expired")
    return float(expires + rules.skew_s)


def text_claim(claims: dict[str, Any], name: str) -> str:
    """Give a claim that is a text of 1 to 128 characters without controls; Unauthenticated otherwise."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT_CHARS:
        refuse(f"its {name} is no text of 1 to {_MAX_TEXT_CHARS} characters")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):  # no controls, no half surrogate pairs
        refuse(f"its {name} holds control characters")
    return value


def _seconds(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        refuse(f"its {name} is missing, or no whole number of Unix seconds")
    return value
