"""JSON lines on standard error, one an event, each with the request id it belongs to. It knows no room.

Nothing personal is told: whatever a line says, tracebacks and what libraries log included, goes through the redaction.
Only ids of ours are told as they are. A line is one line and valid JSON, whatever somebody put into a value.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import structlog

from qa_service.domain.redaction import redact

# Ids that we make, or that are checked where they come in; 16 digits of a request id may look like a bank card.
_IDS = frozenset(
    {"sid", "mid", "message_id", "question_message_id", "reply_id", "in_reply_to", "last_message_id", "entry_id"}
    | {"request_id", "job", "job_id", "timestamp", "level", "process", "version", "index_version"}
)
_MOST_CHARS = 8_192  # of one text; a traceback of forty frames has about 4,000
_MOST_ITEMS = 64
_MOST_DEPTH = 6
# Taken beyond a cut and thrown away again: a number that the cut would halve is found while it is whole.
_MARGIN = 400
_FOREIGN_LEVEL = logging.WARNING  # what libraries say below it nobody here needs
# JSON escapes what lies below U+0020; these too end a line, turn its direction, or steer a terminal, or are no text.
_UNSAFE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def configure_logs(level: str, *, process: str) -> None:
    """Log from `level` on; every line names the `process` (api, worker, serve).

    What libraries tell the standard library's logging takes the same way, from warnings on.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("event"),
            _Process(process),
            redact_event,
            structlog.processors.JSONRenderer(serializer=_one_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.setLevel(_FOREIGN_LEVEL)
    for handler in [one for one in root.handlers if isinstance(one, FromLibraries)]:
        root.removeHandler(handler)
    root.addHandler(FromLibraries())


def redact_event(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Give an event of plain JSON values without anything personal, its texts and collections bounded."""
    return {str(key): _told(value, named=key, depth=0) for key, value in event.items()}


class FromLibraries(logging.Handler):
    """Passes on what the standard library's logging is told."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as one of our lines, with its logger's name."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging would print them, as they are
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info)


class _Process:
    """Adds the name of the process to each line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = self._name
        return event


def _told(value: object, *, named: object, depth: int) -> Any:  # noqa: ANN401  # any JSON value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, int):
        return _told_integer(value, named=named)
    if depth >= _MOST_DEPTH:
        return _told_text(f"{type(value).__name__}, not told: too deep", named=named)
    if isinstance(value, Mapping):
        items = islice(value.items(), _MOST_ITEMS)
        told = {_told_text(str(key), named=""): _told(one, named=key, depth=depth + 1) for key, one in items}
        return told | ({"…": f"{len(value) - _MOST_ITEMS} more"} if len(value) > _MOST_ITEMS else {})
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes | bytearray | memoryview):
        some = [_told(one, named=named, depth=depth + 1) for one in islice(value, _MOST_ITEMS)]
        return some + ([f"… {len(value) - _MOST_ITEMS} more"] if len(value) > _MOST_ITEMS else [])
    return _told_text(value if isinstance(value, str) else repr(value), named=named)


def _told_integer(value: int, *, named: object) -> int | str:
    if value.bit_length() > 64:  # Python refuses to write very long ones
        return f"an integer of {value.bit_length()} bits"
    written = str(value)
    told = written if named in _IDS else redact(written)
    return value if told == written else told


def _told_text(text: str, *, named: object) -> str:
    clean = str if named in _IDS else redact
    if len(text) <= _MOST_CHARS:
        return clean(text)
    kept = _MOST_CHARS // 2
    start = clean(text[: kept + _MARGIN])[:-_MARGIN]
    end = clean(text[-kept - _MARGIN :])[_MARGIN:]
    return f"{start} … {len(text) - 2 * kept} characters left out … {end}"


def _one_line(event: object, **_options: object) -> str:
    line = json.dumps(event, ensure_ascii=False)
    return _UNSAFE.sub(lambda unsafe: json.dumps(unsafe[0])[1:-1], line)
