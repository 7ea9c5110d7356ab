"""The token endpoint and the public keys described; their shapes are the RFCs', not the API's. It knows no handler."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from qa_service.api.openapi import CREDENTIALS, error_response

_FORM = "application/x-www-form-urlencoded"
_ERRORS = (*("invalid_request", "invalid_client", "invalid_scope", "unauthorized_client", "unsupported_grant_type"),)


def _object(required: tuple[str, ...], **members: Schema) -> Schema:
    properties: dict[str, Reference | Schema] = dict(members)
    return Schema(type=OpenAPIType.OBJECT, properties=properties, required=list(required))


def _text(*values: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=list(values) or None)


def _response(description: str, schema: Schema) -> OpenAPIResponse:
    return OpenAPIResponse(description=description, content={"application/json": OpenAPIMediaType(schema=schema)})


_REFUSAL = _object(("error",), error=_text(*_ERRORS), error_description=_text())
_TOKEN = _object(
    ("access_token", "token_type", "expires_in"),
    access_token=_text(),
    token_type=_text("Bearer"),
    expires_in=Schema(type=OpenAPIType.INTEGER),
    scope=_text(),
)
_CREDENTIALS = _object(
    ("grant_type",), grant_type=_text("client_credentials"), scope=_text(), client_id=_text(), client_secret=_text()
)
_KEYS = _object(("keys",), keys=Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT)))


@dataclass
class TokenDescribed(Operation):
    """POST /oauth/token."""

    def __post_init__(self) -> None:
        """Put our own shapes in place of what Litestar reads from the handler."""
        self.request_body = RequestBody(content={_FORM: OpenAPIMediaType(schema=_CREDENTIALS)}, required=True)
        self.responses = {
            "200": _response("The access token; `expires_in` in seconds", _TOKEN),
            "400": _response("The request is not one for a token", _REFUSAL),
            "401": _response("No client has this id and secret", _REFUSAL),
            **{str(status): error_response(status) for status in (408, 413, 414, 415, 421, 429, 431, 503)},
        }
        self.security = [{CREDENTIALS: []}, {}]


@dataclass
class JwksDescribed(Operation):
    """GET /.well-known/jwks.json."""

    def __post_init__(self) -> None:
        """Put our own shapes in place of what Litestar reads from the handler."""
        self.responses = {
            "200": _response("A JSON Web Key Set (RFC 7517)", _KEYS),
            **{str(status): error_response(status) for status in (400, 408, 414, 421, 429, 431, 503)},
        }
        self.security = []
