"""How a question's text is checked, folded and recognised again. It knows nothing of tokens or languages."""

import hashlib
import re
import unicodedata

from qa_service.domain.errors import InvalidInput

MAX_QUESTION_CHARS = 500  # the article's limit, after trimming
MAX_TYPED_CHARS = 64  # of what suggestions are wanted for, after trimming

# Full-width ASCII (！ to ～) and the ideographic space. NFKC would do more, and merge 10² with 102.
_FOLD_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_SPACES = re.compile(r"\s+")
# Only what ends a sentence: stripping all punctuation merges Pro+ with Pro and 3.5折 with 35折 (measured).
_FINAL_PUNCTUATION = " 。.!?~…"


def fold_width(text: str) -> str:
    """Full-width ASCII becomes plain ASCII; nothing else changes."""
    return text.translate(_FOLD_WIDTH)


def normalise(text: str) -> str:
    """The form under which two spellings count as the same question.

    Case, width, invisible characters, outer and repeated white space and final sentence punctuation are folded;
    everything that can change a meaning (digits, signs, units, inner punctuation) stays.
    """
    folded = _INVISIBLE.sub("", fold_width(text)).casefold()
    folded = _SPACES.sub(" ", folded).strip()
    return folded.rstrip(_FINAL_PUNCTUATION) or folded


def question_hash(normalised: str) -> str:
    """128 bits of BLAKE2b over a normalised question, as 32 hex digits."""
    return hashlib.blake2b(normalised.encode(), digest_size=16).hexdigest()


def check_typed(text: str, *, pointer: str) -> str:
    """Give what has been typed so far, trimmed.

    Raises:
        InvalidInput: it is empty, or longer than 64 characters (invalid-parameter).
    """
    trimmed = _INVISIBLE.sub("", "".join(char for char in text if unicodedata.category(char) not in {"Cc", "Cs"}))
    trimmed = trimmed.strip()
    if not 1 <= len(trimmed) <= MAX_TYPED_CHARS:
        detail = f"what is typed has 1 to {MAX_TYPED_CHARS} characters"
        raise InvalidInput(detail, code="invalid-parameter", pointer=pointer)
    return trimmed


def check_question(text: object, *, pointer: str = "/text") -> str:
    """Give the trimmed question.

    Raises:
        InvalidInput: it is no text, is empty, is longer than 500 characters, or holds characters no text has.
    """
    if not isinstance(text, str):
        raise InvalidInput("a question is a text of 1 to 500 characters", code="question-not-text", pointer=pointer)
    if any(unicodedata.category(char) == "Cs" for char in text):
        raise InvalidInput("the question holds half of a surrogate pair", code="malformed-text", pointer=pointer)
    trimmed = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc").strip()
    if not _INVISIBLE.sub("", trimmed).strip():
        raise InvalidInput(
            "the question is empty; 1 to 500 characters are expected", code="question-empty", pointer=pointer
        )
    if len(trimmed) > MAX_QUESTION_CHARS:
        raise InvalidInput(
            f"the question has {len(trimmed)} characters; at most {MAX_QUESTION_CHARS} are accepted",
            code="question-too-long",
            pointer=pointer,
        )
    return trimmed
