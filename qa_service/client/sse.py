"""Reads text/event-stream (WHATWG HTML, 9.2.6) from pieces of bytes. It knows no connection and no event of ours."""

from collections.abc import Iterator
from dataclasses import dataclass

from qa_service.client.errors import Unreadable

_MOST_BYTES = 4 * 1024 * 1024  # of one event; an answer has a few thousand


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of the stream; `id` is None where it has none."""

    data: bytes
    event: str
    id: str | None = None


class EventStream:
    """Takes pieces as they come and gives the events that are whole. An event without its blank line never was."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0
        self._fields: dict[bytes, bytes] = {}
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[Told]:
        """Give the events that this piece ends.

        Raises:
            Unreadable: an event has no end.
        """
        self._rest += piece
        if len(self._rest) + self._size > _MOST_BYTES:
            raise Unreadable(f"an event has more than {_MOST_BYTES} bytes")
        whole, self._rest = _whole_lines(self._rest)
        for line in whole:
            if line:
                self._take(line)
            elif told := self._finish():
                yield told

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name in {b"id", b"event"}:
            self._fields[name] = value

    def _finish(self) -> Told | None:
        fields, data = self._fields, self._data
        self._fields, self._data, self._size = {}, [], 0
        if not data:
            return None
        seen = fields.get(b"id")
        return Told(
            data=b"\n".join(data),
            event=fields.get(b"event", b"message").decode(errors="replace"),
            id=None if seen is None else seen.decode(errors="replace"),
        )


def _whole_lines(text: bytes) -> tuple[list[bytes], bytes]:
    """Cut off the lines that are whole; they end with LF, CR or CR LF.

    A CR at the very end stays: its LF may come with the next piece.
    """
    kept = text[-1:] if text.endswith(b"\r") else b""
    body = text[: len(text) - len(kept)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *whole, rest = body.split(b"\n")
    return whole, rest + kept
