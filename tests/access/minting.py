"""Tokens as a host's back end would sign them, and as nobody should: any header, any claims, any key."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "vA3n0Qk8pT5xZr1cLw7eYb9uJh2sDf4g"
HOUR_S = 3600


def user_token(uid: object, *, secret: str = SECRET, issuer: str = "shop", **claims: Any) -> str:
    """A user token by HS256; `claims` replace what it would say, None leaves a claim out."""
    now = int(time.time())
    usual = {"iss": issuer, "aud": "qa-service", "sub": uid, "iat": now, "exp": now + HOUR_S}
    return signed({"alg": "HS256", "typ": "qa-user+jwt"}, usual | claims, secret.encode())


def signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A JWS by HMAC-SHA256, whatever its header says."""
    said = {name: value for name, value in claims.items() if value is not None}
    signing_input = f"{part(json.dumps(header))}.{part(json.dumps(said))}"
    return f"{signing_input}.{part(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def part(content: str | bytes) -> str:
    """base64url without padding."""
    octets = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
