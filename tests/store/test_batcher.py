"""Commands that leave together: few round trips, and every caller hears its own reply and nobody else's failure."""

import asyncio
import signal
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from qa_service.domain.errors import StoreUnavailable
from qa_service.store.batcher import Batcher
from qa_service.store.scripts import Call, Script
from store.conftest import Connect, MortalRedis

SOURCE = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
ADD = Script(source=SOURCE, sha="8cd00688c05c46bde4a2e60658ef20a2e5c0b248")
SLOW = ("EVAL", "local t = redis.call('TIME') for i = 1, 400000 do t = i end return 1", 0)


@pytest.fixture
def batcher(client: Redis) -> Batcher:
    return Batcher(client)


async def reads(client: Redis) -> int:
    """How often the server has read from its sockets."""
    return int((await client.info("stats"))["total_reads_processed"])


async def test_two_hundred_commands_at_once_take_a_few_round_trips_and_each_gets_its_own_reply(
    client: Redis, batcher: Batcher
) -> None:
    await client.ping()  # both counts are taken over a connection that stands
    before = await reads(client)
    replies = await asyncio.gather(*(batcher.execute(("ECHO", f"said {n}")) for n in range(200)))
    taken = await reads(client) - before
    assert replies == [f"said {n}".encode() for n in range(200)]
    assert taken < 10


async def test_more_commands_than_a_batch_holds_are_all_answered_in_order(client: Redis, batcher: Batcher) -> None:
    replies = await asyncio.gather(*(batcher.execute(("RPUSH", "list", n)) for n in range(1000)))
    assert sorted(replies) == list(range(1, 1001))
    assert await asyncio.gather(*(batcher.execute(("ECHO", n)) for n in range(600))) == [b"%d" % n for n in range(600)]


async def test_what_is_asked_while_batches_are_under_way_is_answered_after_them(batcher: Batcher) -> None:
    first = asyncio.ensure_future(batcher.execute(SLOW))
    await asyncio.sleep(0.001)
    second = asyncio.ensure_future(batcher.execute(SLOW))
    await asyncio.sleep(0.001)
    later = await asyncio.gather(*(batcher.execute(("ECHO", n)) for n in range(50)))
    assert later == [b"%d" % n for n in range(50)]
    assert [await first, await second] == [1, 1]


async def test_a_command_that_redis_refuses_fails_its_caller_alone(client: Redis, batcher: Batcher) -> None:
    await client.set("text", "x")
    commands = [("ECHO", str(n)) if n != 7 else ("LLEN", "text") for n in range(20)]
    replies = await asyncio.gather(*map(batcher.execute, commands), return_exceptions=True)
    refused = replies.pop(7)
    assert isinstance(refused, ResponseError)
    assert "WRONGTYPE" in str(refused)
    assert replies == [b"%d" % n for n in range(20) if n != 7]


async def test_a_mistake_inside_a_script_is_not_taken_for_a_redis_that_is_away(client: Redis, batcher: Batcher) -> None:
    await client.set("text", "x")
    with pytest.raises(ResponseError, match="not an integer"):
        await batcher.run(Call(script=ADD, keys=["text"], args=[1]))


async def test_a_script_that_redis_forgot_is_sent_again_and_runs_once_a_caller(client: Redis, batcher: Batcher) -> None:
    await client.script_flush()
    call = Call(script=ADD, keys=["sum"], args=[1])
    assert sorted(await asyncio.gather(*(batcher.run(call) for _ in range(30)))) == list(range(1, 31))
    await client.script_flush()
    assert await batcher.run(call) == 31


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.003])
async def test_a_caller_that_is_cancelled_takes_nobody_with_it(batcher: Batcher, delay_s: float) -> None:
    callers = [asyncio.ensure_future(batcher.execute(("ECHO", n))) for n in range(40)]
    await asyncio.sleep(delay_s)
    for caller in callers[::3]:
        caller.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)
    assert [one for n, one in enumerate(ended) if n % 3] == [b"%d" % n for n in range(40) if n % 3]
    assert await batcher.execute(("ECHO", "mine")) == b"mine"


async def failures(batcher: Batcher, callers: int) -> tuple[list[object], float]:
    """What as many calls at once end with, and how long that took (seconds)."""
    began = time.monotonic()
    calls = (batcher.run(Call(script=ADD, keys=["sum"], args=[1])) for _ in range(callers))
    ended = await asyncio.gather(*calls, return_exceptions=True)
    return list(ended), time.monotonic() - began


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_redis_that_is_away_fails_every_caller_in_time_and_serves_again_when_it_is_back(
    connect: Connect, mortal_redis: MortalRedis, fault: str
) -> None:
    batcher = Batcher(connect(mortal_redis.url))
    await batcher.run(Call(script=ADD, keys=["warm"], args=[1]))
    if fault == "killed":
        mortal_redis.kill()
    else:
        mortal_redis.send(signal.SIGSTOP)
    ended, took_s = await failures(batcher, 700)  # more than the batches under way hold
    if fault == "killed":
        mortal_redis.start()
    else:
        mortal_redis.send(signal.SIGCONT)
    assert {type(one) for one in ended} == {StoreUnavailable}
    assert took_s < 3  # two rounds of half a second on a busy machine, and not one for each caller
    assert await batcher.run(Call(script=ADD, keys=["again"], args=[5])) == 5


async def test_a_text_that_cannot_be_sent_fails_its_own_command_alone(client: Redis) -> None:
    batcher = Batcher(client)
    sent = [batcher.execute(("ECHO", text)) for text in ("a", "\ud800", "c")]
    first, broken, last = await asyncio.gather(*sent, return_exceptions=True)
    assert (first, last) == (b"a", b"c")
    assert isinstance(broken, UnicodeEncodeError)
