"""The token endpoint and the public keys described; their shapes are the RFCs', not the API's. It knows no handler."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from qa_service.api.openapi import CREDENTIALS, error_response
from qa_service.api.openapi_bodies import object_of, text_of

_FORM = "application/x-www-form-urlencoded"
_ERRORS = (*("invalid_request", "invalid_client", "invalid_scope", "unauthorized_client", "unsupported_grant_type"),)


def _response(description: str, schema: Schema) -> OpenAPIResponse:
    return OpenAPIResponse(description=description, content={"application/json": OpenAPIMediaType(schema=schema)})


_REFUSAL = object_of(("error",), error=text_of(*_ERRORS), error_description=text_of())
_TOKEN = object_of(
    ("access_token", "token_type", "expires_in"),
    access_token=text_of(),
    token_type=text_of("Bearer"),
    expires_in=Schema(type=OpenAPIType.INTEGER),
    scope=text_of(),
)
_CREDENTIALS = object_of(
    ("grant_type",),
    grant_type=text_of("client_credentials"),
    scope=text_of(),
    client_id=text_of(),
    client_secret=text_of(),
)
_KEYS = object_of(("keys",), keys=Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT)))


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
