"""Refusals as an OpenAI client expects them. It knows no route."""

import re
from typing import Any

import msgspec

# Where OpenAI has a word of its own that clients look for; every other code is ours, with underscores.
_CODES = {
    "token-required": "invalid_api_key",
    "invalid-token": "invalid_api_key",
    "rate-limited": "rate_limit_exceeded",
    "route-not-found": "unknown_url",
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PLACE = re.compile(r"\.(\d+)(?=\.|$)")


def openai_error(body: bytes) -> bytes:
    """Give the body of a refusal in OpenAI's shape; whatever is none stays as it is."""
    document: dict[str, Any] = msgspec.json.decode(body)
    if "errors" in document:
        [error] = document["errors"]
        pointer = error.get("source", {}).get("pointer", "")
    elif "request_id" in document:  # as RFC 9457 has it
        error, pointer = document, document.get("source", {}).get("pointer", "")
    else:
        return body
    status = int(error["status"])
    told = {
        "message": error["detail"],
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": _PLACE.sub(r"[\1]", pointer.removeprefix("/").replace("/", ".")) or None,
        "code": openai_code(error["code"]),
    }
    return msgspec.json.encode({"error": told})


def openai_code(code: str) -> str:
    """Give the word that OpenAI has for one of our codes, else ours with underscores."""
    return _CODES.get(code, code.replace("-", "_"))
