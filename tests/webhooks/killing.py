"""A dispatcher in a process of its own that is killed again and again, and what its receiver has got in the end."""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from api.service import ROOT

from qa_service.domain.webhook import DeliveryState, delivery_id
from webhooks.conftest import Shop
from webhooks.receivers import Receiver

_STARTS_WITHIN_S = 60.0
_SETTLES_WITHIN_S = 300.0  # what gathered while dispatchers were starting
SERVED = ("-m", "qa_service.cli", "webhooks")
ALONE = ("-m", "webhooks.alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """What became of the events that happened while dispatchers were killed."""

    kills: int
    events: int
    lost: int
    foreign_ids: int  # requests whose webhook-id is none of those that the events have
    requests: int
    undelivered: int  # by the list of deliveries
    killed_with_something_under_way: int


async def flaky(_: Receiver, _request: web.Request) -> web.StreamResponse:
    """Take a moment, in which a kill may come, and fail now and then."""
    await asyncio.sleep(random.uniform(0, 0.05))
    return web.Response(status=500 if random.random() < 0.2 else 200)


class Mortal:
    """The `webhooks` process."""

    def __init__(self, command: Sequence[str], redis_url: str, partitions: int, receiver: Receiver, log: Path) -> None:
        given = {
            "redis_url": redis_url,
            "redis_partitions": str(partitions),
            "webhook_private_hosts": receiver.place,
            "webhook_retries_s": "0,0.05,0.1,0.2,0.5,1,1,1,1,1",
            "webhook_timeout_s": "0.5",
        }
        named = {f"QA_{name.upper()}": value for name, value in given.items()}
        self._environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **named}
        self._command = [sys.executable, *command]
        self._log = log

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def end(self) -> None:
        self.process.terminate()
        assert await asyncio.to_thread(self.process.wait, 15) == 0


async def kill_again_and_again(
    shop: Shop, redis_url: str, receiver: Receiver, folder: Path, *, kills: int, command: Sequence[str] = SERVED
) -> Toll:
    """Let sessions talk all the while, kill the dispatcher amid its work, start it again, and count."""
    receiver.react = flaky
    endpoint = await shop.hook(receiver.url, "session.created", "message.completed")
    mortal = Mortal(command, redis_url, shop.keys.partitions, receiver, folder / "webhooks.log")
    expected: set[str] = set()
    stop, under_way = asyncio.Event(), 0

    async def talk() -> None:
        while not stop.is_set():
            sid = await shop.open()
            await shop.talk(sid)
            expected.update(delivery_id(endpoint.id, sid, seq) for seq in (1, 3))
            await asyncio.sleep(random.uniform(0.1, 0.4))

    talking = asyncio.create_task(talk())
    mortal.start()
    try:
        for _ in range(kills):
            before = len(receiver.got)
            async with asyncio.timeout(_STARTS_WITHIN_S):
                while len(receiver.got) < before + 3:  # noqa: ASYNC110  # it is at work
                    await asyncio.sleep(0.005)
            await asyncio.sleep(random.uniform(0, 0.1))
            mortal.kill()
            newest = await shop.desk.deliveries(endpoint.id, 1000)
            under_way += any(one.state is DeliveryState.PENDING for one in newest)
            mortal.start()
        stop.set()
        await talking
        async with asyncio.timeout(_SETTLES_WITHIN_S):
            while await shop.waiting() or not expected <= {one.webhook_id for one in receiver.got}:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)
        await shop.settled(endpoint, 30)
    except TimeoutError:
        pass  # the toll tells
    finally:
        stop.set()
        await talking
        await mortal.end()
    got = Counter(one.webhook_id for one in receiver.got)
    deliveries = await shop.desk.deliveries(endpoint.id, 1000)
    return Toll(
        kills=kills,
        events=len(expected),
        lost=len(expected - got.keys()),
        foreign_ids=len(got.keys() - expected),
        requests=got.total(),
        undelivered=sum(one.state is not DeliveryState.DELIVERED for one in deliveries),
        killed_with_something_under_way=under_way,
    )
