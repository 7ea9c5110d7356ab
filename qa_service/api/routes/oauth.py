"""Client credentials for an access token (RFC 6749, 4.4), and the public keys that verify it.

Errors here are those of RFC 6749, 5.2, which OAuth libraries expect; everywhere else they are the API's own.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import InternalServerException

from qa_service.access.caller import Scope
from qa_service.access.clients import Client
from qa_service.api.bodies import AnyRequest, check_encoding
from qa_service.api.caller import caller_of
from qa_service.api.house import house_of
from qa_service.api.openapi import TOKEN_PATH
from qa_service.api.openapi_oauth import JwksDescribed, TokenDescribed
from qa_service.api.rate_limits import address_of

_MAX_FORM_BYTES = 8192
_FORM = "application/x-www-form-urlencoded"
_PARAMETERS = {"grant_type", "scope", "client_id", "client_secret"}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_JWKS_HEADERS = {"Cache-Control": "public, max-age=60"}  # a new key is used at once: a verifier asks again soon


class _Refused(Exception):
    """A refusal of the token endpoint; `error` is one of RFC 6749's words."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
    client_id: str
    secret: str


@post(TOKEN_PATH, operation_class=TokenDescribed, tags=["access"], status_code=200)
async def issue_token(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Exchange client credentials for an access token of five minutes.

    A form with `grant_type=client_credentials` and, if less than all the client's scopes are wanted, `scope`; id and
    secret by HTTP Basic or as `client_id` and `client_secret`.
    """
    try:
        return await _issued(request, await _form(request))
    except _Refused as refused:
        return _refusal(refused)


@get("/.well-known/jwks.json", operation_class=JwksDescribed, tags=["access"])
async def public_keys(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Give the public keys of access tokens, newest first; a token names its key by `kid`."""
    return _json({"keys": house_of(request).gate.public_keys()}, headers=_JWKS_HEADERS)


async def _issued(request: AnyRequest, form: dict[str, str]) -> Response[bytes]:
    gate = house_of(request).gate
    grant = form.get("grant_type", "")
    if not grant:
        raise _Refused("invalid_request", "grant_type is missing; it is client_credentials")
    credentials = _credentials(request, form)
    client = gate.client(credentials.client_id, credentials.secret)
    await _count_try(request, credentials.client_id, is_right=client is not None)
    if client is None:
        raise _Refused("invalid_client", "no client has this id and secret")
    if grant != "client_credentials":
        raise _Refused("unsupported_grant_type", "the one grant type here is client_credentials")
    issued = gate.issue(client, _scopes(client, form.get("scope", "")))
    if issued is None:
        raise _Refused("unauthorized_client", "this service has no signing key: qa-service keys new")
    body = {
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in_s,
        "scope": " ".join(sorted(issued.scopes)),
    }
    return _json(body, headers=_NO_STORE)


async def _count_try(request: AnyRequest, client_id: str, *, is_right: bool) -> None:
    house, tenant = house_of(request), caller_of(request).tenant
    address = address_of(request.scope, house)
    await house.limits.secret_tried(tenant=tenant, address=address, client_id=client_id, is_right=is_right)


async def _form(request: AnyRequest) -> dict[str, str]:
    check_encoding(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise _Refused("invalid_request", f"the body is sent as {_FORM}")
    try:
        raw = await request.body()
    except InternalServerException:  # Litestar's word for a caller who hung up
        raise _Refused("invalid_request", "the connection ended before the body did") from None
    if len(raw) > _MAX_FORM_BYTES:
        raise _Refused("invalid_request", f"the body has more than {_MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise _Refused("invalid_request", "the body is no form in UTF-8, percent-encoded") from None
    known = [(name, value) for name, value in pairs if name in _PARAMETERS]  # others are ignored, as 3.2 asks
    form = dict(known)
    if len(form) != len(known):
        raise _Refused("invalid_request", "a parameter comes twice")
    return form


def _credentials(request: AnyRequest, form: dict[str, str]) -> _Credentials:
    headers = request.headers.getall("authorization", [])
    in_body = "client_id" in form or "client_secret" in form
    if len(headers) > 1 or (headers and "client_secret" in form):
        raise _Refused("invalid_request", "the client authenticates in one way at a time")
    if headers:
        given = _basic(headers[0])
        if form.get("client_id", given.client_id) != given.client_id:
            raise _Refused("invalid_request", "the body names another client")
        return given
    if not in_body:
        raise _Refused("invalid_client", "send the client's id and secret, by HTTP Basic or in the body")
    return _Credentials(client_id=form.get("client_id", ""), secret=form.get("client_secret", ""))


def _basic(header: str) -> _Credentials:
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise _Refused("invalid_client", "the Authorization header is no HTTP Basic")
    return _Credentials(client_id=unquote_plus(client_id), secret=unquote_plus(secret))  # RFC 6749, 2.3.1


def _scopes(client: Client, wished: str) -> frozenset[Scope]:
    own = frozenset(client.scopes)
    if not wished.strip():
        return own
    names = set(wished.split())
    if not names <= own:
        raise _Refused("invalid_scope", f"this client has the scopes: {' '.join(sorted(own))}")
    return frozenset(map(Scope, names))


def _refusal(refused: _Refused) -> Response[bytes]:
    unknown = refused.error == "invalid_client"
    headers = {**_NO_STORE, "WWW-Authenticate": 'Basic realm="qa-service"'} if unknown else _NO_STORE
    body = {"error": refused.error, "error_description": refused.description}
    return _json(body, status=401 if unknown else 400, headers=headers)


def _json(body: dict[str, Any], *, headers: dict[str, str], status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=dict(headers))
