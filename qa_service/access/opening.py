"""Opening the gate safely: what is weak or open to the world is refused here, before anybody is let in.

It knows where keys lie and which address will be bound, and neither settings nor HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_service.access.gate import Gate
from qa_service.access.key_ring import KeyRing, watched_ring
from qa_service.access.local_key import LocalKey, is_loopback, local_key
from qa_service.access.tenants import TenantSources
from qa_service.access.watched import Watched
from qa_service.domain.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSources:
    """What the gate is made of. `tenant` is whom anonymous callers ask; `host` is the address that will be bound."""

    keys_dir: Path
    state_dir: Path
    host: str
    issuer: str
    tenant: str
    tenants: Sequence[TenantSources]


def open_ring(sources: AccessSources) -> Watched[KeyRing]:
    """Read all keys.

    Raises:
        SettingsError: one is weak, damaged or open to everybody; or there is none, and other machines could call.
    """
    ring = watched_ring(sources.keys_dir, sources.tenants)
    if not ring.current().signing and not is_loopback(sources.host):
        raise SettingsError(
            f"QA_HOST={sources.host} lets other machines call, and there is no key in {sources.keys_dir}: make one "
            "with `qa-service keys new`, and a client with `qa-service clients new NAME`; or bind 127.0.0.1"
        )
    return ring


def key_of_loopback(sources: AccessSources, ring: Watched[KeyRing]) -> LocalKey | None:
    """Give the generated key of a service that has no others, and so is bound to loopback; the first call makes it."""
    return None if ring.current().signing else local_key(sources.state_dir)


def open_gate(sources: AccessSources) -> Gate:
    """Give the gate; raises as `open_ring` does."""
    ring = open_ring(sources)
    key = key_of_loopback(sources, ring)
    return Gate(ring=ring, issuer=sources.issuer, tenant=sources.tenant, local_key=key)
