"""Access tokens: what client credentials are exchanged for, a JWT of five minutes (RFC 9068). It knows no HTTP."""

import secrets
from collections.abc import Iterable

from joserfc import jwt

from qa_service.access.caller import Caller, CallerKind, Scope
from qa_service.access.claims import Rules, check_claims, text_claim
from qa_service.access.clients import Client
from qa_service.access.compact import Compact, refuse
from qa_service.access.key_ring import KeyRing
from qa_service.access.signatures import is_signed
from qa_service.access.signing_keys import ALGORITHM, SigningKey

TYP = "at+jwt"
LIVES_S = 300
_SKEW_S = 10  # between API processes of one installation, whose clocks somebody keeps
_JTI_BYTES = 16


def issue(key: SigningKey, client: Client, scopes: Iterable[Scope], *, issuer: str, now_s: float) -> str:
    """Give a client a token for some of its scopes, valid for five minutes."""
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": client.id,
        "client_id": client.id,
        "tenant": client.tenant,
        "scope": " ".join(sorted(scopes)),
        "iat": int(now_s),
        "exp": int(now_s) + LIVES_S,
        "jti": secrets.token_urlsafe(_JTI_BYTES),
    }
    header = {"alg": ALGORITHM, "typ": TYP, "kid": key.kid}
    return jwt.encode(header, claims, key.key, algorithms=[ALGORITHM])


def client_caller(token: Compact, key: SigningKey, ring: KeyRing, *, issuer: str, now_s: float) -> tuple[Caller, float]:
    """Verify a token against the key that its kid named; give its caller and until when that holds (Unix seconds).

    Raises:
        Unauthenticated: it is not one of ours, or not valid any more (invalid-token).
    """
    if token.alg != ALGORITHM or not is_signed(token, key.key, ALGORITHM):
        refuse("its signature is not that of the key it names")
    rules = Rules(issuer=issuer, audience=issuer, longest_s=LIVES_S, skew_s=_SKEW_S)
    void_at_s = check_claims(token.claims, rules, now_s=now_s)
    client_id, tenant, _ = (text_claim(token.claims, name) for name in ("client_id", "tenant", "jti"))
    client = ring.clients.get(client_id)
    if client is None or client.tenant != tenant or token.claims.get("sub") != client_id:
        refuse("its client is not known, or not any more")
    if tenant not in ring.tenants:
        refuse("its tenant is not served here")
    granted = frozenset(client.scopes) & _scopes(token.claims.get("scope"))
    caller = Caller(kind=CallerKind.CLIENT, tenant=tenant, client_id=client_id, scopes=granted)
    return caller, void_at_s


def _scopes(claim: object) -> frozenset[Scope]:
    if not isinstance(claim, str) or not set(claim.split()) <= set(Scope):
        refuse("its scope is no list of known scopes")
    return frozenset(map(Scope, claim.split()))
