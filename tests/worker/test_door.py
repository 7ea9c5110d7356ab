"""CPU work leaves the event loop, one piece at a time."""

import asyncio
import threading
import time

import pytest

from qa_service.worker.door import Door


async def test_work_runs_off_the_event_loop_and_gives_its_result() -> None:
    async with Door() as door:
        assert await door(threading.current_thread) is not threading.current_thread()


async def test_the_event_loop_goes_on_meanwhile() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return may_end.wait(5)

    async with Door() as door:
        working = asyncio.create_task(door(work))
        while not begun.is_set():  # noqa: ASYNC110  # a thread wakes no event loop
            await asyncio.sleep(0.001)
        may_end.set()
        assert await working


async def test_no_two_pieces_run_at_once() -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)
        inside -= 1

    async with Door() as door:
        await asyncio.gather(*(door(work) for _ in range(8)))
    assert most == 1


async def test_an_error_inside_comes_out() -> None:
    async with Door() as door:
        with pytest.raises(ZeroDivisionError):
            await door(lambda: 1 / 0)
