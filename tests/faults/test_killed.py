"""Processes that die or freeze while questions are under way: nothing acknowledged is lost or answered twice."""

import asyncio
import itertools
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from api.service import Service, serving
from redis.asyncio import Redis

from faults.base import Bases
from faults.conftest import Build
from faults.figures import Book, count
from faults.house import House, Part, eventually, killed
from faults.ledger import Reckoning, reckon
from faults.load import Customer, asking, customers, fresh_questions
from qa_service.store.keys import Keys

CROWD = 16


def mixed(bases: Bases) -> Iterator[str]:
    """Mostly questions that a worker has to answer, and every fourth one that the cache may know."""
    known, fresh = itertools.cycle(bases.questions), fresh_questions()
    for number in itertools.count():
        yield next(known) if number % 4 == 0 else next(fresh)


def redis_of(service: Service, folder: Path) -> str:
    """Where the private Redis of a served house listens: its folder is too long a path for a socket, or it is not."""
    state = folder / "state"
    record = state / "redis.sock-folder"
    return f"unix://{record.read_text() if record.exists() else state}/redis.sock"


def passed(told: Reckoning) -> bool:
    """Whether everything acknowledged was answered, once."""
    return (told.lost, told.twice, told.failed) == (0, 0, 0) and told.answered == told.acknowledged > 0


async def test_a_redis_that_is_killed_again_and_again_loses_no_acknowledged_question(
    bases: Bases, tmp_path: Path, book: Book
) -> None:
    kills = count(small=3, full=20)
    with serving(tmp_path, bases.indexes) as service:
        url = redis_of(service, tmp_path)
        async with customers(CROWD, service.url) as crowd, asking(crowd, mixed(bases)):
            for _ in range(kills):
                await asyncio.sleep(random.uniform(0.5, 1.5))
                await killed(service, "redis")
        told = await reckon(url, crowd)
        unexpected = len(service.log("unexpected error")) + len(service.log("batch failed"))
    book.note(
        "redis killed under load",
        "every question acknowledged with 201 or 202 is answered, once; append-only file flushed every second",
        told,
        kills=kills,
        unexpected_errors=unexpected,
    )
    assert passed(told), told
    assert unexpected == 0


async def bring_back(house: House, worker: Part) -> None:
    """What a supervisor does."""
    worker.start()
    await house.at_work(worker)


async def holding(house: House, workers: list[Part], least: int = 1) -> Part:
    """Wait until some worker has questions in hand, and give that one."""
    while True:
        for worker in random.sample(workers, len(workers)):
            if worker.alive() and await house.in_hand(worker) >= least:
                return worker


async def test_workers_that_are_killed_in_the_middle_of_an_answer_lose_and_repeat_nothing(
    bases: Bases, build: Build, book: Book
) -> None:
    kills, in_hand = count(small=4, full=100), 0
    house = await build(claim_idle_ms="500")
    api, workers = await house.api_and_workers(2)
    async with customers(CROWD, api.url) as crowd, asking(crowd, mixed(bases)):
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0, 0.3))
            worker = await holding(house, workers)
            worker.kill()
            in_hand += await house.in_hand(worker)
            await bring_back(house, worker)
    told = await reckon(house.redis.url, crowd)
    taken_over = sum(line["deliveries"] > 1 for line in house.said("answered"))
    book.note(
        "workers killed in the middle of an answer",
        "every question acknowledged is answered, once",
        told,
        kills=kills,
        questions_in_hand_at_kills=in_hand,
        answered_after_takeover=taken_over,
    )
    assert passed(told), told
    assert in_hand > 0


async def test_workers_that_freeze_past_their_claim_and_wake_up_late_answer_nothing_twice(
    bases: Bases, build: Build, book: Book
) -> None:
    pauses, in_hand = count(small=4, full=50), 0
    house = await build(claim_idle_ms="200")
    api, workers = await house.api_and_workers(2)
    async with customers(CROWD, api.url) as crowd, asking(crowd, mixed(bases)):
        for _ in range(pauses):
            await asyncio.sleep(random.uniform(0, 0.3))
            worker = await holding(house, workers)
            worker.send(signal.SIGSTOP)
            in_hand += await house.in_hand(worker)
            await eventually(partial(_has_nothing, house, worker), 5)
            worker.send(signal.SIGCONT)
    told = await reckon(house.redis.url, crowd)
    taken_over = sum(line["deliveries"] > 1 for line in house.said("answered"))
    book.note(
        "workers frozen past their claim",
        "what was taken over is not answered again when its first worker wakes up",
        told,
        pauses=pauses,
        questions_in_hand_at_pauses=in_hand,
        answered_after_takeover=taken_over,
    )
    assert passed(told), told
    assert taken_over > 0


async def _has_nothing(house: House, worker: Part) -> bool:
    return await house.in_hand(worker) == 0


async def test_an_api_process_killed_between_taking_a_question_and_replying_makes_no_second_one(
    bases: Bases, tmp_path: Path, book: Book
) -> None:
    kills, waiting = count(small=2, full=20), 0
    with serving(tmp_path, bases.indexes) as service:
        url = redis_of(service, tmp_path)
        async with customers(8, service.url) as crowd, Redis.from_url(url) as redis:
            for _ in range(kills):
                with service.paused("worker"):
                    asked = [asyncio.create_task(one.ask(next(fresh_questions()))) for one in crowd]
                    await eventually(lambda: _queued(redis, len(crowd)), 5)
                    waiting += await redis.xlen(Keys(tenant="shop").queue(0))
                    await killed(service, "api")
                await asyncio.gather(*asked)
            cut = sum(customer.seen.cut for customer in crowd)
        told = await reckon(url, crowd)
    book.note(
        "api killed between taking a question and replying",
        "the customer's retry under the same key finds its question: one question, one answer",
        told,
        kills=kills,
        questions_waiting_at_kills=waiting,
        replies_cut_off=cut,
    )
    assert passed(told), told
    assert told.acknowledged == kills * len(crowd)
    assert waiting == kills * len(crowd) <= cut


async def _queued(redis: "Redis", number: int) -> bool:
    return int(await redis.xlen(Keys(tenant="shop").queue(0))) >= number


async def test_a_rolling_stop_of_everything_fails_no_request(bases: Bases, build: Build, book: Book) -> None:
    rounds = count(small=1, full=5)
    house = await build()
    first, workers = await house.api_and_workers(2)
    second = await house.api()
    async with customers(CROWD, first.url, second.url) as crowd:
        for customer in crowd[::2]:
            customer.turn_away()  # half of them talk to the second API process
        async with asking(crowd, mixed(bases)):
            codes = [code for _ in range(rounds) for code in await roll(house, [first, second], workers)]
    told = await reckon(house.redis.url, crowd)
    failed, refused, cut = (sum(of(one) for one in crowd) for of in (_failures, _refused, _cut))
    book.note(
        "rolling stop of 2 api and 2 worker processes",
        "no request fails beyond a refused connection, after which the customer turns to the other process",
        told,
        stops=len(codes),
        failed_requests=failed,
        connections_refused=refused,
        connections_closed_before_an_answer=cut,
    )
    assert passed(told), told
    assert failed == 0
    assert cut == 0
    assert set(codes) <= {0, -signal.SIGTERM}  # uvicorn passes the signal on once it has stopped in order


async def roll(house: House, apis: list[Part], workers: list[Part]) -> list[int]:
    """Stop each process and start it again, one after the other, and give their exit codes."""
    codes = []
    for part in (*apis, *workers):
        await asyncio.sleep(0.5)
        codes.append(await part.end())
        part.start()
        await (house.ready(part) if part in apis else house.at_work(part))
    return codes


def _failures(customer: Customer) -> int:
    return customer.seen.failures()


def _refused(customer: Customer) -> int:
    return customer.seen.refused


def _cut(customer: Customer) -> int:
    return customer.seen.cut
