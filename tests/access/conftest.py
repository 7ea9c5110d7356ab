"""A keys folder with a key and a client, and a gate on it whose clock the test sets."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from access.minting import SECRET
from qa_service.access import access_tokens
from qa_service.access.caller import Scope
from qa_service.access.clients import Client, make_client, read_clients
from qa_service.access.gate import Gate
from qa_service.access.key_ring import watched_ring
from qa_service.access.signing_keys import make_signing_key, read_signing_keys
from qa_service.access.tenants import TenantSources
from qa_service.domain.errors import Unauthenticated

ISSUER = "qa-service"


@dataclass(slots=True)
class Clock:
    """Unix seconds, as the test says."""

    now_s: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A keys folder, and what a gate on it is made of."""

    folder: Path
    kid: str
    secret: str
    clock: Clock

    @property
    def client(self) -> Client:
        return read_clients(self.folder)["gateway"]

    def gate(
        self, *, public_keys: Path | None = None, secrets: tuple[str, ...] = (SECRET,), every_s: float = 0
    ) -> Gate:
        shop = TenantSources(name="shop", user_issuer="shop", user_secrets=secrets, user_public_keys=public_keys)
        ring = watched_ring(self.folder, [shop], every_s=every_s)
        return Gate(ring=ring, issuer=ISSUER, tenant="shop", now_s=self.clock)

    def access_token(self, *scopes: Scope) -> str:
        """A good access token by the newest key."""
        key = read_signing_keys(self.folder)[-1]
        return access_tokens.issue(key, self.client, scopes or [Scope.ASK], issuer=ISSUER, now_s=self.clock())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "keys"
    kid = make_signing_key(folder)
    made = make_client(folder, "gateway", tenant="shop", scopes=[Scope.ASK, Scope.EXPLAIN])
    return Place(folder=folder, kid=kid, secret=made.secret, clock=Clock())


Refused = Callable[..., str]


@pytest.fixture
def refused() -> Refused:
    """Call something that must refuse a token; the reason."""

    def call(what: Callable[..., Any], *given: Any) -> str:
        with pytest.raises(Unauthenticated) as caught:
            what(*given)
        assert caught.value.code == "invalid-token"
        return caught.value.detail

    return call
