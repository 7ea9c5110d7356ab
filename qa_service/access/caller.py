"""Who calls, as far as a token tells: the value that every route, limit and tenant asks. It knows no token format."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a client may do."""

    ASK = "ask"  # ask without a session, open sessions for users, enter users' sessions
    EXPLAIN = "explain"  # see every number behind an answer
    WEBHOOKS = "webhooks"  # manage its tenant's webhooks
    ADMIN = "admin"  # everything under /admin


class CallerKind(StrEnum):
    """On what ground somebody calls."""

    ANONYMOUS = "anonymous"  # no token: may open a session, and nothing else
    DEVICE = "device"  # a session token, which only the store can check, in the step that uses it
    USER = "user"  # a user token: the host vouches for the uid
    CLIENT = "client"  # an access token of client credentials
    LOCAL_KEY = "local-key"  # the generated key of a service that is bound to loopback and has no keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who calls.

    `uid` is a user's, `client_id` a client's; only clients and the local key have `scopes`. A DEVICE's token has not
    been checked: it opens its session or nothing.
    """

    kind: CallerKind
    tenant: str
    uid: str = ""
    client_id: str = ""
    scopes: frozenset[Scope] = frozenset()
