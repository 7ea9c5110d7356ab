"""Hooks for schemathesis: who opens a session enters it with the token that came with it, as a device does.

Nobody waits long, and no webhook that was made up is ever switched on: its host may be somebody's.
"""

from collections.abc import Callable
from typing import Any

import schemathesis

_XML = {"application/xml", "text/xml"}
_TOKENS: dict[str, str] = {}


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out what is called wrong and is right once it is XML, where null is the text "null" and no NUL remains.

    test_forms.py says in XML whatever test_bad_input.py says in JSON.
    """
    return case.media_type not in _XML or case.meta is None or not case.meta.generation.mode.is_negative


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember the token of a session that was opened or bound."""
    if response.status_code in {200, 201} and case.path.rstrip("/").endswith(("/sessions", "/sessions/{sid}")):
        data = response.json().get("data") or {}
        if token := data.get("attributes", {}).get("token"):
            _TOKENS[data["id"]] = token


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Bring the token of the session at hand, and wait a second at most."""
    if token := _TOKENS.get(str((case.path_parameters or {}).get("sid", ""))):
        kwargs["auth"] = _bearer(token)
    if (case.query or {}).get("wait") in range(2, 31):
        case.query["wait"] = 1  # as good as half a minute, and sooner over
    if "/webhooks" in case.path and isinstance(case.body, dict) and isinstance(case.body.get("enabled", True), bool):
        case.body["enabled"] = False


def _bearer(token: str) -> Callable[[Any], Any]:
    def carry(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return carry
