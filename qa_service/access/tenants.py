"""What is set for each tenant: who vouches for its users and by which keys, which bots are its. It knows no token.

A tenant is a knowledge base and whatever must not leak out of it. A user token names its host by `iss`, an anonymous
device names a bot, and no two tenants share either.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from qa_service.access.private_files import read_private
from qa_service.access.user_keys import UserKey, user_keys
from qa_service.domain.errors import SettingsError


class TenantTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the tenants' file; paths start at the folder that the file lies in."""

    user_token_issuer: str = ""
    user_token_secret: str = ""  # several in use: one a line
    user_token_secret_file: str = ""
    user_token_public_key: str = ""
    bots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    queue_cap: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"TenantTable(issuer={self.user_token_issuer!r}, bots={self.bots!r}, queue_cap={self.queue_cap!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSources:
    """Where a tenant's configuration comes from: secrets as texts, public keys as a file of PEM blocks.

    `bots` are the names by which anonymous devices ask it (none given: its own); `queue_cap` is how many of its
    questions may wait (None: as many as any tenant's).
    """

    name: str
    user_issuer: str
    user_secrets: tuple[str, ...] = field(default=(), repr=False)
    user_public_keys: Path | None = None
    bots: tuple[str, ...] = ()
    queue_cap: int | None = None

    def read(self) -> "Tenant":
        """Read the keys; SettingsError when one is weak or cannot be read."""
        try:
            public_keys = self.user_public_keys.read_bytes() if self.user_public_keys else b""
        except OSError as error:
            message = f"the public key for user tokens cannot be read: {self.user_public_keys}: {error.strerror}"
            raise SettingsError(message) from error
        keys = user_keys(secrets=self.user_secrets, public_keys=public_keys)
        return Tenant(name=self.name, user_issuer=self.user_issuer, user_keys=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant; without `user_keys` nobody can vouch for its users."""

    name: str
    user_issuer: str
    user_keys: tuple[UserKey, ...] = ()


def read_tenants(sources: Iterable[TenantSources]) -> dict[str, Tenant]:
    """Read all tenants by name.

    Raises:
        SettingsError: two share an issuer, or a key is unusable.
    """
    tenants = {one.name: one.read() for one in sources}
    issuers = [tenant.user_issuer for tenant in tenants.values()]
    if shared := {issuer for issuer in issuers if issuers.count(issuer) > 1}:
        raise SettingsError(f"two tenants share an issuer of user tokens: {', '.join(sorted(shared))}")
    return tenants


def bots_of(sources: Iterable[TenantSources]) -> dict[str, str]:
    """Give each bot's tenant; SettingsError when two tenants share a bot."""
    tenants: dict[str, str] = {}
    for one in sources:
        for bot in one.bots or (one.name,):
            if bot in tenants:
                raise SettingsError(f"the bot {bot!r} is both {tenants[bot]}'s and {one.name}'s")
            tenants[bot] = one.name
    return tenants


def read_tenants_file(path: Path) -> dict[str, TenantTable]:
    """Read a TOML file with a table for each tenant.

    Raises:
        SettingsError: it cannot be read, names something unknown, or holds a secret that everybody may read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = msgspec.convert(tomllib.loads(text), dict[str, TenantTable])
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if any(table.user_token_secret for table in tables.values()):
        read_private(path)
    return tables


def sources_of(name: str, table: TenantTable, folder: Path) -> TenantSources:
    """Give the sources that a table of a file in `folder` names; SettingsError when a secret cannot be read."""
    secrets = table.user_token_secret
    if table.user_token_secret_file:
        secrets += "\n" + read_private(folder / table.user_token_secret_file).decode(errors="replace")
    return TenantSources(
        name=name,
        user_issuer=table.user_token_issuer or name,
        user_secrets=tuple(line.strip() for line in secrets.splitlines() if line.strip()),
        user_public_keys=folder / table.user_token_public_key if table.user_token_public_key else None,
        bots=table.bots or (),
        queue_cap=table.queue_cap,
    )


def with_tables(
    default: TenantSources, names: Iterable[str], tables: Mapping[str, TenantTable], folder: Path
) -> tuple[TenantSources, ...]:
    """Give the sources of all tenants. What the settings say is the `default` tenant's, unless it has a table.

    Raises:
        SettingsError: a table is no tenant's; or the settings and a table both say who vouches for the default one.
    """
    named = tuple(names)
    if stray := sorted(set(tables) - set(named)):
        raise SettingsError(f"tables of no tenant: {', '.join(stray)}; QA_KNOWLEDGE_BASES names those that are served")
    is_set = default.user_secrets or default.user_public_keys or default.user_issuer != default.name
    if default.name in tables and is_set:
        raise SettingsError(f"QA_USER_TOKEN_… and the table [{default.name}] both say who vouches for its users")
    return tuple(
        default if name == default.name and name not in tables else sources_of(name, tables.get(name, _EMPTY), folder)
        for name in named
    )


_EMPTY = TenantTable()
