"""A few begin in each turn of the event loop, in the order in which they came, and nobody waits who need not."""

import asyncio

from qa_service.api.turns import Turns


async def begun_by_turn(turns: Turns, callers: int) -> list[list[int]]:
    """Who begins in which turn, when as many come in one."""
    begun: list[list[int]] = [[]]

    async def caller(number: int) -> None:
        await turns.take()
        begun[-1].append(number)

    tasks = [asyncio.create_task(caller(number)) for number in range(callers)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        begun.append([])
    return [one for one in begun if one]


async def test_a_crowd_begins_a_few_a_turn_and_in_order() -> None:
    begun = await begun_by_turn(Turns(3), 10)
    assert [number for turn in begun for number in turn] == list(range(10))
    assert max(map(len, begun)) == 3


async def test_what_else_is_ready_runs_before_the_crowd_is_through() -> None:
    turns, seen = Turns(2), []

    async def caller(number: int) -> None:
        await turns.take()
        seen.append(number)

    crowd = [asyncio.create_task(caller(number)) for number in range(50)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(seen.append, -1)
    await asyncio.gather(*crowd)
    assert seen.index(-1) < 10


async def test_alone_nobody_waits() -> None:
    turns = Turns(1)
    for _ in range(3):
        taking = turns.take()
        try:
            taking.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)


async def test_who_has_gone_takes_no_place_and_holds_nobody_up() -> None:
    turns = Turns(1)
    crowd = [asyncio.create_task(turns.take()) for _ in range(6)]
    await asyncio.sleep(0)
    for gone in crowd[1:4]:
        gone.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(*crowd, return_exceptions=True)
        await turns.take()  # and it serves on
    assert [one.cancelled() for one in crowd] == [False, True, True, True, False, False]
