"""Standard Webhooks 1.0.0: secrets, and the headers that prove who sent a body. It knows no endpoint and no network.

The `standardwebhooks` package checks it in the tests: two implementations that agree say more than one that agrees with
itself.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable

_PREFIX = "whsec_"
_SECRET_BYTES = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    """Make a secret: `whsec_` and the base64 of 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(live: Iterable[str], *, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Give the three headers of an attempt; each live secret signs, so that a receiver may still know the older one."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in live),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
