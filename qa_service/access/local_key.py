"""The key of a service that nobody has configured: made by itself, kept in its state folder. It knows no setting."""

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from qa_service.access.private_files import read_private, write_new

_FILE = "local.key"
_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalKey:
    """A bearer key with all scopes, for callers on the same machine. `is_new`: this call has made it."""

    path: Path
    text: str = field(repr=False)
    is_new: bool

    def opens(self, token: str) -> bool:
        """Whether a token is this key."""
        return hmac.compare_digest(_digest(token), _digest(self.text))


def local_key(state_dir: Path) -> LocalKey:
    """Give the key of a state folder; the first call makes it.

    Raises:
        SettingsError: the folder cannot be written, or everybody may read the key.
    """
    path = state_dir / _FILE
    is_new = not path.exists() and write_new(path, f"local-{secrets.token_urlsafe(_BYTES)}\n".encode())
    return LocalKey(path=path, text=read_private(path).decode().strip(), is_new=is_new)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to bind; a name other than localhost may mean anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
