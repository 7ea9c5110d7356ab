"""The bot as an OpenAI client sees it: models, and chat completions. `answer_forms.py` words its refusals."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.response import Stream

from qa_service.access.caller import Scope
from qa_service.api.bodies import DEFAULT_WAIT_S, IN_HAND_S
from qa_service.api.caller import require, rooms_of
from qa_service.api.openai_answer import Completion
from qa_service.api.openai_chat import chat_of, read_chat, refuse_what_cannot_be_done
from qa_service.api.openapi_openai import ChatDescribed, ModelDescribed, ModelsDescribed
from qa_service.api.request_id import request_id_of
from qa_service.domain.errors import NotFound

_ALIAS = "qa"  # whatever the knowledge base is called
_OWNER = "qa-service"
_STREAMED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@post("/v1/chat/completions", operation_class=ChatDescribed, tags=["openai"], status_code=200)
async def complete_chat(request: Request[Any, Any, Any]) -> Response[bytes] | Stream:
    """Answer the last user message, as `POST /api/v1/bot/answers` does; the ones before it tell what it leans on.

    `model` is the knowledge base's name, or `qa`. Sampling and system messages are passed over. `qa` tells decision,
    confidence and sources. Nothing is kept.
    """
    require(request, Scope.ASK)
    asked = await read_chat(request)
    _check_model(request, asked.model)
    refuse_what_cannot_be_done(asked)
    chat = chat_of(asked.messages)
    request_id = request_id_of(request.scope)
    answer = await rooms_of(request).desk.ask(
        chat.question, locale="", request_id=request_id, wait_s=DEFAULT_WAIT_S - IN_HAND_S, history=chat.history
    )
    completion = Completion(
        id=request_id, created_s=int(time.time()), model=asked.model, prompt=chat.prompt, answer=answer
    )
    if asked.stream:
        pieces = _sent(completion.pieces(with_usage=asked.tells_usage))
        return Stream(pieces, media_type="text/event-stream", headers=_STREAMED)
    return _json(completion.whole())


@get("/v1/models", operation_class=ModelsDescribed, tags=["openai"])
async def list_models(request: Request[Any, Any, Any]) -> Response[bytes]:
    """List what a chat may name as its model: the caller's knowledge base, and the alias `qa`."""
    names = _models(request)
    return _json(msgspec.json.encode({"object": "list", "data": [_model(name) for name in names]}))


@get("/v1/models/{model:str}", operation_class=ModelDescribed, tags=["openai"])
async def read_model(request: Request[Any, Any, Any], model: str) -> Response[bytes]:
    """Read one model."""
    _check_model(request, model)
    return _json(msgspec.json.encode(_model(model)))


def _models(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((require(request, Scope.ASK).tenant, _ALIAS)))


def _check_model(request: Request[Any, Any, Any], name: str) -> None:
    names = _models(request)
    if name not in names:
        detail = f"there is no such model; yours are {' and '.join(names)}"
        raise NotFound(detail, code="model-not-found", pointer="/model")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}  # a knowledge base has no birthday


async def _sent(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _json(body: bytes) -> Response[bytes]:
    return Response(body, media_type="application/json")
