"""Following a session over a real Redis: each event once and in order, whoever else follows and whatever goes wrong."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis
from store.conftest import MortalRedis

from qa_service.conversation.feed import MOST_WAITING
from qa_service.conversation.streams import Following, Streams
from qa_service.domain.answer import Answer, Decision
from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Restarting, StoreUnavailable, TooSlow
from qa_service.domain.event import Delta, Event, EventPage, Happening, Reset, Typing, TypingState
from qa_service.domain.question import Question
from qa_service.domain.saying import Accepted, Saying
from qa_service.domain.session import EventType, Proof, Session
from qa_service.domain.snowflake import Snowflake
from qa_service.store.bells import RedisBells
from qa_service.store.connection import open_redis
from qa_service.store.events import RedisEvents
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.pens import RedisPen, RedisPens
from qa_service.store.sessions import RedisSessions

KEYS = Keys(tenant="shop")
ANSWER = Answer(text="七天内可以退货", decision=Decision.ANSWER)
SID = "77"


class CountedEvents(RedisEvents):
    """The real thing, which counts how often the log is read."""

    reads = 0

    async def events_after(self, sid: str, proof: Proof, cursor: int, limit: int) -> EventPage:
        self.reads += 1
        return await super().events_after(sid, proof, cursor, limit)


class Scene:
    """A session whose token is "secret", its followers' streams, and the worker's end."""

    def __init__(self, client: Redis, bells: RedisBells) -> None:
        self.client, self.bells = client, bells
        self.events = CountedEvents(client, KEYS)
        self.streams = Streams(events=self.events, bells=bells)
        self.sessions = RedisSessions(client, KEYS)
        self.queue = JobQueue(client, KEYS, consumer="test")
        self.ids = Snowflake(3)

    async def open(self) -> None:
        assert await self.sessions.open(Session(sid=SID, tenant="shop"), "secret")

    async def ask(self, text: str = "怎么退货") -> Accepted:
        saying = Saying(
            sid=SID, proof="secret", text=text, normalised=text, locale="zh-CN", request_id="r", now_ms=1,
            message_id=self.ids.next_id(), reply_id=self.ids.next_id(),
        )  # fmt: skip
        return await self.sessions.accept(saying)

    async def answer(self) -> None:
        (job,) = await self.queue.take(1, block_ms=1000)
        assert await self.queue.finish(job, ANSWER)

    def pen(self, accepted: Accepted) -> RedisPen:
        return RedisPens(self.client, KEYS).pen(Question(text="", sid=SID, reply_id=accepted.reply.id))


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        client = open_redis(redis_url)
        stack.push_async_callback(client.aclose)
        scene = Scene(client, await stack.enter_async_context(RedisBells(client, KEYS)))
        await scene.open()
        yield scene


async def heard(following: Following, *, until: object, within_s: float = 5.0) -> list[Happening]:
    """What a listener hears until an event of some type or number, or a happening of some kind, is among it."""
    told: list[Happening] = []
    async with asyncio.timeout(within_s):
        while not any(_is(one, until) for one in told):
            told += await following.hear()
    return told


def _is(one: Happening, wanted: object) -> bool:
    if isinstance(wanted, type):
        return isinstance(one, wanted)
    return one == wanted or (isinstance(one, Event) and wanted in (one.type, one.seq))


def seqs(told: Sequence[Happening]) -> list[int]:
    return [one.seq for one in told if isinstance(one, Event)]


def text_of(told: Sequence[Happening]) -> str:
    """The text that a listener has put together; every piece begins where the last one ended."""
    text = ""
    for one in told:
        if isinstance(one, Reset):
            text = ""
        if isinstance(one, Delta):
            assert one.offset == len(text)
            text += one.text
    return text


async def test_a_follower_hears_what_was_and_then_what_happens(scene: Scene) -> None:
    await scene.ask()
    following = await scene.streams.follow(SID, "secret", after=0)
    told = await heard(following, until=EventType.MESSAGE_ACCEPTED)
    mid = next(one.reply_id for one in told if isinstance(one, Event) and one.reply_id)
    assert told[2:] == [Typing(state=TypingState.STARTED, by="bot", message_id=mid)]
    await scene.answer()
    told += await heard(following, until=EventType.MESSAGE_COMPLETED)
    assert seqs(told) == [1, 2, 3]
    assert told[-1] == Typing(state=TypingState.STOPPED, by="bot", message_id=mid)
    assert await following.hear(0.05) == ()
    following.close()
    assert scene.bells.listening == 0


async def test_it_goes_on_after_a_cursor_and_refuses_one_outside_the_log(scene: Scene) -> None:
    await scene.ask()
    following = await scene.streams.follow(SID, "secret", after=1)
    assert seqs(await following.hear()) == [2]
    following.close()
    with pytest.raises(InvalidInput, match="outside"):
        await scene.streams.follow(SID, "secret", after=3)
    with pytest.raises(NotFound):
        await scene.streams.follow(SID, "wrong", after=0)
    assert scene.bells.listening == 0


async def test_however_many_follow_a_hint_costs_one_look_at_the_log(scene: Scene) -> None:
    followings = [await scene.streams.follow(SID, "secret", after=1) for _ in range(20)]
    scene.events.reads = 0
    await scene.ask()
    for following in followings:
        assert seqs(await heard(following, until=2)) == [2]
    assert scene.events.reads == 1


async def test_a_long_backlog_and_what_happens_meanwhile_are_heard_once_and_in_order(scene: Scene) -> None:
    for _ in range(130):
        await scene.ask()
        await scene.answer()
    following = await scene.streams.follow(SID, "secret", after=0)
    late = await scene.streams.follow(SID, "secret", after=255)
    asking = asyncio.create_task(scene.ask())
    told = await heard(following, until=262)
    await asking
    assert seqs(told) == list(range(1, 263))
    assert seqs(await heard(late, until=262)) == list(range(256, 263))


async def test_a_late_joiner_hears_the_text_so_far_and_goes_on_without_a_hole_or_an_overlap(scene: Scene) -> None:
    accepted = await scene.ask()
    pen = scene.pen(accepted)
    first = await scene.streams.follow(SID, "secret", after=2)
    followings, told = [first], [[] for _ in range(41)]  # type: list[Following], list[list[Happening]]

    async def write() -> None:
        for number in range(40):
            assert await pen.write(f"{number}号😀 ")
            followings.append(await scene.streams.follow(SID, "secret", after=2))

    await write()
    await scene.answer()
    for place, following in enumerate(followings):
        told[place] = await heard(following, until=EventType.MESSAGE_COMPLETED)
        assert seqs(told[place]) == [3]
    whole = "".join(f"{number}号😀 " for number in range(40))
    assert all(whole.startswith(text_of(one)) for one in told)
    assert text_of(told[0]) == whole
    assert sum(text_of(one) == whole for one in told) > 30


async def test_a_text_that_is_begun_again_is_reset_first(scene: Scene) -> None:
    accepted = await scene.ask()
    following = await scene.streams.follow(SID, "secret", after=2)
    first, second = scene.pen(accepted), scene.pen(accepted)
    assert await first.write("好的好的")
    await heard(following, until=Delta)
    assert await second.write("七天")
    mid = accepted.reply.id
    assert await heard(following, until=Delta) == [
        Reset(message_id=mid),
        Delta(message_id=mid, offset=0, text="七天"),
    ]


async def test_a_piece_that_got_lost_is_looked_up(scene: Scene) -> None:
    accepted = await scene.ask()
    pen = scene.pen(accepted)
    following = await scene.streams.follow(SID, "secret", after=2)
    assert await pen.write("七天")
    told = await heard(following, until=Delta)
    feed = next(iter(scene.streams._feeds.values()))
    scene.bells.detach(SID, feed)
    assert await pen.write("内")
    await asyncio.sleep(0.05)
    scene.bells.attach(SID, feed)
    assert await pen.write("可以")
    told += await heard(following, until=Delta)
    assert text_of(told) == "七天内可以"


async def test_that_a_user_types_is_told_to_the_others(scene: Scene) -> None:
    writer, other = [await scene.streams.follow(SID, "secret", after=1) for _ in range(2)]
    await scene.streams.typed(writer, TypingState.STARTED)
    assert await other.hear(5) == [Typing(state=TypingState.STARTED, by="user")]
    assert await writer.hear(0.05) == ()


async def test_who_does_not_listen_is_let_go_and_resumes(scene: Scene) -> None:
    following, quick = [await scene.streams.follow(SID, "secret", after=1) for _ in range(2)]
    freed = asyncio.Event()
    following.on_too_slow = freed.set
    told: list[Happening] = []
    for _ in range(MOST_WAITING // 2 + 1):
        await scene.ask()
        await scene.answer()
        told += await quick.hear()
    async with asyncio.timeout(5):
        await freed.wait()
    with pytest.raises(TooSlow):
        await following.hear()
    following.close()
    again = await scene.streams.follow(SID, "secret", after=following.cursor)
    last = 1 + 2 * (MOST_WAITING // 2 + 1)
    assert seqs(await heard(again, until=last)) == list(range(2, last + 1))
    told += await heard(quick, until=last) if last not in seqs(told) else []
    assert seqs(told) == list(range(2, last + 1))


async def test_a_token_that_is_made_void_hears_nothing_more(scene: Scene) -> None:
    following = await scene.streams.follow(SID, "secret", after=1)
    await scene.sessions.bind(SID, "secret", uid="u1", new_token="new")
    with pytest.raises(NotFound):
        await following.hear(5)
    following.close()


async def test_who_follows_an_erased_session_is_told_that_there_is_none(scene: Scene) -> None:
    following = await scene.streams.follow(SID, "secret", after=1)
    await scene.client.delete(KEYS.session(SID))
    await scene.client.publish(KEYS.events(0), SID)
    with pytest.raises(NotFound):
        await following.hear(5)


async def test_at_the_end_of_the_process_everybody_is_sent_home(scene: Scene) -> None:
    following = await scene.streams.follow(SID, "secret", after=0)
    scene.streams.stop()
    assert seqs(await following.hear()) == [1]  # what was heard already is not lost
    with pytest.raises(Restarting):
        await following.hear()
    with pytest.raises(Restarting):
        await scene.streams.follow(SID, "secret", after=0)


async def test_a_listener_whose_events_have_left_the_log_hears_so(scene: Scene) -> None:
    await scene.client.hset(KEYS.session(SID), mapping={"floor": 5, "seq": 9})
    with pytest.raises(Conflict) as caught:
        await scene.streams.follow(SID, "secret", after=1)
    assert caught.value.code == "cursor-expired"


async def tried(call: Callable[[], Awaitable[object]]) -> None:
    """Call until Redis serves again: a connection that broke while it was away is noticed at its next use."""
    async with asyncio.timeout(10):
        while True:
            try:
                await call()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.slow
async def test_nothing_is_lost_when_redis_was_away(tmp_path: Path) -> None:
    server = MortalRedis(tmp_path)
    server.start()
    try:
        async with AsyncExitStack() as stack:
            client = open_redis(server.url)
            stack.push_async_callback(client.aclose)
            scene = Scene(client, await stack.enter_async_context(RedisBells(client, KEYS)))
            await scene.open()
            following = await scene.streams.follow(SID, "secret", after=0)
            await scene.ask()
            told = await heard(following, until=2)
            server.send(signal.SIGSTOP)
            await asyncio.sleep(5)  # long enough for the subscription to be given up
            server.send(signal.SIGCONT)
            await tried(scene.answer)
            told += await heard(following, until=3, within_s=10)
            await asyncio.sleep(2.5)  # while the disk is busy, Redis puts its writes off for two seconds
            server.kill()
            server.start()
            await tried(scene.ask)
            told += await heard(following, until=4, within_s=10)
            assert seqs(told) == [1, 2, 3, 4]
    finally:
        server.kill()
