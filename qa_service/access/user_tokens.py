"""User tokens: a host's back end vouches for one of its users, for an hour at most. It knows no HTTP.

The host signs with the secret or the private key whose counterpart is set for its tenant. `kid` is not looked at:
which keys there are is the tenant's configuration, and there are few.
"""

from qa_service.access.caller import Caller, CallerKind
from qa_service.access.claims import Rules, check_claims, text_claim
from qa_service.access.compact import Compact, refuse
from qa_service.access.key_ring import KeyRing
from qa_service.access.signatures import is_signed

TYP = "qa-user+jwt"
_LONGEST_S = 3600
_SKEW_S = 60  # the host's clock is somebody else's


def user_caller(token: Compact, ring: KeyRing, *, audience: str, now_s: float) -> tuple[Caller, float]:
    """Verify a user token; give its caller and until when that holds (Unix seconds).

    Raises:
        Unauthenticated: nobody set here vouches for it, or not any more (invalid-token).
    """
    tenant = ring.tenant_of_issuer(token.claims.get("iss"))
    if tenant is None:
        refuse("its iss is not the one expected")
    if not tenant.user_keys:
        refuse("no key for user tokens is set")
    keys = [one.key for one in tenant.user_keys if token.alg in one.algorithms]
    if not any(is_signed(token, key, token.alg) for key in keys):
        refuse("its signature is not that of a key set for user tokens")
    rules = Rules(issuer=tenant.user_issuer, audience=audience, longest_s=_LONGEST_S, skew_s=_SKEW_S)
    void_at_s = check_claims(token.claims, rules, now_s=now_s)
    caller = Caller(kind=CallerKind.USER, tenant=tenant.name, uid=text_claim(token.claims, "sub"))
    return caller, void_at_s
