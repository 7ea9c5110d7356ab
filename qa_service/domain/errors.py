"""Every error this service raises on purpose, by what the caller can do about it.

QaError
├── InvalidInput           change the request          400, 413, 415, 422
├── NotFound               name something that exists  404
├── Unauthenticated        bring a token               401
├── Forbidden              bring a token that may      403
├── Conflict               read the present state      409, 410, 422
├── Overloaded             ask less often              429
│   └── TooSlow                the listener left too much unread
├── Unavailable            try again later             503
│   ├── StoreUnavailable       Redis does not answer
│   ├── IndexUnavailable       no usable index is loaded
│   ├── AnswerLate             nobody answered before the deadline
│   └── Restarting             the process that was listened to ends
└── OperatorError          the operator mends it; never caused by a question
    ├── SettingsError          a setting is unknown or has no sense
    ├── KnowledgeError         a source of knowledge cannot be read
    └── SnapshotError          an index is missing, damaged, or made for another encoder
        └── ModelError         a model cannot be opened

`code` is stable kebab-case: a front end may key a message on it. One table, in `api/errors.py`, gives each its
HTTP status.
"""


class QaError(Exception):
    """Root of the tree.

    `code` names the error for programs, `detail` says for people what was expected, and `pointer` is a JSON pointer
    to the member of the request at fault (empty when no single one is).
    """

    code = "internal-error"
    title = "Internal error"

    def __init__(self, detail: str = "", *, code: str = "", pointer: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or type(self).code
        self.pointer = pointer


class InvalidInput(QaError):
    """The request breaks a rule that its documentation states."""

    code = "invalid-input"
    title = "Invalid input"


class NotFound(QaError):
    """No such thing, or it is not the caller's: the two look the same from outside."""

    code = "not-found"
    title = "Not found"


class Unauthenticated(QaError):
    """No usable token came with the request."""

    code = "unauthenticated"
    title = "Token required"


class Forbidden(QaError):
    """The token is good, and not for this. `scope` names what it would need, where that is a scope."""

    code = "forbidden"
    title = "Not allowed"

    def __init__(self, detail: str = "", *, code: str = "", pointer: str = "", scope: str = "") -> None:
        super().__init__(detail, code=code, pointer=pointer)
        self.scope = scope


class Conflict(QaError):
    """The request contradicts what is already stored."""

    code = "conflict"
    title = "Conflict"


class Overloaded(QaError):
    """More than the caller's share. `retry_after_s` says when there is room again (seconds)."""

    code = "overloaded"
    title = "Too many requests"

    def __init__(self, detail: str = "", *, code: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class TooSlow(Overloaded):
    """A listener left more unread than is kept for it; it may come back and resume."""

    code = "too-slow"
    title = "Reads too slowly"


class Unavailable(QaError):
    """Nothing is wrong with the request. `retry_after_s` says when to bring it again (seconds)."""

    code = "unavailable"
    title = "Service unavailable"

    def __init__(self, detail: str = "", *, code: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Unavailable):
    """Redis does not answer, refuses writes, or has lost what it was asked for."""

    code = "store-unavailable"
    title = "Store unavailable"


class IndexUnavailable(Unavailable):
    """No worker has a usable index."""

    code = "index-unavailable"
    title = "No index is active"


class AnswerLate(Unavailable):
    """No worker answered a stateless question before it expired."""

    code = "answer-late"
    title = "No answer in time"


class Restarting(Unavailable):
    """The process ends; another, or the next one, goes on where it stopped."""

    code = "restarting"
    title = "Restarting"


class OperatorError(QaError):
    """Something only the operator can mend."""

    code = "operator-error"
    title = "Operator's attention needed"


class SettingsError(OperatorError):
    """A setting is unknown, or its value makes no sense."""

    code = "settings-error"
    title = "Bad setting"


class KnowledgeError(OperatorError):
    """A source of knowledge cannot be read."""

    code = "knowledge-error"
    title = "Unreadable knowledge"


class SnapshotError(OperatorError):
    """An index snapshot is missing, damaged, or was built for another encoder."""

    code = "snapshot-error"
    title = "Unusable index snapshot"


class ModelError(SnapshotError):
    """A model does not exist, is damaged, or has another dimension than the snapshot."""

    code = "model-error"
    title = "Unusable model"
