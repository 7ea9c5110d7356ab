"""How many frames may begin in one turn of the event loop: what is to be told must not wait behind all that is asked.

Five hundred frames of one instant, begun in one turn, kept every event of that process waiting for a third of a second.
"""

import asyncio
from collections import deque

AT_ONCE = 1  # of 1, 2, 4, 8 and all: 41, 49, 85, 90 and 220 ms until the slowest hundredth of events was told


class Turns:
    """Lets `at_once` callers on in each turn of the event loop, first come, first served. It waits for nothing else."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._begun = 0  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Go on in this turn, or in the first that has room."""
        loop = asyncio.get_running_loop()
        if self._begun == 0:
            loop.call_soon(self._next)
        if self._begun < self._at_once:
            self._begun += 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever waited may have gone
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)
