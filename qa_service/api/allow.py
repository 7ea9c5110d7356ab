"""OPTIONS names every method of a path. It knows no route.

The framework names the methods of the handler that was registered last.
"""

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope


async def tell_methods(message: Message, scope: Scope) -> None:
    """Put the methods of the whole path into Allow, before an answer to OPTIONS is sent."""
    if scope["type"] == ScopeType.WEBSOCKET or scope["method"] != "OPTIONS":
        return
    if message["type"] == "http.response.start" and message["status"] == 204:
        kept = [(name, value) for name, value in message["headers"] if name.lower() != b"allow"]
        allowed = ", ".join(_methods(scope["litestar_app"], scope["path_template"]))
        message["headers"] = [*kept, (b"allow", allowed.encode())]


def _methods(app: Litestar, template: str) -> list[str]:
    routes = (route for route in app.routes if isinstance(route, HTTPRoute))
    return sorted({method for route in routes if route.path_format == template for method in route.methods})
