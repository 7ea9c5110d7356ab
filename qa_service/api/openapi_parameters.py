"""What a handler reads from its query and its header fields, described. It knows no handler."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIType, Parameter, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number in a query: what it means, and its bounds."""

    text: str
    least: int = 0
    most: int = 10**18 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text in a query: what it means, and its bounds."""

    text: str
    most_chars: int
    pattern: str | None = None
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A header field: what it means, and what it may hold."""

    text: str
    most_chars: int | None = None
    pattern: str | None = None


def in_query(name: str, about: Whole | Text) -> Parameter:
    """Describe a member of the query."""
    return whole_number(name, about) if isinstance(about, Whole) else text(name, about)


def text(name: str, about: Text) -> Parameter:
    """Describe a text in the query."""
    schema = Schema(
        type=OpenAPIType.STRING,
        min_length=1 if about.required else None,
        max_length=about.most_chars,
        pattern=about.pattern,
        examples=[about.example] if about.example else None,
    )
    return Parameter(name=name, param_in="query", description=about.text, required=about.required, schema=schema)


def whole_number(name: str, whole: Whole) -> Parameter:
    """Describe a whole number in the query."""
    schema = Schema(type=OpenAPIType.INTEGER, minimum=whole.least, maximum=whole.most)
    return Parameter(name=name, param_in="query", description=whole.text, required=False, schema=schema)


def header(name: str, line: Line) -> Parameter:
    """Describe a header field."""
    schema = Schema(type=OpenAPIType.STRING, max_length=line.most_chars, pattern=line.pattern)
    return Parameter(name=name, param_in="header", description=line.text, required=False, schema=schema)
