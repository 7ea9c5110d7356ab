"""A chat request of an OpenAI client: what it asks, what was said before, and what cannot be done for it.

Of `messages` the last of a user is the question, what stands before it the history; system messages are passed over,
for no prompt changes what this bot says. Sampling (`temperature`, `max_tokens`, `stop`, …) and members that are not
known here are passed over too; what would change the shape of the answer is refused. It knows no route.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from qa_service.answering.texts import TEXTS
from qa_service.api.bodies import AnyRequest, raw_body, refusal_of_shape
from qa_service.api.body_text import JSON, read_text
from qa_service.domain.answer import Answer
from qa_service.domain.errors import InvalidInput
from qa_service.domain.question import Turn
from qa_service.domain.text import check_question

_PASSED_OVER = {"system", "developer"}
_LISTED = re.compile(r"^\d{1,2}\. (.+)$", re.MULTILINE)
_ASKED_BACK = tuple(texts.clarify for texts in TEXTS.values())


class ChatMessage(msgspec.Struct, kw_only=True):
    """One message: of a user, of the assistant, or of the system."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(msgspec.Struct, kw_only=True):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, kw_only=True):
    """Ask as an OpenAI client does."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    logprobs: bool | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """What is asked (a checked question), what was said before, and all that was sent, for counting."""

    question: str
    history: tuple[Turn, ...]
    prompt: tuple[str, ...]


async def read_chat(request: AnyRequest) -> ChatRequest:
    """Read the body of a chat request.

    Raises:
        InvalidInput: it is no JSON, or not of this shape.
    """
    heard = read_text(await raw_body(request), request.headers.get("content-type", ""), forms=(JSON,))
    try:
        return msgspec.convert(heard.value, ChatRequest)
    except msgspec.ValidationError as error:
        raise refusal_of_shape(str(error), {}) from None


def refuse_what_cannot_be_done(chat: ChatRequest) -> None:
    """Refuse what would change the shape of the answer, and cannot be had here."""
    formats = (chat.response_format or {}).get("type", "text")
    asked = {
        "n": chat.n not in {None, 1},
        "tools": bool(chat.tools),
        "functions": bool(chat.functions),
        "tool_choice": chat.tool_choice not in (None, "none", "auto"),
        "response_format": formats != "text",
        "modalities": chat.modalities not in (None, ["text"]),
        "logprobs": bool(chat.logprobs),
        "audio": bool(chat.audio),
        "web_search_options": chat.web_search_options is not None,
    }
    if refused := next((name for name, is_asked in asked.items() if is_asked), ""):
        detail = f"{refused} cannot be had here: the answer is one text from the knowledge base"
        raise InvalidInput(detail, code="unsupported-parameter", pointer=f"/{refused}")


def chat_of(messages: Sequence[ChatMessage]) -> Chat:
    """Take messages apart.

    Raises:
        InvalidInput: none is a user's, one holds more than text (unsupported-content) or has another role
            (unsupported-role), or the question is none.
    """
    texts = [_text(message, place) for place, message in enumerate(messages)]
    asked = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if asked is None:
        raise InvalidInput("no message is a user's", code="invalid-body", pointer="/messages")
    turns: list[Turn] = []
    for message, text in zip(messages[:asked], texts[:asked], strict=True):
        if message.role == "user" and text.strip():
            turns.append(Turn(question=text.strip()))
        elif message.role == "assistant" and turns:
            turns[-1] = replace(turns[-1], choices=listed_choices(text))
    question = check_question(texts[asked], pointer=f"/messages/{asked}/content")
    return Chat(question=question, history=tuple(turns), prompt=tuple(texts))


def worded(answer: Answer) -> str:
    """Give an answer's text; where it asks back, with what to choose from, since a chat shows nothing else."""
    listed = (f"{number}. {choice.question}" for number, choice in enumerate(answer.choices, start=1))
    return "\n".join([answer.text, *listed])


def listed_choices(text: str) -> tuple[str, ...]:
    """Give the questions of a "did you mean" as `worded` lists them; none from any other list."""
    return tuple(_LISTED.findall(text)) if text.startswith(_ASKED_BACK) else ()


def _text(message: ChatMessage, place: int) -> str:
    if message.role not in {"user", "assistant", *_PASSED_OVER}:
        raise InvalidInput(
            "a message is of the role user, assistant, system or developer",
            code="unsupported-role",
            pointer=f"/messages/{place}/role",
        )
    if not isinstance(message.content, list):
        return message.content or ""
    parts: list[str] = []
    for number, part in enumerate(message.content):
        text = part.get("text")
        if part.get("type") != "text" or not isinstance(text, str):
            raise InvalidInput(
                "only content of the type text can be read",
                code="unsupported-content",
                pointer=f"/messages/{place}/content/{number}",
            )
        parts.append(text)
    return "\n".join(parts)
