"""A worker made of the service's own parts around an Ask that dies of some questions, takes its time, or writes slowly.

`python -m faults.odd_worker --die-on TEXT --least-s X --most-s Y --piece-s Z`: only tests start it. It answers from
the version that is active when it starts.
"""

import asyncio
import os
import random
import signal
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import cast

import structlog

from qa_service.answering.ask import Ask, Outcome
from qa_service.answering.ports import Pens
from qa_service.domain.question import Question
from qa_service.generation.extractive import ExtractiveGenerator
from qa_service.logs import configure_logs
from qa_service.main import make_ask, open_version, redis_address, versions_of
from qa_service.settings import Settings, load_settings
from qa_service.store.answer_cache import RedisAnswerCache
from qa_service.store.connection import open_redis
from qa_service.store.index_roll import RedisIndexRoll
from qa_service.store.jobs import JobQueue
from qa_service.store.keys import Keys
from qa_service.store.pens import RedisPens
from qa_service.store.sessions import RedisSessions
from qa_service.worker.door import Door
from qa_service.worker.worker import Bot, Worker

WRITTEN = tuple(f"第{number}句😀。" for number in range(20))
AGAIN = "重写"  # in a question
_BEAT_EVERY_S = 0.25

log = structlog.get_logger(__name__)


class OddAsk:
    """A real Ask with a fault in front of it."""

    def __init__(self, ask: Ask, pens: Pens, oddities: Namespace) -> None:
        self.version = ask.version
        self.explain = ask.explain
        self._ask = ask
        self._pens = pens
        self._oddities = oddities

    async def __call__(self, questions: Sequence[Question]) -> list[Outcome]:
        """Die of a marked question, as a crash in native code would kill the process; else wait, then answer."""
        marker = self._oddities.die_on
        if marker and any(marker in question.text for question in questions):
            os._exit(9)
        await asyncio.sleep(random.uniform(self._oddities.least_s, self._oddities.most_s))
        if self._oddities.piece_s:
            await asyncio.gather(*(self._write(question) for question in questions if question.reply_id))
        return await self._ask(questions)

    async def _write(self, question: Question) -> None:
        """Write as a slow model would; where the question says so, the first attempt fails in the middle."""
        pen = self._pens.pen(question)
        for number, piece in enumerate(WRITTEN):
            if AGAIN in question.text and number == len(WRITTEN) // 2 and not await pen.restart():
                return
            if not await pen.write(piece):
                log.info("no longer wanted", reply_id=question.reply_id, pieces=number)
                return
            await asyncio.sleep(self._oddities.piece_s)


async def _work(settings: Settings, oddities: Namespace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    keys, client = Keys(tenant=settings.knowledge_base), open_redis(redis_address(settings))
    version = versions_of(settings).active()
    assert version is not None
    consumer = f"{socket.gethostname()}-{os.getpid()}"
    async with Door() as door:
        ask = make_ask(open_version(settings, version), RedisAnswerCache(client, keys), door)
        odd = cast("Ask", OddAsk(ask, RedisPens(client, keys), oddities))
        worker = Worker(
            jobs=JobQueue(client, keys, consumer=consumer, claim_idle_ms=settings.claim_idle_ms),
            sessions=RedisSessions(client, keys),
            bots={settings.knowledge_base: Bot(current=lambda: odd)},
            batch=settings.batch,
            claim_idle_ms=settings.claim_idle_ms,
        )
        roll = RedisIndexRoll(client, keys, worker=consumer, generator=ExtractiveGenerator.fingerprint)
        beating = asyncio.create_task(_beat(roll, version))
        log.info("index in force", version=version)
        await worker.run(stop)
        beating.cancel()
        await roll.leave()
    await client.aclose()


async def _beat(roll: RedisIndexRoll, version: str) -> None:
    while True:
        await roll.beat(wanted=version, ready=version)
        await asyncio.sleep(_BEAT_EVERY_S)


def main() -> None:
    """Work until SIGTERM."""
    parser = ArgumentParser()
    parser.add_argument("--die-on", default="")
    parser.add_argument("--least-s", type=float, default=0.0)
    parser.add_argument("--piece-s", type=float, default=0.0)
    parser.add_argument("--most-s", type=float, default=0.0)
    settings = load_settings()
    configure_logs(settings.log_level, process="worker")
    asyncio.run(_work(settings, parser.parse_args()))


if __name__ == "__main__":
    main()
