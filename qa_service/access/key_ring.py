"""Everything that tokens are checked against, read together: signing keys, clients, tenants. It knows no token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_service.access.clients import Client, clients_file, read_clients
from qa_service.access.signing_keys import SigningKey, by_kid, read_signing_keys, signing_key_files
from qa_service.access.tenants import Tenant, TenantSources, read_tenants
from qa_service.access.watched import LOOK_EVERY_S, Watched
from qa_service.domain.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All keys and clients at one moment; the newest signing key stands last and signs."""

    signing: Mapping[str, SigningKey]
    clients: Mapping[str, Client]
    tenants: Mapping[str, Tenant]

    @property
    def newest(self) -> SigningKey | None:
        """The key that signs."""
        return next(reversed(tuple(self.signing.values())), None)

    def tenant_of_issuer(self, issuer: object) -> Tenant | None:
        """Give the tenant whose users an issuer vouches for."""
        return next((tenant for tenant in self.tenants.values() if tenant.user_issuer == issuer), None)


def watched_ring(
    keys_dir: Path, tenants: Sequence[TenantSources], *, every_s: float = LOOK_EVERY_S
) -> Watched[KeyRing]:
    """Read a ring, again whenever a file changes.

    Raises:
        SettingsError: something is weak, damaged or open to everybody. A later change never leaves a service that had
            signing keys without any.
    """
    had_keys = bool(signing_key_files(keys_dir))

    def files() -> list[Path]:
        public_keys = [one.user_public_keys for one in tenants if one.user_public_keys]
        return [*signing_key_files(keys_dir), clients_file(keys_dir), *public_keys]

    def read() -> KeyRing:
        signing = by_kid(read_signing_keys(keys_dir))
        if had_keys and not signing:
            raise SettingsError(f"all signing keys are gone from {keys_dir}: make one with `qa-service keys new`")
        return KeyRing(signing=signing, clients=read_clients(keys_dir), tenants=read_tenants(tenants))

    return Watched(files=files, read=read, every_s=every_s)
