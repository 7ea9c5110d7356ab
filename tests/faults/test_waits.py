"""Waiting: no answer is delivered late because a wake-up was missed, and no message is missed by who goes away."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import islice

from faults.base import Bases
from faults.conftest import Build
from faults.figures import Book, count
from faults.ledger import reckon
from faults.load import Customer, customers, fresh_questions

READ_AGAIN_S = 1.0  # a wait whose wake-up was missed ends with the next look at the log
LATE_S = 0.3  # between a worker's word and the customer's ear; a stall is later than this, and ends with a look
PRESENT_S, AWAY_S = 0.3, 0.1


async def test_thousands_of_waits_end_when_their_answer_is_there(bases: Bases, build: Build, book: Book) -> None:
    each = count(small=10, full=100)
    house = await build()
    api, _ = await house.api_and_workers(1)
    waits: list[tuple[str, float, float]] = []  # request id, seconds waited, wall clock at delivery
    async with customers(100, api.url) as crowd:
        await asyncio.gather(*(_wait_often(one, each, waits) for one in crowd))
        told = await reckon(house.redis.url, crowd)
    answered_at = {line["request_id"]: _unix_s(line["timestamp"]) for line in house.said("answered")}
    late_s = {name: delivered - answered_at[name] for name, _, delivered in waits}
    stalls = [name for name, waited, _ in waits if late_s[name] > LATE_S and waited >= READ_AGAIN_S]
    in_order = sorted(late_s.values())
    book.note(
        "waits for an answer on one api process",
        "none ends only with the next look at the log although its answer was there",
        told,
        waits=len(waits),
        stalls=len(stalls),
        delivery_p50_ms=_ms(in_order[len(in_order) // 2]),
        delivery_p99_ms=_ms(in_order[len(in_order) * 99 // 100]),
        delivery_max_ms=_ms(in_order[-1]),
    )
    assert len(waits) == 100 * each
    assert stalls == []


async def _wait_often(customer: Customer, times: int, waits: list[tuple[str, float, float]]) -> None:
    """Ask and wait, or ask and poll, in turns."""
    for number, text in enumerate(islice(fresh_questions(), times)):
        request_id = f"{customer.session.sid}-{number}"
        started = time.monotonic()
        if number % 2:
            cursor = (await customer.pull(0)).body["meta"]["last_message_id"]
            asked = await customer.ask(text, Prefer="respond-async", X_Request_ID=request_id)
            started = time.monotonic()
            while asked.message["id"] not in {one["id"] for one in await _polled(customer, cursor)}:
                pass
        else:
            await customer.ask(text, X_Request_ID=request_id)
        waits.append((request_id, time.monotonic() - started, time.time()))
        await asyncio.sleep(random.uniform(0.0, 0.1))  # or all of them would come as one wave after the other


async def _polled(customer: Customer, cursor: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await customer.pull(cursor + 1, 10)).body["data"]
    return found


def _unix_s(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


async def test_a_customer_who_is_away_a_quarter_of_the_time_gets_every_message_once(
    bases: Bases, build: Build, book: Book
) -> None:
    each, people = count(small=25, full=200), 10
    house = await build()
    api, _ = await house.api_and_workers(1)
    async with customers(people, api.url) as crowd:
        found = await asyncio.gather(*(_talk_while_away(one, each) for one in crowd))
        told = await reckon(house.redis.url, crowd)
        expected = [await _everything(one) for one in crowd]
    missed = sum(len(everything - seen.keys()) for everything, (seen, _) in zip(expected, found, strict=True))
    again = sum(number - 1 for seen, _ in found for number in seen.values())
    book.note(
        "customers away 100 ms of every 400 ms, long poll",
        "every message is delivered once by id",
        replace(told, lost=told.lost + missed, twice=told.twice + again),
        customers=people,
        messages=sum(map(len, expected)),
        polls_broken_off=sum(broken for _, broken in found),
    )
    assert sum(map(len, expected)) == 2 * people * each
    assert (told.lost, told.twice, missed, again) == (0, 0, 0, 0)


async def _talk_while_away(customer: Customer, questions: int) -> tuple[Counter[str], int]:
    """Ask so many questions at random moments; meanwhile read on from a cursor, and break off again and again."""
    seen: Counter[str] = Counter()
    broken = cursor = 0
    talking = asyncio.create_task(_talk(customer, questions))
    while not talking.done() or sum(seen.values()) < 2 * questions:
        leaves = time.monotonic() + PRESENT_S
        try:
            while (left_s := leaves - time.monotonic()) > 0:
                async with asyncio.timeout(left_s):
                    page = (await customer.pull(cursor, 10)).body
                seen.update(one["id"] for one in page["data"])
                cursor = page["meta"]["last_message_id"]
        except TimeoutError:
            broken += 1
        await asyncio.sleep(AWAY_S)
    await talking
    return seen, broken


async def _talk(customer: Customer, questions: int) -> None:
    for text in islice(fresh_questions(), questions):
        await customer.ask(text, Prefer="respond-async")
        await asyncio.sleep(random.uniform(0.0, 0.3))


async def _everything(customer: Customer) -> set[str]:
    """The ids of all messages of a session, read at leisure."""
    ids: set[str] = set()
    cursor, more = 0, True
    while more:
        page = (await customer.pull(cursor)).body
        ids |= {one["id"] for one in page["data"]}
        cursor, more = page["meta"]["last_message_id"], page["meta"]["has_more"]
    return ids
