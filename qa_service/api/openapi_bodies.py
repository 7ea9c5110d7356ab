"""Bodies described: the JSON schema of what a handler reads. It knows no handler."""

from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Reference, Schema

_KEYWORDS = {
    "maxLength": "max_length",
    "minLength": "min_length",
    "maxItems": "max_items",
    "minItems": "min_items",
    "pattern": "pattern",
    "format": "format",
    "enum": "enum",
    "default": "default",
}


def body_schema(shape: type[msgspec.Struct], example: dict[str, Any] | None) -> Schema:
    """Describe a body of this shape, with an example of one."""
    definition = msgspec.json.schema_components([shape])[1][shape.__name__]
    properties: dict[str, Reference | Schema] = {
        name: _member(member) for name, member in definition["properties"].items()
    }
    return Schema(
        type=OpenAPIType.OBJECT,
        title=shape.__name__,
        properties=properties,
        required=definition.get("required", []),
        additional_properties=False,
        examples=[example] if example else None,
    )


def _member(member: dict[str, Any]) -> Schema:
    """Describe one member of a body: a text, a truth value, or a list of texts."""
    keywords = {_KEYWORDS[key]: value for key, value in member.items() if key in _KEYWORDS}
    items = _member(member["items"]) if "items" in member else None
    return Schema(type=OpenAPIType(member["type"]), items=items, **keywords)


def object_of(required: tuple[str, ...], **members: Schema) -> Schema:
    """Describe an object that is no body of ours: its members, and which of them are always there."""
    properties: dict[str, Reference | Schema] = dict(members)
    return Schema(type=OpenAPIType.OBJECT, properties=properties, required=list(required))


def text_of(*values: str) -> Schema:
    """Describe a text; one of `values`, where they are named."""
    return Schema(type=OpenAPIType.STRING, enum=list(values) or None)
