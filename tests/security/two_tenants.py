"""Two knowledge bases with the same questions, in two versions each: every answer names its tenant and its version.

Answers are made by the service's own rooms in this process: `furnished` on one side, `run_worker` on the other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from answering.small_base import build_small, faq
from pydantic import SecretStr

from qa_service.api.house import House, Rooms
from qa_service.knowledge.versions import Versions
from qa_service.main import furnished
from qa_service.main_worker import run_worker
from qa_service.settings import Settings

TENANTS = ("shop", "bank")
LOCALES = ("zh-CN", "en")
QUESTIONS = (
    "怎么申请退货",
    "退款多久到账",
    "怎么开发票",
    "优惠券怎么使用",
    "积分会过期吗",
    "How do I reset my password?",
)
# No script tells the language of this one, so that its locale does: in what words the bot says that it does not know.
LANGUAGELESS = "404"
_READY_WITHIN_S = 30.0

Built = tuple[Path, dict[str, dict[str, str]]]  # where the indexes lie, and the marks of each tenant's versions


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTenants:
    """A house for both tenants, and their versions: tenant -> version -> the mark that its answers begin with."""

    house: House
    versions: dict[str, Versions]
    marks: dict[str, dict[str, str]]

    def rooms(self, tenant: str) -> Rooms:
        return self.house.tenants[tenant]

    def is_own(self, tenant: str, index_version: str, text: str) -> bool:
        """Whether a text is an answer of this tenant's, from the very version that it names."""
        mark = self.marks[tenant].get(index_version)
        others = [one for marks in self.marks.values() for one in marks.values() if one != mark]
        return mark is not None and not any(other in text for other in others)


def build_two_tenants(folder: Path) -> dict[str, dict[str, str]]:
    """Build both versions of both tenants; the marks of each, the first active."""
    marks: dict[str, dict[str, str]] = {}
    for tenant in TENANTS:
        for place in (1, 2):
            mark = f"<{tenant}/{place}>"
            entries = [faq(f"q{n}", f"{mark} {n}", question) for n, question in enumerate(QUESTIONS)]
            versions, built = build_small(folder, entries, kb=tenant)
            if place == 1:
                versions.activate(built.version)
            marks.setdefault(tenant, {})[built.version] = mark
    return marks


@asynccontextmanager
async def two_tenants(folder: Path, redis_url: str, marks: dict[str, dict[str, str]]) -> AsyncIterator[TwoTenants]:
    """Serve both, with a worker that answers for both."""
    settings = Settings(
        redis_url=SecretStr(redis_url),
        knowledge_bases=",".join(TENANTS),
        indexes_dir=folder / "indexes",
        state_dir=folder / "state",
    )
    stop = asyncio.Event()
    async with furnished(settings) as house:
        working = asyncio.create_task(run_worker(settings, stop))
        versions = {tenant: Versions(settings.indexes_dir, tenant) for tenant in TENANTS}
        served = TwoTenants(house=house, versions=versions, marks=marks)
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                while not await _all_ready(house):  # noqa: ASYNC110  # a check wakes nobody
                    await asyncio.sleep(0.05)
            yield served
        finally:
            stop.set()
            await asyncio.wait_for(working, 10)


async def _all_ready(house: House) -> bool:
    return not any("none" in check for check in (await house.readiness()).checks.values())
