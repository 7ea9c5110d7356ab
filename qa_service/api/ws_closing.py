"""Why a WebSocket is closed: the codes of the protocol qa.v1, and which error ends a connection with which."""

from typing import ClassVar

from qa_service.domain.errors import (
    Forbidden,
    NotFound,
    QaError,
    Restarting,
    TooSlow,
    Unauthenticated,
)


class Closed(Exception):
    """Ends a connection with a code (RFC 6455, 7.4) and a short reason."""

    NO_PROTOCOL: ClassVar[int] = 1002
    RESTARTING: ClassVar[int] = 1012
    TRY_LATER: ClassVar[int] = 1013
    NOT_AUTHENTICATED: ClassVar[int] = 4001
    FORBIDDEN: ClassVar[int] = 4003
    CURSOR_INVALID: ClassVar[int] = 4007
    RATE_LIMITED: ClassVar[int] = 4008
    IDLE: ClassVar[int] = 4009
    TOO_SLOW: ClassVar[int] = 4013
    NO_SESSION: ClassVar[int] = 4404

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


_BY_BRANCH: tuple[tuple[type[QaError], int], ...] = (
    (Unauthenticated, Closed.NOT_AUTHENTICATED),
    (Forbidden, Closed.FORBIDDEN),
    (NotFound, Closed.NO_SESSION),
    (TooSlow, Closed.TOO_SLOW),
    (Restarting, Closed.RESTARTING),
)
_CURSOR_CODES = {"cursor-invalid", "cursor-expired"}  # both ask to fetch again, from the log or from the beginning


def closed_by(error: QaError) -> Closed:
    """Give how an error that nobody can go on after ends a connection."""
    if error.code in _CURSOR_CODES:
        return Closed(Closed.CURSOR_INVALID, error.code)
    code = next((code for branch, code in _BY_BRANCH if isinstance(error, branch)), Closed.TRY_LATER)
    return Closed(code, error.code)
