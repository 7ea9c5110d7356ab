"""Which URLs an endpoint may have. What its name leads to is looked at before each attempt, by `courier.py`.

It is read by the parser that the request is made with: two parsers that disagree about a host are how guards fall.
"""

import re
from ipaddress import ip_address

from yarl import URL

from qa_service.domain.errors import InvalidInput
from qa_service.webhooks.addresses import PrivateHosts, is_public

MAX_URL_CHARS = 2000
_NEITHER = re.compile(r"[\s\x00-\x1f\x7f\\]")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)")  # such a last part makes a host an address, however it is written
_WEB_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024


def checked_url(text: str, private: PrivateHosts) -> URL:
    """Read an endpoint's URL.

    Raises:
        InvalidInput: it is no http or https URL (webhook-url-invalid), or leads to an address or a port that webhooks
            are not sent to (webhook-url-forbidden).
    """
    if len(text) > MAX_URL_CHARS or _NEITHER.search(text):
        raise _invalid(f"a URL has at most {MAX_URL_CHARS} characters, none of them a blank, a backslash or a control")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError:
        raise _invalid("this is no URL, such as https://crm.example/hooks") from None
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise _invalid("an endpoint is an http or https URL with a host, such as https://crm.example/hooks")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise _invalid("a URL names no user and no password")
    if url.raw_fragment or "#" in text:
        raise _invalid("a URL has no fragment (#)")
    _check_host(host, port, private)
    return url


def _check_host(host: str, port: int, private: PrivateHosts) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or len(host) > 253:
            raise _invalid("the host is a name, or an address in its plain form") from None
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise _forbidden("an address is written in its plain form, as 93.184.215.14") from None
        if host.lower() == "localhost" and not private.know(host, port):
            raise _forbidden("webhooks are not sent to this machine") from None
    else:
        if "%" in host or not (is_public(address) or private.allow(host, address, port)):
            raise _forbidden(
                "webhooks are sent to public addresses; private ones are named in QA_WEBHOOK_PRIVATE_HOSTS"
            )
    if port not in _WEB_PORTS and port < _FIRST_FREE_PORT and not private.know(host, port):
        raise _forbidden(f"the port is 80, 443, or {_FIRST_FREE_PORT} and above")


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="webhook-url-invalid", pointer="/url")


def _forbidden(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="webhook-url-forbidden", pointer="/url")
