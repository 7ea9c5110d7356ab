"""Which snapshot a worker answers from: it prepares the wanted version beside the old one, and goes over when all can.

It knows no file format: `versions` says what is wanted, `open_ask` verifies, opens and asks the canary questions,
`beat` tells the other workers. A version that one worker refuses comes into force in none; it is tried again when it is
activated again after another one was, and every half minute, because somebody may have mended it or still be copying.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from qa_service.answering.ask import Ask
from qa_service.domain.errors import OperatorError, StoreUnavailable
from qa_service.store.index_roll import Roll

_BEAT_EVERY_S = 0.25  # an old answer must be gone within a second of an activation
_TRY_AGAIN_S = 30.0  # what was refused: verifying reads every byte of it

log = structlog.get_logger(__name__)


class Versions(Protocol):
    """Where snapshots lie."""

    def active(self) -> str | None:
        """Name the version that should answer."""
        ...


class Beat(Protocol):
    """Tells the other workers."""

    def __call__(self, *, wanted: str, ready: str, serving: str, refusal: str) -> Awaitable[Roll]:
        """Say what this worker could answer from; learn what all answer from."""
        ...


class IndexWatch:
    """Holds the Ask that answers now; None while there is none.

    `committed` is called once, in the worker whose beat brought a version into force. `tenant` is named in the log.
    """

    def __init__(
        self,
        *,
        versions: Versions,
        open_ask: Callable[[str], Ask],
        beat: Beat,
        committed: Callable[[Ask], None] = lambda _: None,
        try_again_s: float = _TRY_AGAIN_S,
        tenant: str = "",
    ) -> None:
        self.current: Ask | None = None
        self._versions = versions
        self._open_ask = open_ask
        self._beat = beat
        self._on_commit = committed
        self._prepared: dict[str, Ask] = {}
        self._refused: dict[str, str] = {}  # version ("" for the pointer) -> why
        self._refused_since = 0.0
        self._try_again_s = try_again_s
        self._wanted = ""
        self._committed = ""
        self._log = log.bind(tenant=tenant) if tenant else log

    async def follow(self, stop: asyncio.Event) -> None:
        """Prepare what is wanted and go over to what is committed, until `stop` is set."""
        await self.tell()  # who starts amid an activation learns what answers before it opens anything
        async with asyncio.TaskGroup() as tasks:
            # Side by side: while a large index is being opened, this worker must not seem dead.
            tasks.create_task(self._until(stop, self.prepare))
            tasks.create_task(self._until(stop, self.tell))

    async def prepare(self) -> None:
        """Open what is committed, and what is wanted, unless they are open or were refused."""
        if time.monotonic() - self._refused_since >= self._try_again_s:
            self._refused.clear()
        try:
            wanted = await asyncio.to_thread(self._versions.active)
        except OperatorError as error:
            self._refuse("", error)
        else:
            self._wanted = wanted or ""
            self._refused.pop("", None)
        needed = (self._committed, self._wanted)
        self._refused = {version: why for version, why in self._refused.items() if version in ("", *needed)}
        for version in dict.fromkeys(needed):
            if version and version not in self._prepared and version not in self._refused:
                await self._open(version)

    async def tell(self) -> None:
        """Tell what is ready, and go over to what is committed once it is open here."""
        ready = self._wanted if self._wanted in self._prepared else ""
        serving = self.current.version if self.current else ""
        refusal = next(iter(self._refused.values()), "")
        try:
            roll = await self._beat(wanted=ready, ready=ready, serving=serving, refusal=refusal)
        except StoreUnavailable as error:
            self._log.warning("index not reported", detail=error.detail)
            return
        self._committed = roll.committed
        # Only now: before this beat the others might have committed what is no longer wanted here.
        needed = {ready, self._wanted, roll.committed}
        self._prepared = {version: ask for version, ask in self._prepared.items() if version in needed}
        chosen = self._prepared.get(roll.committed)
        if chosen is None or chosen is self.current:
            return
        self.current = chosen
        self._log.info("index in force", version=chosen.version)
        if roll.committed_here:
            self._on_commit(chosen)

    async def _open(self, version: str) -> None:
        try:
            # Not through the door: the questions of the old one would wait before it.
            self._prepared[version] = await asyncio.to_thread(self._open_ask, version)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a snapshot, the old one serves on
            self._refuse(version, error)
        else:
            self._log.info("index ready", version=version)

    def _refuse(self, version: str, error: Exception) -> None:
        why = f"{version or 'the pointer'}: {error}"
        if self._refused.get(version) != why:
            trace = None if isinstance(error, OperatorError) else error
            serving = self.current.version if self.current else None
            self._log.error("index refused", version=version, detail=str(error), serving=serving, exc_info=trace)
        self._refused_since = self._refused_since if self._refused else time.monotonic()
        self._refused[version] = why

    async def _until(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            await step()
            await asyncio.sleep(_BEAT_EVERY_S)
