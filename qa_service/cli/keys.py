"""keys and clients: make, show and take away what opens the service to other programs."""

from pathlib import Path

import click

from qa_service.access.caller import Scope
from qa_service.access.clients import make_client, read_clients, remove_client
from qa_service.access.signing_keys import make_signing_key, read_signing_keys, retire_signing_key
from qa_service.cli.group import settings_in_force, verbs
from qa_service.main import keys_dir
from qa_service.serve import base_url


@verbs.group("keys")
def keys_group() -> None:
    """Keys that sign access tokens (ES256). A running service reads them again within a few seconds."""


@keys_group.command("new")
def keys_new() -> None:
    """Make a key; it signs from now on, and the ones before it go on verifying."""
    folder = _folder()
    kid = make_signing_key(folder)
    live = len(read_signing_keys(folder))
    click.echo(kid)
    click.echo(f"Made the signing key {kid} in {folder}.", err=True)
    if live == 1:
        click.echo("Next, a client: qa-service clients new NAME --scope ask", err=True)
    else:
        click.echo(f"{live} keys are live. Retire the old one in 10 minutes: qa-service keys retire KID", err=True)


@keys_group.command("list")
def keys_list() -> None:
    """Show the keys, oldest first; * signs, the others verify."""
    found = read_signing_keys(_folder())
    for key in found:
        click.echo(f"{'*' if key is found[-1] else ' '} {key.kid}")


@keys_group.command("retire")
@click.argument("kid")
def keys_retire(kid: str) -> None:
    """Remove a key; what it signed is refused within a few seconds."""
    retire_signing_key(_folder(), kid)
    click.echo(f"Retired {kid}.", err=True)


@verbs.group("clients")
def clients_group() -> None:
    """Back ends that exchange an id and a secret for access tokens."""


@clients_group.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=[Scope.ASK.value],
    show_default=True,
    help="what it may do; may be given several times",
)
@click.option("--tenant", default=None, help="the knowledge base it belongs to (QA_KNOWLEDGE_BASE)")
def clients_new(name: str, scopes: tuple[str, ...], tenant: str | None) -> None:
    """Make a client; its secret is shown once and kept only as a digest."""
    settings = settings_in_force()
    made = make_client(
        keys_dir(settings), name, tenant=tenant or settings.knowledge_base, scopes=[Scope(one) for one in scopes]
    )
    click.echo(f"client_id={made.client.id}\nclient_secret={made.secret}")
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104  # compared, not bound
    token = f"{base_url(host, settings.port)}/oauth/token"
    click.echo(
        f"The secret is not shown again. A token for five minutes:\n\n"
        f"  curl -s {token} -u {made.client.id}:{made.secret} -d grant_type=client_credentials\n",
        err=True,
    )
    if not read_signing_keys(keys_dir(settings)):
        click.echo("No key can sign yet: qa-service keys new", err=True)


@clients_group.command("list")
def clients_list() -> None:
    """Show the clients: id, tenant, scopes, and since when."""
    for client in read_clients(_folder()).values():
        click.echo(f"{client.id}  {client.tenant}  {' '.join(client.scopes)}  {client.created_at}")


@clients_group.command("remove")
@click.argument("name")
def clients_remove(name: str) -> None:
    """Remove a client; its secret and its tokens are refused within a few seconds."""
    remove_client(_folder(), name)
    click.echo(f"Removed {name}.", err=True)


def _folder() -> Path:
    return keys_dir(settings_in_force())
