"""How Redis is reached, and how its failures look to the rest of the house. It knows no keys and no commands."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Redis  # noqa: PLC0414  # main names the type without importing redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from qa_service.domain.errors import StoreUnavailable

# A stopped server costs one read timeout, a full pool one wait more: the caller hears of it within a second.
TIMEOUT_S = 0.5

_CANNOT_SERVE = (
    exceptions.ConnectionError,  # also: loading its data set, wrong password, no free connection
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    OSError,
)
# Redis 6.2 wraps an error inside a script in an ERR of its own: only its words tell what it was.
_CANNOT_SERVE_WORDS = ("OOM ", "MISCONF", "READONLY", "NOREPLICAS", "BUSY ", "LOADING", "MASTERDOWN")


def open_redis(url: str, *, max_connections: int = 64, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client for `redis://`, `rediss://` and `unix://` addresses; it connects at its first command.

    It answers in bytes. `timeout_s` bounds each of: waiting for a free connection, connecting, and one reply. It
    never retries by itself: redis-py's default sent one XADD twice during a pause. Close it with `aclose()`.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=2,  # RESP3 would cost a HELLO for every new connection
        driver_info=None,  # and this two CLIENT SETINFO, which 6.2 does not know
    )
    return Redis.from_pool(pool)


@contextmanager
def translated() -> Iterator[None]:
    """Turn "Redis cannot serve this now" into StoreUnavailable; let every other error pass as it is.

    Raises:
        StoreUnavailable: Redis is away, loading, out of memory, read-only, or cannot write to its disk.
    """
    try:
        yield
    except _CANNOT_SERVE as error:
        raise _unavailable(error) from error
    except exceptions.ResponseError as error:
        if not any(words in str(error) for words in _CANNOT_SERVE_WORDS):
            raise
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    is_full = isinstance(error, exceptions.OutOfMemoryError) or "OOM " in str(error)
    return StoreUnavailable(f"Redis cannot serve now ({type(error).__name__})", retry_after_s=5.0 if is_full else 1.0)
