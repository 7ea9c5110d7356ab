"""The queue under poison, haste, repetition and too much of everything."""

import asyncio
import itertools
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from faults.base import Bases
from faults.conftest import Build
from faults.figures import Book, count
from faults.house import House, eventually
from faults.ledger import reckon
from faults.load import Customer, Reply, asking, customers, fresh_questions
from qa_service.store.jobs import JobQueue

DEADLY = "必死"
PLACEHOLDER_S = 2.5


async def test_a_question_that_kills_every_worker_is_given_up_and_harms_no_other(
    bases: Bases, build: Build, book: Book
) -> None:
    house = await build(claim_idle_ms="300")
    workers = [await house.odd_worker(die_on=DEADLY) for _ in range(2)]
    api = await house.api()
    deaths = 0
    async with customers(8, api.url) as crowd, customers(1, api.url) as [victim]:
        async with asking(crowd, fresh_questions()):
            reply = await victim.ask(f"{DEADLY}的问题", Prefer="respond-async")

            async def is_failed() -> bool:
                nonlocal deaths
                for worker in workers:
                    if not worker.alive():
                        deaths += 1
                        worker.start()
                return await state_of(victim, reply) == "failed"

            assert await eventually(is_failed, 90)
        told = await reckon(house.redis.url, crowd)
    [letter] = await JobQueue(house.client, house.keys, consumer="reader").dead_letters()
    book.note(
        "a question that kills its worker",
        "given up after 5 deliveries, its message failed, the others answered, once",
        told,
        deaths=deaths,
        deliveries=letter.deliveries,
        others_failed=told.failed,
    )
    assert (told.lost, told.twice, told.failed) == (0, 0, 0)
    assert letter.deliveries == deaths == 5
    assert letter.job is not None
    assert letter.job.reply_id == reply.message["id"]


async def state_of(customer: Customer, reply: Reply) -> str:
    """The present state of an answer."""
    path = f"{customer.path}/messages/{reply.message['id']}"
    read = await customer.insist("GET", path, headers=customer.heads("", {}))
    return str(read.body["data"]["attributes"]["state"])


async def test_twenty_questions_said_without_waiting_are_answered_in_order_each_with_its_own_answer(
    bases: Bases, build: Build, book: Book
) -> None:
    sessions, at_once = count(small=5, full=100), 20
    house = await build()
    for _ in range(4):
        await house.odd_worker(most_s=0.05)
    api = await house.api()
    asked = list(itertools.islice(bases.questions, at_once))
    wrong = 0
    async with customers(sessions, api.url) as crowd:
        for customer in crowd:
            for text in asked:
                await customer.ask(text, Prefer="respond-async")
        told = await reckon(house.redis.url, crowd)
        for customer in crowd:
            wrong += sum(said != f"甲 {bases.questions[text]}" for text, said in await answers(customer))
    book.note(
        "20 questions of a session without waiting, 4 workers",
        "answered in the order in which they were asked, each answer names its question and fits it",
        told,
        sessions=sessions,
        in_order=told.in_order,
        answers_to_another_question=wrong,
    )
    assert told.answered == sessions * at_once
    assert told.in_order
    assert (told.lost, told.twice, wrong) == (0, 0, 0)


async def answers(customer: Customer) -> list[tuple[str, str]]:
    """Each question of the present session with the answer that names it."""
    messages = {one["id"]: one["attributes"] for one in (await customer.pull(0)).body["data"]}
    bot = [one for one in messages.values() if one["role"] == "bot"]
    return [(messages[one["in_reply_to"]]["text"], one["text"]) for one in bot]


async def test_five_hundred_identical_questions_at_once_are_computed_a_handful_of_times(
    bases: Bases, build: Build, book: Book
) -> None:
    house = await build()
    api, _ = await house.api_and_workers(2)
    question = next(iter(bases.questions))
    async with customers(500, api.url) as crowd:
        replies = await asyncio.gather(*(one.ask(question, Prefer="wait=30") for one in crowd))
        told = await reckon(house.redis.url, crowd)
    computed = {one.body["meta"]["request_id"] for one in replies if one.message.get("served_by") != "cache"}
    # A batch computes a question once, and its lines in the log tell the same time.
    batches = {line["elapsed_ms"] for line in house.said("answered") if line["request_id"] in computed}
    book.note(
        "500 identical questions at once on a cold cache",
        "computed once by each worker at most; the others are served from the cache or share a batch",
        told,
        callers=len(replies),
        not_from_the_cache=len(computed),
        computations=len(batches),
    )
    assert told.answered == len(crowd)
    assert (told.lost, told.twice) == (0, 0)
    assert 1 <= len(batches) <= 4


def resident_mb(pid: int) -> float:
    """Memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def test_a_full_queue_refuses_with_a_time_to_come_back_and_answers_what_it_took(
    bases: Bases, build: Build, book: Book
) -> None:
    cap, seconds = 50, count(small=5, full=60)
    house = await build(queue_cap=str(cap), batch="8")
    await house.odd_worker(least_s=0.1, most_s=0.1)  # 80 questions a second at most
    api = await house.api()
    refusals: list[Reply] = []
    deepest = 0
    async with customers(150, api.url) as crowd:
        await flood(crowd, refusals, 2.0)
        before = (resident_mb(api.pid), await used_mb(house), taken(crowd))
        flooding = asyncio.create_task(flood(crowd, refusals, seconds))
        while not flooding.done():
            deepest = max(deepest, await house.backlog())
            await asyncio.sleep(0.05)
        await flooding
        grown_mb = resident_mb(api.pid) - before[0]
        told = await reckon(house.redis.url, crowd)
    kept_bytes = (await used_mb(house) - before[1]) * 2**20 / max(1, taken(crowd) - before[2])
    reasons = Counter((one.status, one.body["errors"][0]["code"]) for one in refusals)
    book.note(
        "queue full, producers far beyond the worker",
        "503 with Retry-After past the cap, every accepted question answered, memory flat",
        told,
        refused={f"{status} {code}": number for (status, code), number in reasons.items()},
        cap=cap,
        deepest_backlog=deepest,
        api_grown_mb=round(grown_mb, 1),
        redis_bytes_an_accepted=round(kept_bytes),
    )
    assert (told.lost, told.twice, told.failed) == (0, 0, 0)
    assert reasons[503, "queue-full"] > told.acknowledged
    assert set(reasons) <= {(503, "queue-full"), (429, "too-many-pending")}
    assert all(int(one.headers["retry-after"]) >= 1 for one in refusals)
    assert deepest <= cap
    assert grown_mb < 16
    assert kept_bytes < 8192  # a question and its answer stay in the log for a day; refused ones leave nothing


async def flood(crowd: list[Customer], refusals: list[Reply], seconds: float) -> None:
    """Ask and ask again, without waiting for an answer and without patience after a refusal."""
    ends, texts = time.monotonic() + seconds, fresh_questions()

    async def press(customer: Customer) -> None:
        while time.monotonic() < ends:
            if len(customer.session.replies) >= 100:
                await customer.open()
            reply = await customer.ask_once(next(texts), Prefer="respond-async")
            if reply.status >= 300:
                refusals.append(reply)

    await asyncio.gather(*(press(customer) for customer in crowd))


def taken(crowd: list[Customer]) -> int:
    """Questions that were accepted so far."""
    return sum(len(session.replies) for customer in crowd for session in customer.sessions)


async def used_mb(house: House) -> float:
    """Memory that Redis holds for data."""
    return float((await house.client.info("memory"))["used_memory"]) / 2**20


async def test_the_placeholder_leaves_in_time_while_a_worker_takes_ten_seconds_and_the_answer_is_back_filled(
    bases: Bases, build: Build, book: Book
) -> None:
    rounds, slow_s, at_once = count(small=1, full=5), 10.0, 12
    house = await build()
    worker = await house.odd_worker(least_s=slow_s, most_s=slow_s)
    api = await house.api()
    replies: list[Reply] = []
    async with customers(at_once, api.url) as crowd:
        for _ in range(rounds):
            worker.send(signal.SIGSTOP)
            await asyncio.sleep(0.7)  # until Redis has forgotten that it waits: it is to find all questions at once
            asked = [asyncio.create_task(one.ask(next(fresh_questions()))) for one in crowd]
            await eventually(partial(_all_wait, house, at_once), 2)
            worker.send(signal.SIGCONT)
            replies += await asyncio.gather(*asked)
            await reckon(house.redis.url, crowd)  # the next round begins when this one is over
        told = await reckon(house.redis.url, crowd)
    took_s = sorted(one.elapsed_s for one in replies)
    deliveries = max(line["deliveries"] for line in house.said("answered"))
    book.note(
        "worker takes 10 s",
        "placeholder at 2.5 +- 0.2 s, every answer back-filled, none delivered to a second worker meanwhile",
        told,
        placeholders=sum(one.status == 202 for one in replies),
        fastest_s=round(took_s[0], 2),
        slowest_s=round(took_s[-1], 2),
        most_deliveries=deliveries,
    )
    assert [one.status for one in replies] == [202] * len(replies)
    assert all("正在思考中" in one.message["text"] for one in replies)
    assert abs(took_s[0] - PLACEHOLDER_S) <= 0.2
    assert abs(took_s[-1] - PLACEHOLDER_S) <= 0.2
    assert (told.lost, told.twice, told.answered) == (0, 0, len(replies))
    assert deliveries == 1


async def _all_wait(house: House, number: int) -> bool:
    return await house.backlog() >= number


async def test_the_same_key_fifty_times_at_once_later_and_with_another_body_is_one_question(
    bases: Bases, build: Build, book: Book
) -> None:
    keys, at_once = count(small=5, full=100), 50
    house = await build()
    api, _ = await house.api_and_workers(2)
    differing = later_differing = accepted_bodies = 0
    async with customers(keys, api.url) as crowd:
        for customer in crowd:
            text = next(fresh_questions())
            replies = await asyncio.gather(*(customer.ask(text, key="same") for _ in range(at_once)))
            differing += len({str((one.message, one.body["included"])) for one in replies}) - 1
            later = await customer.ask(text, key="same")
            later_differing += later.body["data"] != replies[0].body["data"]
            other = await customer.ask_once(text + "吗", key="same")
            accepted_bodies += other.status != 422
            assert later.headers["idempotent-replayed"] == "true"
        told = await reckon(house.redis.url, crowd)
    book.note(
        "one key 50 times at once, once more later, once with another body",
        "one question and one answer, the same reply every time, 422 for the other body",
        told,
        keys=keys,
        requests=keys * (at_once + 2),
        differing_replies=differing + later_differing,
        other_bodies_taken=accepted_bodies,
    )
    assert told.acknowledged == told.answered == keys
    assert (told.lost, told.twice, differing, later_differing, accepted_bodies) == (0, 0, 0, 0, 0)
