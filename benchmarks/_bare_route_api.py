"""The API process of a benchmark: the real application with one more route, which does one Redis pipeline."""

from typing import Any

from litestar import Request, Response, post

from qa_service.api.bodies import AskQuestion, read_body
from qa_service.api.envelope import Document, Resource, respond
from qa_service.api.request_id import request_id_of
from qa_service.http_server import run_http
from qa_service.logs import configure_logs
from qa_service.main import furnished, redis_address
from qa_service.settings import load_settings
from qa_service.store.connection import open_redis

_settings = load_settings()
_client = open_redis(redis_address(_settings))


@post("/bench/pipeline")
async def pipeline_route(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Read the same body, do one pipeline of two commands, answer with the same envelope."""
    body = await read_body(request, AskQuestion)
    pipeline = _client.pipeline(transaction=False)
    pipeline.set("bench:pipeline", body.text, ex=60)
    pipeline.get("bench:pipeline")
    _, text = await pipeline.execute()
    resource = Resource(type="answers", id="bench", attributes={"text": text.decode()})
    return respond(Document(data=resource, meta={"request_id": request_id_of(request.scope)}))


if __name__ == "__main__":
    configure_logs(_settings.log_level, process="api")
    run_http(
        lambda: furnished(_settings),
        host=_settings.host,
        port=_settings.port,
        most_connections=_settings.most_connections,
        extra_routes=(pipeline_route,),
    )
