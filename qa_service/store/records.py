r"""How messages, answers and jobs are written in Redis. It knows the bytes, and neither keys nor commands.

A message is `state \n seq \n header JSON \n answer JSON`: scripts change its state without reading JSON (Lua's
decoder mangles floats and empty lists), and a cached answer's bytes pass into a session untouched.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from qa_service.domain.answer import Answer
from qa_service.domain.event import Feedback, FeedbackValue, Piece, Typed, TypingState, Whisper
from qa_service.domain.explanation import Explanation
from qa_service.domain.question import Turn, turn_of
from qa_service.domain.session import Message, MessageState, Role
from qa_service.domain.suggestion import Suggested


class _Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a message that never changes."""

    id: str
    role: Role
    text: str = ""
    in_reply_to: str | None = None
    created_at_ms: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One question on its way to a worker.

    `kind` is "turn" (its answer, `reply_id`, belongs to the session `sid`), "inquiry", "explain" or "suggest"
    (`reply_id` is the job id, and after `expires_at_ms` nobody waits for the answer, for its explanation, or for at
    most `limit` suggestions). `cache_key` is a whole Redis key, empty when the answer must not be cached. `history` is
    an inquiry's; a turn's stands in its session. Where it was taken from the queue: `entry_id`, `partition`, and how
    often it was delivered.
    """

    kind: str
    tenant: str
    reply_id: str
    text: str
    normalised: str
    locale: str
    request_id: str
    accepted_at_ms: int = 0  # Unix milliseconds
    sid: str = ""
    question_message_id: str = ""
    expires_at_ms: int | None = None  # Unix milliseconds
    cache_key: str = ""
    history: tuple[Turn, ...] = ()
    limit: int = 0
    entry_id: str = ""
    partition: int = 0
    deliveries: int = 1


class _Whispered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whisper of either kind; `lua/write.lua` writes pieces itself."""

    kind: str
    message_id: str = ""
    attempt: int = 0
    offset: int = 0
    text: str = ""
    by: str = ""
    state: TypingState = TypingState.STOPPED


_json = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(_Header)
_answer_decoder = msgspec.json.Decoder(Answer)
_explanation_decoder = msgspec.json.Decoder(Explanation)
_suggested_decoder = msgspec.json.Decoder(Suggested)
_job_decoder = msgspec.json.Decoder(Job)
_whisper_decoder = msgspec.json.Decoder(_Whispered)


def token_digest(token: str) -> str:
    """SHA-256 of a session token as 64 hex digits: who reads Redis cannot speak for a session."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def encode_header(message: Message) -> bytes:
    """The unchanging part of a message, as JSON without line breaks."""
    return _json.encode(
        _Header(
            id=message.id,
            role=message.role,
            text="" if message.answer else message.text,
            in_reply_to=message.in_reply_to,
            created_at_ms=message.created_at_ms,
            request_id=message.request_id,
        )
    )


def decode_message(record: bytes) -> Message:
    """A message as it stands."""
    state, seq, head, body = record.split(b"\n", 3)
    header = _header_decoder.decode(head)
    answer = decode_answer(body) if body else None
    return Message(
        id=header.id,
        role=header.role,
        state=MessageState(state.decode()),
        text=answer.text if answer else header.text,
        seq=int(seq),
        in_reply_to=header.in_reply_to,
        created_at_ms=header.created_at_ms,
        request_id=header.request_id,
        answer=answer,
    )


def decode_turn(question: bytes, reply: bytes) -> Turn:
    """An exchange that is over, from its two messages."""
    asked, said = decode_message(question), decode_message(reply)
    return turn_of(asked.text, said.answer, said=said.text)


def encode_answer(answer: Answer) -> bytes:
    """An answer as JSON without line breaks."""
    return _json.encode(answer)


def decode_answer(record: bytes) -> Answer:
    """An answer; raises msgspec.DecodeError for anything else."""
    return _answer_decoder.decode(record)


def encode_explanation(explanation: Explanation) -> bytes:
    """An explanation as JSON without line breaks."""
    return _json.encode(explanation)


def decode_explanation(record: bytes) -> Explanation:
    """An explanation; raises msgspec.DecodeError for anything else."""
    return _explanation_decoder.decode(record)


def encode_suggested(suggested: Suggested) -> bytes:
    """Suggestions as JSON without line breaks."""
    return _json.encode(suggested)


def decode_suggested(record: bytes) -> Suggested:
    """Suggestions; raises msgspec.DecodeError for anything else."""
    return _suggested_decoder.decode(record)


def encode_job(job: Job) -> bytes:
    """A job as JSON without line breaks."""
    return _json.encode(job)


def decode_job(record: bytes) -> Job:
    """A job; raises msgspec.DecodeError for anything else."""
    return _job_decoder.decode(record)


def decode_feedback(message_id: str, record: bytes) -> Feedback:
    """What the customer said of a message, from what `lua/feedback.lua` keeps."""
    value, _, reason = record.decode().partition("\n")
    return Feedback(message_id=message_id, value=FeedbackValue(value), reason=reason)


def encode_whisper(whisper: Whisper) -> bytes:
    """A whisper as JSON without line breaks."""
    match whisper:
        case Piece():
            told = _Whispered(
                kind="piece",
                message_id=whisper.message_id,
                attempt=whisper.attempt,
                offset=whisper.offset,
                text=whisper.text,
            )
            return _json.encode(told)
        case Typed():
            return _json.encode(_Whispered(kind="typed", by=whisper.by, state=whisper.state))


def decode_whisper(record: bytes) -> Whisper | None:
    """A whisper; None for anything else, which another version may send."""
    try:
        told = _whisper_decoder.decode(record)
    except msgspec.DecodeError:
        return None
    match told.kind:
        case "piece":
            return Piece(message_id=told.message_id, attempt=told.attempt, offset=told.offset, text=told.text)
        case "typed":
            return Typed(by=told.by, state=told.state)
        case _:
            return None
