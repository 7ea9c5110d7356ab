"""Redis commands of one process, sent together: what is asked while a batch is under way leaves in the next pipeline.

redis-py spends more on a command than Redis does; 32 questions at once cost a few round trips instead of 32. It knows
nothing of what the commands mean.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from qa_service.store.connection import translated
from qa_service.store.scripts import Call

Command: TypeAlias = Sequence[str | bytes | int]

_UNDER_WAY = 2  # batches at once: while one is with Redis, the next can be written
_LARGEST = 256  # commands of one batch, so that a reply stays small


class Batcher:
    """Runs commands and scripts of one client; nothing waits longer than for the batch before it."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, call: Call) -> Any:  # noqa: ANN401  # whatever the script returns
        """Run a script by its digest.

        Raises:
            StoreUnavailable: Redis cannot serve.
        """
        command = ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
        with translated():
            try:
                return await self.execute(command)
            except NoScriptError:
                # Nothing was run, so that running it now is no retry.
                await self.execute(("SCRIPT", "LOAD", call.script.source))
                return await self.execute(command)

    async def execute(self, command: Command) -> Any:  # noqa: ANN401  # whatever Redis replies
        """Give Redis's reply to one command; errors are redis-py's own.

        Raises:
            UnicodeEncodeError: a text cannot be sent. Found here, it fails this command and not its whole batch.
        """
        command = [part.encode() if isinstance(part, str) else part for part in command]
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if len(self._under_way) < _UNDER_WAY:
            self._send()
        return await future

    def _send(self) -> None:
        task = asyncio.create_task(self._exchange())
        self._under_way.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if self._waiting:
            self._send()

    async def _exchange(self) -> None:
        # Taken when the task runs: what was asked in the same turn of the event loop goes along.
        batch, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
        if not batch:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for command, _ in batch:
                    pipe.execute_command(*command)
                replies: Sequence[Any] = await pipe.execute(raise_on_error=False)
        except BaseException as error:  # noqa: BLE001  # whatever befell the batch befell each of its commands
            replies = [error if isinstance(error, Exception) else ConnectionError("closed")] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue  # who asked has gone
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)
