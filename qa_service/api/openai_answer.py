"""An answer as an OpenAI client reads it, whole or in pieces, with our own grounds in the member `qa`.

An answer is whole before it is sent: a stream tells it by the sentence. It knows no route.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from qa_service.api.envelope import answer_attributes, source_resources
from qa_service.api.openai_chat import worded
from qa_service.domain.answer import Answer

_SENTENCE = re.compile(r".*?(?:[。！？!?；;\n]+|(?<=[^\d\s])\.(?=\s)|$)", re.DOTALL)
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_WORD = re.compile(r"\w+|[^\w\s]")
_LETTERS_A_TOKEN = 4
_GROUNDS = ("decision", "served_by", "confidence", "choices", "index_version", "degraded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer on its way to a client; `created_s` in Unix seconds, `prompt` as it was sent."""

    id: str
    created_s: int
    model: str
    prompt: Sequence[str]
    answer: Answer

    def whole(self) -> bytes:
        """Write it in one piece."""
        text = worded(self.answer)
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        document = {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self._usage(text),
            "qa": grounds(self.answer),
        }
        return msgspec.json.encode(document)

    def pieces(self, *, with_usage: bool) -> Iterator[bytes]:
        """Write it as events: the role, a sentence each, the end with its grounds, the usage if wished, and DONE."""
        text = worded(self.answer)
        usage: dict[str, Any] = {"usage": None} if with_usage else {}
        yield self._event(choices=[_delta({"role": "assistant", "content": ""})], **usage)
        for sentence in sentences(text):
            yield self._event(choices=[_delta({"content": sentence})], **usage)
        yield self._event(choices=[_delta({}, finish_reason="stop")], **usage, qa=grounds(self.answer))
        if with_usage:
            yield self._event(choices=[], usage=self._usage(text))
        yield b"data: [DONE]\n\n"

    def _event(self, **members: Any) -> bytes:  # noqa: ANN401  # JSON values
        return b"data: " + msgspec.json.encode({**self._head("chat.completion.chunk"), **members}) + b"\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.id}",
            "object": kind,
            "created": self.created_s,
            "model": self.model,
            "system_fingerprint": self.answer.index_version,
        }

    def _usage(self, text: str) -> dict[str, int]:
        prompt, completion = sum(map(estimated_tokens, self.prompt)), estimated_tokens(text)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def grounds(answer: Answer) -> dict[str, Any]:
    """Tell what an answer rests on."""
    attributes = answer_attributes(answer)
    sources = [{"type": one.type, "id": one.id, **one.attributes} for one in source_resources([answer])]
    return {**{name: attributes[name] for name in _GROUNDS}, "sources": sources}


def sentences(text: str) -> list[str]:
    """Cut a text at the ends of its sentences; joined, the pieces are the text."""
    return [piece for piece in _SENTENCE.findall(text) if piece]


def estimated_tokens(text: str) -> int:
    """Estimate tokens: a wide character is one, a word one for every four letters, a sign one.

    No model reads here, so that none could count; a client that keeps books gets figures of the right size.
    """
    wide = len(_WIDE.findall(text))
    words = _WORD.findall(_WIDE.sub(" ", text))
    return wide + sum(-(-len(word) // _LETTERS_A_TOKEN) for word in words)


def _delta(delta: dict[str, str], *, finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
