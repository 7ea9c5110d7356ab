"""Clients: back ends that hold an id and a secret, kept as digests in one file. It knows no token.

A secret is 256 random bits, so that SHA-256 is enough to keep it: a slow hash protects what people choose, and would
cost every token request a tenth of a second.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from qa_service.access.caller import Scope
from qa_service.access.private_files import locked, read_private, write_over
from qa_service.domain.errors import SettingsError

_FILE = "clients.json"
_SECRET_BYTES = 32
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A back end of one tenant and what it may do; its secret only as 64 hex digits of SHA-256."""

    id: str
    tenant: str
    scopes: tuple[Scope, ...]
    secret_sha256: str
    created_at: str  # RFC 3339, UTC

    def __repr__(self) -> str:
        """Leave the digest out."""
        return f"Client(id={self.id!r}, tenant={self.tenant!r}, scopes={[str(scope) for scope in self.scopes]})"


class _Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    clients: tuple[Client, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client that has just been made; its secret is told here and nowhere else."""

    client: Client
    secret: str


def clients_file(folder: Path) -> Path:
    """Give the file that lists the clients."""
    return folder / _FILE


def read_clients(folder: Path) -> dict[str, Client]:
    """Read the clients of a folder by id; none where there is no file.

    Raises:
        SettingsError: the file is open to everybody, or damaged.
    """
    path = clients_file(folder)
    if not path.exists():
        return {}
    try:
        book = msgspec.json.decode(read_private(path), type=_Book)
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"{path} is damaged: {error}; restore it, or remove it and make the clients again"
        ) from error
    return {client.id: client for client in book.clients}


def make_client(folder: Path, client_id: str, *, tenant: str, scopes: Iterable[Scope]) -> NewClient:
    """Make a client and its secret.

    Raises:
        SettingsError: the id is taken, or no id.
    """
    if not _ID.fullmatch(client_id):
        raise SettingsError(f"{client_id!r} is no id of a client: 1 to 64 of a-z 0-9 _ -, a letter or digit first")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    client = Client(
        id=client_id,
        tenant=tenant,
        scopes=tuple(sorted(set(scopes))),
        secret_sha256=_digest(secret),
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    with locked(folder):
        known = read_clients(folder)
        if client_id in known:
            raise SettingsError(f"there is a client {client_id!r} already: remove it first, or name another")
        _write(folder, [*known.values(), client])
    return NewClient(client=client, secret=secret)


def remove_client(folder: Path, client_id: str) -> None:
    """Remove a client: its secret and its tokens are refused from now on; SettingsError when there is none."""
    with locked(folder):
        known = read_clients(folder)
        if client_id not in known:
            raise SettingsError(f"there is no client {client_id!r}; `qa-service clients list` shows what there is")
        _write(folder, [client for client in known.values() if client.id != client_id])


def is_secret_of(client: Client | None, secret: str) -> bool:
    """Whether a secret is a client's, in the same time whether or not there is such a client."""
    kept = client.secret_sha256 if client else _NOBODY
    return hmac.compare_digest(kept.encode(), _digest(secret).encode()) and client is not None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _write(folder: Path, clients: list[Client]) -> None:
    write_over(clients_file(folder), msgspec.json.format(msgspec.json.encode(_Book(clients=tuple(clients))), indent=1))
