"""The reader of event streams: whole events, however the bytes are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.client.errors import Unreadable
from qa_service.client.sse import EventStream, Told
from qa_service.client.stream import Seen

STREAM = (
    ": a comment\n"
    'id: 2\nevent: message.accepted\ndata: {"text": "满多少钱免运费"}\n\n'
    "event: ping\r\ndata: {}\r\n\r\n"
    "id:3\rdata:first\rdata: second\r\r"
    "id: 4\n\n"
    "data\n\n"
    "retry: 10\nunknown: x\ndata: 末\n\n"
    "id: 9\ndata: never whole"
).encode()
EVENTS = [
    Told(id="2", event="message.accepted", data='{"text": "满多少钱免运费"}'.encode()),
    Told(event="ping", data=b"{}"),
    Told(id="3", event="message", data=b"first\nsecond"),
    Told(event="message", data=b""),
    Told(event="message", data="末".encode()),
]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    stream = EventStream()
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(ends)]
    assert [told for piece in pieces for told in stream.feed(piece)] == EVENTS


def test_an_event_without_an_end_is_not_gathered_for_ever() -> None:
    stream = EventStream()
    pieces = [b"data: " + b"x" * 100_000 + b"\n"] * 100
    with pytest.raises(Unreadable):
        [told for piece in pieces for told in stream.feed(piece)]


def delta(offset: int, text: str, message_id: str = "7") -> Told:
    data = {"message_id": message_id, "offset": offset, "text": text}
    return Told(event="message.delta", data=json.dumps({"type": "message.delta", "data": data}).encode())


def texts(seen: Seen, *told: Told) -> list[tuple[int, str]]:
    events = [seen.new(one) for one in told]
    return [(event.data["offset"], event.data["text"]) for event in events if event]


def test_parts_of_a_text_are_given_once_each_and_go_on_where_the_last_one_ended() -> None:
    given_ = texts(Seen(0), delta(0, "满 99"), delta(0, "满 99"), delta(2, "99 元"), delta(3, "9"), delta(6, "包邮"))
    assert given_ == [(0, "满 99"), (4, " 元"), (6, "包邮")]


def test_a_part_behind_a_hole_is_left_to_the_whole_text() -> None:
    seen = Seen(0)
    assert texts(seen, delta(0, "满"), delta(5, "包邮"), delta(0, "满 99")) == [(0, "满"), (1, " 99")]


def test_a_text_that_is_begun_anew_is_given_anew() -> None:
    seen = Seen(0)
    reset = Told(event="message.reset", data=b'{"type": "message.reset", "data": {"message_id": "7"}}')
    assert texts(seen, delta(0, "满 99")) == [(0, "满 99")]
    assert seen.new(reset)
    assert texts(seen, delta(0, "满")) == [(0, "满")]


def test_an_event_that_has_been_given_is_not_given_again_and_the_next_request_says_so() -> None:
    seen = Seen(3)
    told = [Told(event="x", data=json.dumps({"type": "x", "seq": seq}).encode()) for seq in (3, 4, 4, 2, 5)]
    assert [event.seq for event in map(seen.new, told) if event] == [4, 5]
    assert seen.headers["Last-Event-ID"] == "5"
