"""What is switched on: one typed value from `QA_…` variables over a TOML file over defaults. It opens nothing.

An unknown key is an error, because a misspelt setting that is silently ignored is found in production. A secret can
be read from a file: `QA_REDIS_URL_FILE` names one that holds QA_REDIS_URL.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from qa_service.api.address import networks_of
from qa_service.domain.errors import SettingsError
from qa_service.webhooks.addresses import private_hosts_of
from qa_service.webhooks.schedule import RETRIES_S, TIMEOUT_S, schedule_of

_PREFIX = "QA_"
_CONFIG = "QA_CONFIG"  # names the TOML file
_DEFAULT_FILE = "qa_service.toml"
_TENANT = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_MOST_PER_MIN = 1_000_000  # a log of so many keeps 10 MB in Redis
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class Settings(BaseSettings):
    """Everything that can be set, with its default and its unit."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, str_strip_whitespace=True
    )

    host: str = Field("127.0.0.1", description="address to bind")
    port: int = Field(8000, ge=0, le=65535, description="port to bind; 0: any free one")
    state_dir: Path = Field(Path("var"), description="folder of the private Redis and other state")
    indexes_dir: Path = Field(Path("indexes"), description="folder of the index snapshots")
    knowledge_base: str = Field(
        "shop", pattern=_TENANT, description="which knowledge base answers; of several, the default tenant"
    )
    knowledge_bases: str = Field(
        "", description="all that answer, with commas: a tenant each, the default one first; none: QA_KNOWLEDGE_BASE"
    )
    tenants_file: Path | None = Field(
        None, description="TOML file with a table a tenant: who vouches for its users, its bots, its queue_cap"
    )
    redis_url: SecretStr | None = Field(None, description="a Redis to use; none: a private one is started")
    redis_partitions: int = Field(1, ge=1, le=1024, description="hash slots that sessions are spread over")
    keys_dir: Path | None = Field(None, description="folder of signing keys and clients; none: keys in QA_STATE_DIR")
    token_issuer: str = Field(
        "qa-service", min_length=1, max_length=128, description="iss of access tokens; aud of access and user tokens"
    )
    user_token_issuer: str = Field("", description="iss of the host's user tokens; none: the knowledge base's name")
    user_token_secret: SecretStr | None = Field(
        None, description="secret of user tokens (HS256), 32 bytes or more; several in use: one a line"
    )
    user_token_public_key: Path | None = Field(
        None, description="PEM file of public keys of user tokens (RS256, ES256, EdDSA)"
    )
    encoder: str = Field("builtin", description="encoder to build indexes with: builtin, or a model's name or path")
    cascade: bool = Field(default=True, description="build with a quick look that spares a slow encoder; on or off")
    reranker: str = Field("light", description="light, or the name or path of a cross-encoder")
    custom_words: Path | None = Field(None, description="dictionary file: a word a line, its frequency optional")
    queue_cap: int = Field(10_000, ge=1, description="waiting questions of a tenant at most; more are refused with 503")
    most_connections: int = Field(
        10_000, ge=1, description="connections an API process holds at once; more are refused"
    )
    ws_idle_s: int = Field(
        3_600, ge=1, description="seconds after which a WebSocket whose client has sent no frame is closed"
    )
    batch: int = Field(64, ge=1, le=1024, description="questions a worker takes at once")
    claim_idle_ms: int = Field(
        5_000, ge=100, description="milliseconds after which another worker takes over a question"
    )
    limit_uid_per_min: int = Field(60, ge=0, le=_MOST_PER_MIN, description="questions of one user; 0: no limit")
    limit_ip_per_min: int = Field(300, ge=0, le=_MOST_PER_MIN, description="requests from one address; 0: no limit")
    limit_client_per_min: int = Field(
        6_000, ge=0, le=_MOST_PER_MIN, description="requests of one client, instead of its address's; 0: no limit"
    )
    trusted_proxies: str = Field(
        "", description="networks of proxies, with commas, whose X-Forwarded-For or Forwarded is believed"
    )
    canary: str = Field("", description="VERSION:N%: a share of the questions that another index version answers")
    shadow: str = Field("", description="VERSION of an index that answers every question too, unheard")
    webhook_private_hosts: str = Field(
        "", description="private hosts that webhooks may be sent to, with commas: HOST, HOST:PORT, ADDRESS or NETWORK"
    )
    webhook_retries_s: str = Field(
        ",".join(f"{wait_s:g}" for wait_s in RETRIES_S),
        description="seconds to wait before each attempt at a delivery, the first one's included",
    )
    webhook_timeout_s: float = Field(TIMEOUT_S, gt=0, le=60, description="seconds that an attempt may take in all")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least level that is logged")

    @model_validator(mode="before")
    @classmethod
    def _has_a_default(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Make the first of several the default, unless one is named."""
        names = _names(str(given.get("knowledge_bases") or ""))
        if not names:
            return given
        if wrong := [name for name in names if not re.fullmatch(_TENANT, name) or names.count(name) > 1]:
            message = f"QA_KNOWLEDGE_BASES: {wrong[0]!r} is no name of 1 to 64 of a-z 0-9 _ -, or comes twice"
            raise ValueError(message)
        if str(given.get("knowledge_base", names[0])).strip() not in names:
            message = f"QA_KNOWLEDGE_BASE: {given['knowledge_base']!r} is not among QA_KNOWLEDGE_BASES"
            raise ValueError(message)
        return {"knowledge_base": names[0], **given}

    @property
    def tenants(self) -> tuple[str, ...]:
        """All knowledge bases that are served, the default one first."""
        names = _names(self.knowledge_bases)
        return (self.knowledge_base, *(name for name in names if name != self.knowledge_base))

    @field_validator("redis_url")
    @classmethod
    def _has_a_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(_REDIS_SCHEMES):
            message = f"must begin with {', '.join(_REDIS_SCHEMES)}"  # never the value: it may hold a password
            raise ValueError(message)
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        networks_of(proxies)
        return proxies

    @field_validator("webhook_private_hosts")
    @classmethod
    def _are_hosts(cls, hosts: str) -> str:
        private_hosts_of(hosts)
        return hosts

    @field_validator("webhook_retries_s")
    @classmethod
    def _are_seconds(cls, waits: str) -> str:
        schedule_of(waits)
        return waits

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings names them all
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over the file, and the file over defaults."""
        file = Path(os.environ.get(_CONFIG, _DEFAULT_FILE))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    def masked(self) -> dict[str, Any]:
        """Give every setting as text, secrets as asterisks."""
        return {name: str(value) for name, value in self.model_dump().items()}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401  # whatever a setting's type is
    """Read the settings; `overrides` win over everything.

    Raises:
        SettingsError: a key is unknown or a value makes no sense; the message names it.
    """
    _check_names(os.environ)
    named = os.environ.get(_CONFIG)
    if named and not Path(named).is_file():
        raise SettingsError(f"{_CONFIG} names {named}, and there is no such file")
    try:
        return Settings(**(_from_files(os.environ) | overrides))
    except (ValueError, OSError) as error:  # pydantic's ValidationError is a ValueError
        raise SettingsError(_explained(error)) from error


def _check_names(environment: Mapping[str, str]) -> None:
    known = {_CONFIG} | {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = [
        name
        for name in environment
        if name.startswith(_PREFIX) and name not in known and name.removesuffix("_FILE") not in known
    ]
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}; `qa-service config` lists all")


def _from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the settings whose value lies in a file of its own."""
    given: dict[str, str] = {}
    for field in Settings.model_fields:
        name = f"{_PREFIX}{field.upper()}_FILE"
        if name in environment:
            try:
                given[field] = Path(environment[name]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name} names a file that cannot be read: {error}") from error
    return given


def _explained(error: ValueError | OSError) -> str:
    if not isinstance(error, ValidationError):
        return f"the settings file cannot be read: {error}"
    return "; ".join(
        f"{_PREFIX}{'_'.join(map(str, detail['loc'])).upper()}: {detail['msg']}" if detail["loc"] else detail["msg"]
        for detail in error.errors(include_url=False, include_input=False)
    )
