"""A real service with keys and clients for the whole run, and this package's own client of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from api.service import Service, serving

from qa_service.access.caller import Scope
from qa_service.access.clients import make_client
from qa_service.access.signing_keys import make_signing_key
from qa_service.client import BotClient, ClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A running service and the credentials of two of its clients."""

    service: Service
    keys: Path
    gateway: ClientCredentials
    admin: ClientCredentials


@pytest.fixture(scope="session")
def guarded(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys"
    make_signing_key(keys)
    gateway = _credentials(keys, "gateway", Scope.ASK)
    admin = _credentials(keys, "admin", Scope.ASK, Scope.ADMIN)
    with serving(folder, demo_index, keys_dir=str(keys)) as service:
        yield Guarded(service=service, keys=keys, gateway=gateway, admin=admin)
        assert not service.log("unexpected error")
        assert not service.log("batch failed")


@pytest.fixture
async def bot(guarded: Guarded) -> AsyncIterator[BotClient]:
    """A back end's client."""
    async with BotClient(guarded.service.url, credentials=guarded.gateway) as bot:
        yield bot


@pytest.fixture
async def device(guarded: Guarded) -> AsyncIterator[BotClient]:
    """A client without credentials: sessions' own tokens alone."""
    async with BotClient(guarded.service.url) as bot:
        yield bot


def _credentials(keys: Path, name: str, *scopes: Scope) -> ClientCredentials:
    made = make_client(keys, name, tenant="shop", scopes=scopes)
    return ClientCredentials(client_id=name, secret=made.secret)
