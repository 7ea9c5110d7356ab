"""What a handler reads from its query and its header fields, described. It knows no handler."""

from dataclasses import dataclass
from typing import Literal

from litestar.openapi.spec import OpenAPIType, Parameter, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number in a query: what it means, and its bounds."""

    text: str
    least: int = 0
    most: int = 10**18 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A header field, or a text in a query: what it means, and what it may hold."""

    text: str
    most_chars: int | None = None
    pattern: str | None = None
    required: bool = False
    example: str = ""


def in_query(name: str, about: Whole | Line) -> Parameter:
    """Describe a member of the query."""
    return whole_number(name, about) if isinstance(about, Whole) else written(name, about, place="query")


def whole_number(name: str, whole: Whole) -> Parameter:
    """Describe a whole number in the query."""
    schema = Schema(type=OpenAPIType.INTEGER, minimum=whole.least, maximum=whole.most)
    return Parameter(name=name, param_in="query", description=whole.text, required=False, schema=schema)


def written(name: str, line: Line, *, place: Literal["header", "query"]) -> Parameter:
    """Describe a text in a header field or in the query."""
    schema = Schema(
        type=OpenAPIType.STRING,
        min_length=1 if line.required else None,
        max_length=line.most_chars,
        pattern=line.pattern,
        examples=[line.example] if line.example else None,
    )
    return Parameter(name=name, param_in=place, description=line.text, required=line.required, schema=schema)
