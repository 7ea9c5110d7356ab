"""The reader of event streams: whole events, however the bytes are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.client.errors import Unreadable
from qa_service.client.seen import Seen
from qa_service.client.sse import EventStream, Told

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


def told(event: str, *seqs: int, **data: str) -> list[Told]:
    return [Told(event=event, data=json.dumps({"type": event, "seq": seq, "data": data}).encode()) for seq in seqs]


def whisper(event: str, **data: str) -> Told:
    return Told(event=event, data=json.dumps({"type": event, "data": data}).encode())


def texts(seen: Seen, *told: Told) -> list[tuple[int, str]]:
    return [(event.data["offset"], event.data["text"]) for one in told for event in seen.new(one)]


def test_parts_of_a_text_are_given_once_each_and_go_on_where_the_last_one_ended() -> None:
    parts = texts(Seen(0), delta(0, "满 99"), delta(0, "满 99"), delta(2, "99 元"), delta(3, "9"), delta(6, "包邮"))
    assert parts == [(0, "满 99"), (4, " 元"), (6, "包邮")]


def test_a_part_behind_a_hole_is_left_to_the_whole_text() -> None:
    assert texts(Seen(0), delta(0, "满"), delta(5, "包邮"), delta(0, "满 99")) == [(0, "满"), (1, " 99")]


def test_a_text_that_is_begun_anew_is_given_anew() -> None:
    seen = Seen(0)
    assert texts(seen, delta(0, "满 99")) == [(0, "满 99")]
    assert seen.new(whisper("message.reset", message_id="7"))
    assert texts(seen, delta(0, "满")) == [(0, "满")]


def test_a_text_that_was_begun_anew_during_a_cut_is_reset_first() -> None:
    seen = Seen(0)
    assert texts(seen, delta(0, "满 99 元")) == [(0, "满 99 元")]
    reset, anew = seen.new(delta(0, "满 199 元包邮"))
    assert (reset.type, reset.data) == ("message.reset", {"message_id": "7"})
    assert (anew.data["offset"], anew.data["text"]) == (0, "满 199 元包邮")


@given(st.text(min_size=1, max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30))
def test_whatever_parts_come_in_whatever_order_the_text_grows_by_what_is_given(
    whole: str, cuts: list[tuple[int, int]]
) -> None:
    seen, grown = Seen(0), ""
    for start, length in [*cuts, (0, len(whole))]:
        for offset, text in texts(seen, delta(start, whole[start : start + length])):
            assert offset == len(grown)
            assert text
            grown += text
    assert grown == whole


def test_who_types_is_told_once_however_often_the_connection_is_opened_again() -> None:
    seen = Seen(0)
    starts = [whisper("typing.started", by="bot", message_id="7")] * 3
    assert [len(seen.new(one)) for one in starts] == [1, 0, 0]
    stops = [whisper("typing.stopped", by="bot", message_id="7")] * 2
    assert [len(seen.new(one)) for one in stops] == [1, 0]


def test_an_event_that_has_been_given_is_not_given_again_and_the_next_request_says_so() -> None:
    seen = Seen(3)
    events = [event for one in told("x", 3, 4, 4, 2, 5) for event in seen.new(one)]
    assert [event.seq for event in events] == [4, 5]
    assert seen.headers["Last-Event-ID"] == "5"


def test_pings_and_errors_are_no_events() -> None:
    assert Seen(0).new(whisper("error", code="session-not-found")) == []
    assert Seen(0).new(Told(event="ping", data=b"{}")) == []
