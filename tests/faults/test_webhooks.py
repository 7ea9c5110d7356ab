"""The dispatcher killed again and again while sessions talk: every event arrives, under the one id that it has."""

from dataclasses import asdict
from pathlib import Path

from webhooks.conftest import Shop
from webhooks.killing import kill_again_and_again
from webhooks.receivers import receiving

from faults.figures import Book, count
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys


async def test_a_dispatcher_that_is_killed_again_and_again_loses_no_event(
    redis_url: str, tmp_path: Path, book: Book
) -> None:
    client = open_redis(redis_url, timeout_s=5.0)
    shop = Shop(client=client, keys=Keys(tenant="shop", partitions=2))
    async with receiving() as receiver:
        toll = await kill_again_and_again(shop, redis_url, receiver, tmp_path, kills=count(small=5, full=50))
    await client.aclose()
    counts = {name: value for name, value in asdict(toll).items() if name != "lost"}
    book.note("webhook dispatcher killed", "every event arrives under its one id", lost_events=toll.lost, **counts)
    assert (toll.lost, toll.foreign_ids, toll.undelivered) == (0, 0, 0), toll
    assert toll.killed_with_something_under_way > 0
