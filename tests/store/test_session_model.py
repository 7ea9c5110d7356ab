"""A session against a model of it: whatever is done in whatever order, the store and the model tell the same.

`FAULTS=full` takes 10,000 steps instead of a few hundred.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import pytest
from faults.figures import RUN, Book, count
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from qa_service.domain.answer import Answer, Decision, ServedBy
from qa_service.domain.errors import Conflict, InvalidInput, NotFound, Overloaded, QaError
from qa_service.domain.saying import Acceptance, Accepted, Saying
from qa_service.domain.session import Message, MessageState, Role, Session
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.events import RedisEvents
from qa_service.store.jobs import Job, JobQueue
from qa_service.store.keys import Keys
from qa_service.store.sessions import RedisSessions, session_keys
from store.conftest import MortalRedis
from store.session_model import Modelled, Queued, Said

T = TypeVar("T")
KEYS = Keys(tenant="shop")
QUEUE_CAP = 6
MAX_DELIVERIES = 3
TEXTS = ("怎么退货", "怎么换货", "运费多少")
SIDS = ("1", "2")
EXAMPLES, STEPS = count(small=25, full=250), 50


class SessionMachine(RuleBasedStateMachine):
    """Does to the store what customers, workers and misfortune do, and to the model what should come of it."""

    steps = 0  # of all examples

    def __init__(self, server: MortalRedis) -> None:
        super().__init__()
        self.server = server
        self.loop = asyncio.new_event_loop()
        with BlockingRedis.from_url(server.url) as blocking:
            blocking.flushall()
        self.client: Redis = open_redis(server.url)
        self.ids = itertools.count(1000)
        self.model: dict[str, Modelled] = {}
        self.queue: list[Queued] = []
        self.let_go: list[Queued] = []  # finished or given up; their first worker may still wake up
        self.cached: set[str] = set()
        self.keyed: list[Saying] = []

    # How the store is reached

    @property
    def sessions(self) -> RedisSessions:
        return RedisSessions(self.client, KEYS, queue_cap=QUEUE_CAP)

    def jobs(self, consumer: str) -> JobQueue:
        return JobQueue(self.client, KEYS, consumer=consumer, claim_idle_ms=0, max_deliveries=MAX_DELIVERIES)

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(_awaited(work))

    def refusal(self, work: Awaitable[object]) -> QaError:
        with pytest.raises(QaError) as caught:
            self.run(work)
        return caught.value

    def teardown(self) -> None:
        self.run(self.client.aclose())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    # What a customer does

    @initialize()
    def begin(self) -> None:
        self.open("1")

    @rule(sid=st.sampled_from(SIDS))
    def open(self, sid: str) -> None:
        token = f"token-{next(self.ids)}"
        opened = self.run(self.sessions.open(Session(sid=sid, tenant="shop"), token))
        assert opened == (sid not in self.model)
        if opened:
            self.model[sid] = Modelled(token)
            self.keyed = [saying for saying in self.keyed if saying.sid != sid]

    @rule(
        sid=st.sampled_from(SIDS),
        text=st.sampled_from(TEXTS),
        key=st.sampled_from(["", "", "a", "b"]),
        cacheable=st.booleans(),
    )
    def ask(self, sid: str, text: str, key: str, cacheable: bool) -> None:  # noqa: FBT001  # hypothesis names them
        saying = self.saying(sid, text, key, cacheable=cacheable)
        self.accept(saying)
        if key and sid in self.model:
            self.keyed.append(saying)

    @precondition(lambda self: self.keyed)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """The same key and body once more, as a client sends it that heard no reply: with fresh ids on our side."""
        before = data.draw(st.sampled_from(self.keyed))
        proof = self.model[before.sid].token if before.sid in self.model else before.proof
        self.accept(replace(before, proof=proof, message_id=str(next(self.ids)), reply_id=str(next(self.ids))))

    @rule(sid=st.sampled_from(SIDS), uid=st.sampled_from(["u1", "u2"]))
    def bind(self, sid: str, uid: str) -> None:
        known, new_token = self.model.get(sid), f"token-{next(self.ids)}"
        binding = self.sessions.bind(sid, known.token if known else "none", uid=uid, new_token=new_token)
        if known is None:
            assert isinstance(self.refusal(binding), NotFound)
        elif known.uid not in {"", uid}:
            assert self.refusal(binding).code == "uid-conflict"
        else:
            if not known.uid:
                known.append("")
            known.uid, known.token = uid, new_token
            bound = self.run(binding)
            assert (bound.uid, bound.last_message_id) == (uid, known.seq)

    @rule(sid=st.sampled_from(SIDS), cursor=st.integers(0, 30), limit=st.integers(1, 8))
    def pull(self, sid: str, cursor: int, limit: int) -> None:
        known = self.model.get(sid)
        reading = self.sessions.read_after(sid, known.token if known else "none", cursor, limit)
        if known is None:
            assert isinstance(self.refusal(reading), NotFound)
        elif cursor > known.seq:
            assert isinstance(self.refusal(reading), InvalidInput)
        else:
            page = self.run(reading)
            assert ([message.id for message in page.messages], page.last_message_id, page.has_more) == known.page(
                cursor, limit
            )

    @rule(sid=st.sampled_from(SIDS), data=st.data())
    def cancel(self, sid: str, data: st.DataObject) -> None:
        """An answer that is being given, that waits for a worker, or for its turn."""
        known = self.model.get(sid)
        pending = [mid for mid, said in known.messages.items() if said.state is MessageState.PENDING] if known else []
        if known is None or not pending:
            return
        reply = data.draw(st.sampled_from(pending))
        message = self.run(RedisEvents(self.client, KEYS).cancel(sid, known.token, reply))
        assert known.finish(reply, MessageState.CANCELLED, "")
        self.check(message, known.messages[reply])
        if known.running == reply:
            [queued] = [queued for queued in self.queue if queued.reply_id == reply]
            self.queue.remove(queued)
            if queued.handed_out:
                self.let_go.append(queued)
            self.go_on(sid, known)
        else:
            known.waiting.remove(reply)

    @rule(sid=st.sampled_from(SIDS))
    def try_a_wrong_token(self, sid: str) -> None:
        sessions, saying = self.sessions, self.saying(sid, TEXTS[0], "a", cacheable=False)
        for work in (
            sessions.read(sid, "wrong"),
            sessions.accept(replace(saying, proof="wrong")),
            sessions.read_after(sid, "wrong", 0, 5),
            sessions.bind(sid, "wrong", uid="u1", new_token="thief"),
        ):
            assert isinstance(self.refusal(work), NotFound)

    # What workers do

    @rule(number=st.integers(1, 3))
    def take(self, number: int) -> None:
        new = [queued for queued in self.queue if not queued.deliveries][:number]
        taken = self.run(self.jobs("first").take(number, block_ms=0))
        self.hand_out(new, taken)

    @rule()
    def take_over(self) -> None:
        held = [queued for queued in self.queue if queued.deliveries]
        given_up = [queued for queued in held if queued.deliveries >= MAX_DELIVERIES]
        taken = self.run(self.jobs("second").reclaim())
        self.hand_out([queued for queued in held if queued not in given_up], taken)
        for queued in given_up:
            self.end(queued, MessageState.FAILED, None)

    @precondition(lambda self: any(queued.deliveries for queued in self.queue))
    @rule(data=st.data(), state=st.sampled_from([MessageState.COMPLETED, MessageState.FAILED]))
    def finish(self, data: st.DataObject, state: MessageState) -> None:
        self.finish_one(data.draw(st.sampled_from([queued for queued in self.queue if queued.deliveries])), state)

    def finish_one(self, queued: Queued, state: MessageState) -> None:
        answer = Answer(text=f"answer {next(self.ids)}", decision=Decision.ANSWER)
        assert queued.handed_out is not None
        given = self.run(self.jobs("first").finish(queued.handed_out, answer, state))
        assert given == self.end(queued, state, answer.text)

    @rule()
    def answer_everything(self) -> None:
        """A worker that keeps up."""
        while any(not queued.deliveries for queued in self.queue):
            self.take(QUEUE_CAP)
            for queued in [queued for queued in self.queue if queued.deliveries]:
                self.finish_one(queued, MessageState.COMPLETED)

    @precondition(lambda self: self.let_go)
    @rule(data=st.data())
    def finish_late(self, data: st.DataObject) -> None:
        """A worker that was paused brings an answer to a question that is over."""
        queued = data.draw(st.sampled_from(self.let_go))
        assert queued.handed_out is not None
        assert not self.run(self.jobs("first").finish(queued.handed_out, Answer(text="late", decision=Decision.NONE)))
        self.forget(queued)

    @rule(text=st.sampled_from(TEXTS))
    def keep_answer(self, text: str) -> None:
        key = KEYS.faq(0, cache_name(text))
        answer = Answer(text=f"cached {text}", decision=Decision.ANSWER)
        self.run(RedisAnswerCache(self.client, KEYS).put(key, text, answer))
        self.cached.add(text)

    # What befalls them

    @rule(sid=st.sampled_from(SIDS), everything=st.booleans(), days=st.integers(1, 4))
    def expire(self, sid: str, everything: bool, days: int) -> None:  # noqa: FBT001  # hypothesis names them
        """Its day has passed, though not every time; the session's hash may go a moment before the rest."""
        if days != 4:
            return
        own = session_keys(KEYS, sid)
        for key in own if everything else own[:1]:
            self.run(self.client.pexpire(key, 1))
        self.run(asyncio.sleep(0.005))
        self.model.pop(sid, None)

    @rule()
    def reconnect(self) -> None:
        self.run(self.client.aclose())
        self.client = open_redis(self.server.url)

    @rule()
    def kill_redis(self) -> None:
        self.server.kill()
        self.server.start()
        self.reconnect()

    # What must hold after every step

    @invariant()
    def every_session_reads_as_modelled(self) -> None:
        type(self).steps += 1
        for sid, known in self.model.items():
            page = self.run(self.sessions.read_after(sid, known.token, 0, 500))
            ids, cursor, has_more = known.page(0, 500)
            assert [message.id for message in page.messages] == ids
            assert (page.last_message_id, page.has_more) == (cursor, has_more) == (known.seq, False)
            session = self.run(self.sessions.read(sid, known.token))
            assert (session.uid, session.last_message_id) == (known.uid, known.seq)
            for message_id, said in known.messages.items():
                self.check(self.run(self.sessions.message(sid, known.token, message_id)), said)
        assert self.run(self.jobs("first").backlog()) == len(self.queue)

    # How the model thinks

    def saying(self, sid: str, text: str, key: str, *, cacheable: bool) -> Saying:
        known = self.model.get(sid)
        return Saying(
            sid=sid,
            proof=known.token if known else "none",
            message_id=str(next(self.ids)),
            reply_id=str(next(self.ids)),
            text=text,
            normalised=text,
            locale="zh-CN",
            request_id="r",
            now_ms=1_760_000_000_000,
            idempotency_key=key,
            body_digest=text,
            cache_key=cache_name(text) if cacheable else "",
        )

    def accept(self, saying: Saying) -> None:
        known, accepting = self.model.get(saying.sid), self.sessions.accept(saying)
        if known is None:
            assert isinstance(self.refusal(accepting), NotFound)
            return
        earlier = known.keys.get(saying.idempotency_key)
        served = saying.cache_key and not known.running and saying.text in self.cached
        if earlier and earlier[0] != saying.body_digest:
            assert isinstance(self.refusal(accepting), Conflict)
        elif earlier:
            accepted = self.run(accepting)
            assert accepted.acceptance is Acceptance.REPLAYED
            assert (accepted.question.id, accepted.reply.id) == earlier[1:]
            self.check(accepted.reply, known.messages[earlier[2]])
        elif not served and len(self.queue) >= QUEUE_CAP:
            assert isinstance(self.refusal(accepting), Overloaded)
        else:
            accepted = self.run(accepting)
            assert accepted.acceptance is (Acceptance.CACHED if served else Acceptance.QUEUED)
            self.take_in(known, saying, accepted)

    def take_in(self, known: Modelled, saying: Saying, accepted: Accepted) -> None:
        """Log a question in the model, with its answer where the cache has given one."""
        question, reply = saying.message_id, saying.reply_id
        seq = known.append(question)
        known.messages[question] = Said(Role.USER, MessageState.COMPLETED, saying.text, seq)
        known.messages[reply] = Said(Role.BOT, MessageState.PENDING, "", seq)
        if saying.idempotency_key:
            known.keys[saying.idempotency_key] = (saying.body_digest, question, reply)
        if accepted.acceptance is Acceptance.CACHED:
            known.finish(reply, MessageState.COMPLETED, f"cached {saying.text}")
            assert accepted.reply.answer is not None
            assert accepted.reply.answer.served_by is ServedBy.CACHE
        elif known.running:
            known.waiting.append(reply)
        else:
            known.running = reply
            self.queue.append(Queued(saying.sid, reply))
        self.check(accepted.question, known.messages[question])
        self.check(accepted.reply, known.messages[reply])

    def hand_out(self, expected: list[Queued], taken: list[Job]) -> None:
        assert [job.reply_id for job in taken] == [queued.reply_id for queued in expected]
        for queued, job in zip(expected, taken, strict=True):
            queued.deliveries += 1
            queued.handed_out = job
            assert job.deliveries == queued.deliveries

    def end(self, queued: Queued, state: MessageState, text: str | None) -> bool:
        """A job has its end: its session goes on with the next question. True when its answer counted."""
        self.queue.remove(queued)
        self.let_go.append(queued)
        known = self.model.get(queued.sid)
        if known is None:
            self.forget(queued)
            return False
        given_up = text is None
        given = known.finish(queued.reply_id, state, text or "")
        if given and given_up:  # the words are the queue's own
            message = self.run(self.sessions.message(queued.sid, known.token, queued.reply_id))
            known.messages[queued.reply_id].text = message.text
            assert message.text
        if known.running == queued.reply_id:
            self.go_on(queued.sid, known)
        return given

    def forget(self, queued: Queued) -> None:
        """Whoever brings an answer that nobody waits for forgets what is cached for its question."""
        if queued.handed_out and queued.handed_out.cache_key:
            self.cached.discard(queued.handed_out.text)

    def go_on(self, sid: str, known: Modelled) -> None:
        """The running turn is over."""
        known.running = known.waiting.popleft() if known.waiting else ""
        if known.running:
            self.queue.append(Queued(sid, known.running))

    def check(self, message: Message, said: Said) -> None:
        assert (message.role, message.state, message.text, message.seq) == (said.role, said.state, said.text, said.seq)


def cache_name(text: str) -> str:
    return KEYS.faq_name("zh-CN", "v1", "extract", text)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MortalRedis]:
    server = MortalRedis(tmp_path)
    server.start()
    yield server
    server.kill()


def test_the_store_and_a_plain_model_of_sessions_never_tell_different_stories(server: MortalRedis) -> None:
    book = Book()
    SessionMachine.steps = 0
    run_state_machine_as_test(
        cast("type[SessionMachine]", partial(SessionMachine, server)),  # it calls it, and asks nothing else of it
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    if RUN == "full":
        book.note("model of a session", "no divergence", steps=SessionMachine.steps, divergences=0)
        assert SessionMachine.steps >= 10_000
