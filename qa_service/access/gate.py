"""The gate: a token goes in, who it speaks for comes out. It knows no HTTP and asks nobody outside this process.

Verified tokens are remembered until they end, so that a caller's second request costs one hash instead of a signature;
when a key, a client or a tenant changes, all of them are forgotten.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qa_service.access import access_tokens, user_tokens
from qa_service.access.caller import Caller, CallerKind, Scope
from qa_service.access.clients import Client, is_secret_of
from qa_service.access.compact import MAX_TOKEN_CHARS, Compact, is_compact, read_compact, refuse
from qa_service.access.key_ring import KeyRing
from qa_service.access.local_key import LocalKey
from qa_service.access.signing_keys import SigningKey
from qa_service.access.watched import Watched
from qa_service.domain.session import tenant_of_token

REMEMBERED = 10_000  # tokens: some 5 MB
_LOCAL_CLIENT = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An access token as it is handed out."""

    token: str
    expires_in_s: int
    scopes: frozenset[Scope]


class Gate:
    """Tells who a token speaks for.

    `local_key` is there only while the service is bound to loopback and has no keys. `tenant` is whom a caller without
    an access token or a user token asks.
    """

    def __init__(
        self,
        *,
        ring: Watched[KeyRing],
        issuer: str,
        tenant: str,
        local_key: LocalKey | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.local_key = local_key
        self._ring = ring
        self._issuer = issuer
        self._now_s = now_s
        self._anonymous = Caller(kind=CallerKind.ANONYMOUS, tenant=tenant)
        self._tenant = tenant
        self._local = Caller(kind=CallerKind.LOCAL_KEY, tenant=tenant, client_id=_LOCAL_CLIENT, scopes=frozenset(Scope))
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        self._remembered_for = ring.current()

    def caller(self, token: str) -> Caller:
        """Tell who calls with a bearer token; "" is no token.

        Raises:
            Unauthenticated: it is a JWT that is not accepted, or of a tenant that is not served (invalid-token).
        """
        if not token:
            return self._anonymous
        if len(token) > MAX_TOKEN_CHARS:
            refuse(f"it has more than {MAX_TOKEN_CHARS} characters")
        if is_compact(token):
            return self._verified(token)
        if self.local_key and self.local_key.opens(token):
            return self._local
        tenant = tenant_of_token(token) or self._tenant
        if tenant not in self._ring.current().tenants:
            refuse("its tenant is not served here")
        return Caller(kind=CallerKind.DEVICE, tenant=tenant)

    def user(self, token: str) -> Caller:
        """Tell which user a user token speaks for; Unauthenticated when it is none (invalid-token)."""
        caller = self.caller(token)
        if caller.kind is not CallerKind.USER:
            refuse("it is no user token")
        return caller

    def client(self, client_id: str, secret: str) -> Client | None:
        """Give the client of this id and secret."""
        ring = self._ring.current()
        if client_id not in ring.clients:
            ring = self._ring.look()  # another process may have made it a moment ago
        client = ring.clients.get(client_id)
        return client if is_secret_of(client, secret) and client and client.tenant in ring.tenants else None

    def issue(self, client: Client, scopes: Iterable[Scope]) -> Issued | None:
        """Give a client an access token for some of its scopes; None where no key can sign."""
        key = self._ring.current().newest
        if key is None:
            return None
        granted = frozenset(scopes)
        token = access_tokens.issue(key, client, granted, issuer=self._issuer, now_s=self._now_s())
        return Issued(token=token, expires_in_s=access_tokens.LIVES_S, scopes=granted)

    def public_keys(self) -> list[dict[str, str]]:
        """Give the public halves of all signing keys, newest first."""
        return [key.public() for key in reversed(tuple(self._ring.current().signing.values()))]

    def _verified(self, token: str) -> Caller:
        ring = self._ring.current()
        if ring is not self._remembered_for:
            self._remembered.clear()
            self._remembered_for = ring
        now_s = self._now_s()
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known and now_s <= known[1]:
            return known[0]
        caller, void_at_s = self._verify(read_compact(token), ring, now_s)
        if len(self._remembered) >= REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (caller, void_at_s)
        return caller

    def _verify(self, token: Compact, ring: KeyRing, now_s: float) -> tuple[Caller, float]:
        if token.typ == user_tokens.TYP:
            return user_tokens.user_caller(token, ring, audience=self._issuer, now_s=now_s)
        if token.typ != access_tokens.TYP:
            refuse(f"its typ is neither {access_tokens.TYP} nor {user_tokens.TYP}")
        key, ring = self._named(token.kid, ring)
        return access_tokens.client_caller(token, key, ring, issuer=self._issuer, now_s=now_s)

    def _named(self, kid: str, ring: KeyRing) -> tuple[SigningKey, KeyRing]:
        """Give the key that a token names; another process may have signed with one that is a moment old."""
        if kid not in ring.signing:
            ring = self._ring.look()
        if kid not in ring.signing:
            refuse("its kid names none of our keys")
        return ring.signing[kid], ring
