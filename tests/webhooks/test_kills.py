"""A dispatcher that is killed amid its work loses no event, and sends each under one id; 50 kills: tests/faults."""

from pathlib import Path

from webhooks.conftest import Open
from webhooks.killing import ALONE, kill_again_and_again
from webhooks.receivers import receiving


async def test_no_event_is_lost_by_kill_9_and_each_keeps_its_id(
    open_shop: Open, redis_url: str, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        shop = await open_shop()
        toll = await kill_again_and_again(shop, redis_url, receiver, tmp_path, kills=5, command=ALONE)
    assert (toll.lost, toll.foreign_ids, toll.undelivered) == (0, 0, 0), toll
    assert toll.events > 20
