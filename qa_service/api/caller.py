"""Who calls: the one place that works it out, from which routes, limits and tenants ask. It knows no route."""

from dataclasses import replace
from typing import NoReturn, TypeAlias

from litestar.types import HTTPScope, WebSocketScope
from structlog.contextvars import bind_contextvars

from qa_service.access.caller import Caller, CallerKind, Scope
from qa_service.access.gate import Gate
from qa_service.api.house import AnyConnection, Rooms, house_of
from qa_service.domain.errors import Forbidden, InvalidInput, Unauthenticated
from qa_service.domain.session import Proof, TrustedClient, VouchedUser

Connection: TypeAlias = HTTPScope | WebSocketScope

_KNOWN = "qa_caller"  # the scope's member that holds it: worked out once a request, whoever asks first
_BY_TOKEN_ALONE = {CallerKind.CLIENT, CallerKind.LOCAL_KEY}


def bearer_token(scope: Connection) -> str:
    """Give the bearer token, "" when there is none; Unauthenticated when there is more than one."""
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(headers) > 1:
        raise Unauthenticated("send one Authorization header", code="invalid-token")
    scheme, _, token = (headers[0].decode("latin-1") if headers else "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def caller_of(connection: AnyConnection) -> Caller:
    """Tell who calls; raises as `caller_in` does."""
    return caller_in(connection.scope, house_of(connection).gate)


def caller_in(scope: Connection, gate: Gate) -> Caller:
    """Tell who calls, also where no route has been found yet.

    Raises:
        Unauthenticated: the token is a JWT that is not accepted (invalid-token).
    """
    known = scope.get(_KNOWN)
    if known is None:
        try:
            known = gate.caller(bearer_token(scope))
            bind_contextvars(tenant=known.tenant)  # the log tells whose requests are slow or refused
        except Unauthenticated as error:
            known = error
        scope[_KNOWN] = known  # type: ignore[literal-required]  # ASGI allows further keys
    if isinstance(known, Unauthenticated):
        raise Unauthenticated(known.detail, code=known.code)
    assert isinstance(known, Caller)
    return known


def rooms_of(connection: AnyConnection) -> Rooms:
    """Give the rooms of the caller's tenant, and so no other's; raises as `caller_in` does."""
    return house_of(connection).tenants[caller_of(connection).tenant]


def require(connection: AnyConnection, scope: Scope) -> Caller:
    """Tell which client calls; it must have the scope.

    Raises:
        Unauthenticated: no token came that could have a scope (token-required, invalid-token).
        Forbidden: the token has not this scope (insufficient-scope).
    """
    caller = caller_of(connection)
    if caller.kind is CallerKind.ANONYMOUS:
        raise Unauthenticated(
            f"send a client's access token with the scope {scope}: Authorization: Bearer <token>", code="token-required"
        )
    if caller.kind is CallerKind.DEVICE:
        raise Unauthenticated("this is no client's token; a session's opens its session alone", code="invalid-token")
    return caller if scope in caller.scopes else _lacks(scope)


def _lacks(scope: Scope) -> NoReturn:
    raise Forbidden(f"this needs the scope {scope}", code="insufficient-scope", scope=scope)


def proof_of(connection: AnyConnection) -> Proof:
    """Give what the caller shows to be let into a session; the store compares it in the step that uses it.

    Raises:
        Unauthenticated: there is no token (token-required), or one that is not accepted (invalid-token).
        Forbidden: a client without the scope ask (insufficient-scope).
    """
    return proof_by(caller_of(connection), bearer_token(connection.scope))


def proof_by(caller: Caller, token: str) -> Proof:
    """Give what a caller shows who came with this token; raises as `proof_of` does."""
    match caller.kind:
        case CallerKind.ANONYMOUS:
            raise Unauthenticated(
                "send the session's token, or its user's: Authorization: Bearer <token>", code="token-required"
            )
        case CallerKind.DEVICE:
            return token
        case CallerKind.USER:
            return VouchedUser(uid=caller.uid)
        case CallerKind.CLIENT | CallerKind.LOCAL_KEY:
            return TrustedClient() if Scope.ASK in caller.scopes else _lacks(Scope.ASK)


def uid_to_open_for(connection: AnyConnection, *, uid: str, user_token: str) -> str:
    """Give the uid that a new session is for, "" for an anonymous device's.

    A client with the scope ask may name any uid; everybody else shows a user token for it.
    """
    caller = caller_of(connection)
    if caller.kind in _BY_TOKEN_ALONE:
        require(connection, Scope.ASK)
        if not user_token:
            return uid
    if user_token or uid or caller.kind is CallerKind.USER:
        return vouched_uid(connection, uid=uid, user_token=user_token)
    return ""


def asker_of_new(connection: AnyConnection, *, uid: str, user_token: str) -> Caller:
    """Give for whom the first question of a new session counts: its user, in the tenant whose user that is."""
    return _user(connection, user_token) if user_token else replace(caller_of(connection), uid=uid)


def rooms_to_open_in(connection: AnyConnection, *, bot: str, user_token: str) -> Rooms:
    """Give the rooms of the tenant for which a session is opened: a token's, else the named bot's.

    Raises:
        Unauthenticated: the user token is not accepted (invalid-token).
        Forbidden: it vouches for a user of another tenant than the client's (tenant-mismatch).
        InvalidInput: there is no such bot, or it is another tenant's than the token's (unknown-bot).
    """
    house, caller = house_of(connection), caller_of(connection)
    tenant = caller.tenant if caller.kind in {CallerKind.CLIENT, CallerKind.USER} else None
    if user_token:
        vouched = _user(connection, user_token).tenant
        if caller.kind is CallerKind.CLIENT and vouched != tenant:
            raise _of_another_tenant()
        tenant = vouched
    named = house.bots.get(bot)
    if bot and (named is None or tenant not in {None, named}):
        raise InvalidInput("there is no such bot", code="unknown-bot", pointer="/bot")
    chosen = tenant or named or caller.tenant
    bind_contextvars(tenant=chosen)
    return house.tenants[chosen]


def uid_to_bind(connection: AnyConnection, *, uid: str, user_token: str) -> str:
    """Give the uid that a session of the caller's tenant is bound to; raises as `vouched_uid` does.

    Raises:
        Forbidden: the user is another tenant's (tenant-mismatch).
    """
    if user_token and _user(connection, user_token).tenant != caller_of(connection).tenant:
        raise _of_another_tenant()
    return vouched_uid(connection, uid=uid, user_token=user_token)


def uid_of_records(connection: AnyConnection, uid: str) -> str:
    """Give the uid whose records the caller may see and erase: a user's own, or any to a client with the scope admin.

    Raises:
        Unauthenticated: no token came that could do so (token-required, invalid-token).
        Forbidden: the user is another (uid-mismatch), or the client has not the scope (insufficient-scope).
    """
    caller = caller_of(connection)
    if caller.kind is not CallerKind.USER:
        require(connection, Scope.ADMIN)
    elif caller.uid != uid:
        raise Forbidden("the user token vouches for another uid", code="uid-mismatch")
    return uid


def vouched_uid(connection: AnyConnection, *, uid: str, user_token: str) -> str:
    """Give the uid for which a user token vouches: the body's, else the one that the caller came with.

    Raises:
        Unauthenticated: there is no user token (user-token-required), or one that is not accepted (invalid-token).
        Forbidden: it vouches for another uid than the one named (uid-mismatch).
    """
    caller = caller_of(connection)
    if user_token:
        caller = _user(connection, user_token)
    elif caller.kind is not CallerKind.USER:
        raise Unauthenticated(
            "send a user token signed by your back end", code="user-token-required", pointer="/user_token"
        )
    if uid and uid != caller.uid:
        raise Forbidden("the user token vouches for another uid", code="uid-mismatch", pointer="/uid")
    return caller.uid


def _of_another_tenant() -> Forbidden:
    return Forbidden(
        "the user token vouches for a user of another tenant", code="tenant-mismatch", pointer="/user_token"
    )


def _user(connection: AnyConnection, user_token: str) -> Caller:
    try:
        return house_of(connection).gate.user(user_token)
    except Unauthenticated as error:
        raise Unauthenticated(error.detail, code=error.code, pointer="/user_token") from None
