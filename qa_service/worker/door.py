"""The one small bounded door through which CPU work leaves the event loop. It knows nothing of the work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self


class Door:
    """Runs pieces of work one at a time on a thread of its own: two at once make p99 collapse on shared cores."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answering")

    async def __call__(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the work gives
        """Give the result of `work`, run off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
