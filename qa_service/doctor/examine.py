"""All checks in the order in which they are told. It prints nothing and mends nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from qa_service.doctor.finding import Finding, Level
from qa_service.doctor.index_checks import check_encoder, check_index, check_tokeniser
from qa_service.doctor.machine_checks import check_clock, check_disk, check_open_files, check_python
from qa_service.doctor.redis_checks import visit_redis
from qa_service.main import settings_of
from qa_service.settings import Settings


async def examine(settings: Settings) -> list[Finding]:
    """Check everything that the service leans on; what one check finds keeps no other from being made."""
    visit = await visit_redis(settings)
    return [
        *visit.findings,
        *_indexes(settings),
        _made("encoder", lambda: check_encoder(settings)),
        _made("tokeniser", lambda: check_tokeniser(settings)),
        check_clock(datetime.now(UTC), visit.clock_offset_ms),
        check_open_files(),
        _made("state disk", lambda: check_disk("state disk", settings.state_dir)),
        _made("index disk", lambda: check_disk("index disk", settings.indexes_dir)),
        check_python(),
    ]


def _indexes(settings: Settings) -> Iterator[Finding]:
    for tenant in settings.tenants:
        name = "index" if tenant == settings.knowledge_base else f"index:{tenant}"
        own = settings_of(settings, tenant)
        yield replace(_made(name, partial(check_index, own)), name=name)


def _made(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  # the edge of a process: whatever ails, the other checks are made
        found = f"the check failed: {type(error).__name__}: {error}"
        return Finding(name=name, level=Level.ERROR, found=found, advice="report this, with the log")
