"""Every error that a call may end with, by what the caller can do about it. It knows HTTP's codes and no connection.

BotError
├── Refused               the service has answered, and says no
│   ├── InvalidInput          change what is sent                  400, 413, 415, 422, any other 4xx
│   ├── Unauthenticated       bring a token, or a right secret     401
│   ├── Forbidden             bring a token that may               403
│   ├── NotFound              no such thing, or somebody else's    404
│   ├── Conflict              read the present state               409, 410, 422 for a key used with another body
│   └── RateLimited           ask less often                       429
├── Unavailable           nothing is wrong with the call; it may come again    5xx
│   ├── Unreachable           no connection, or one that was cut
│   ├── DeadlineExceeded      no answer in the time that was given
│   ├── BreakerOpen           not even tried: the last calls failed
│   └── TooManyStreams        not even tried: this client's share of connections is taken
└── Unreadable            what came is not what the API describes
"""


class BotError(Exception):
    """Root of the tree.

    `code` names the error for programs (the API's kebab-case, or OAuth's word), `status` is HTTP's (0: none came),
    `detail` is for people, `pointer` names the part of the request at fault, `request_id` finds it in the service's log
    ("" where unknown). `retry_after_s` says when to come again (None: nobody said).
    """

    code = "bot-error"

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        status: int = 0,
        pointer: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        self.code = code or type(self).code
        super().__init__(f"{self.code}: {detail}")
        self.detail = detail
        self.status = status
        self.pointer = pointer
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Refused(BotError):
    """The service has answered, and says no: the same call would be refused again."""

    code = "refused"


class InvalidInput(Refused):
    """The call breaks a rule that the API's description states."""

    code = "invalid-input"


class Unauthenticated(Refused):
    """No token came, or one that is not accepted, or the client's secret is wrong."""

    code = "unauthenticated"


class Forbidden(Refused):
    """The token is good, and not for this."""

    code = "forbidden"


class NotFound(Refused):
    """No such thing, or it is somebody else's: the two look the same from outside."""

    code = "not-found"


class Conflict(Refused):
    """It contradicts what is stored, or the cursor is older than the log (410, cursor-expired)."""

    code = "conflict"


class RateLimited(Refused):
    """More than the caller's share; `retry_after_s` says when there is room."""

    code = "rate-limited"


class Unavailable(BotError):
    """Nothing is wrong with the call: the service cannot serve it now."""

    code = "unavailable"


class Unreachable(Unavailable):
    """There is no connection, or it was cut before the answer was whole."""

    code = "unreachable"


class DeadlineExceeded(Unavailable):
    """No answer came in the time that was given; whether the call was carried out is not known."""

    code = "deadline-exceeded"


class BreakerOpen(Unavailable):
    """The last calls failed, so that this one was not sent; `retry_after_s` says when one will be."""

    code = "breaker-open"


class TooManyStreams(Unavailable):
    """As many streams are open as this client has connections for: give it more, or close some."""

    code = "too-many-streams"


class Unreadable(BotError):
    """What came is not what the API describes: another service, or a proxy's page."""

    code = "unreadable"


_BY_STATUS: dict[int, type[BotError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Conflict,
    429: RateLimited,
}


def error_type(status: int, code: str) -> type[BotError]:
    """Give the branch for an HTTP status and the API's code."""
    if code == "idempotency-key-reused":
        return Conflict
    if status >= 500:
        return Unavailable
    if status >= 400:
        return _BY_STATUS.get(status, InvalidInput)
    return Unreadable
