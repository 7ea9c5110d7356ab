"""serve, api, worker, webhooks: the verbs that run until they are stopped."""

import asyncio
import os
import shlex
import signal
from collections.abc import Awaitable, Callable

import click

from qa_service.access.local_key import LocalKey
from qa_service.access.opening import open_ring
from qa_service.cli.group import run, settings_in_force, verbs
from qa_service.logs import configure_logs
from qa_service.main import access_sources, furnished, redis_address, settings_of, versions_of
from qa_service.main_webhooks import run_webhooks
from qa_service.main_worker import run_worker
from qa_service.serve import Serving, serve

_PARENT_LOOK_S = 0.5


@verbs.command("serve")
@click.option("--host", default=None, help="address to bind (QA_HOST)")
@click.option("--port", type=int, default=None, help="port to bind, 0 for a free one (QA_PORT)")
def serve_command(host: str | None, port: int | None) -> None:
    """Run a private Redis (unless QA_REDIS_URL names one), an API, a worker and a webhooks process."""
    settings = settings_in_force(host=host, port=port)
    configure_logs(settings.log_level, process="serve")
    for tenant in settings.tenants:
        if versions_of(settings_of(settings, tenant)).active() is None:
            click.echo(f"No index of {tenant!r} is active yet; see `qa-service index build --help`.", err=True)
    run(serve(settings, _announce))


@verbs.command("api")
@click.option("--parent", type=int, default=0, help="end when this process does")
def api_command(parent: int) -> None:
    """Run one API process against QA_REDIS_URL."""
    # Only this process needs an HTTP server.
    from qa_service.http_server import run_http  # noqa: PLC0415

    settings = settings_in_force()
    redis_address(settings)  # refused here in one line, rather than by a server that has half started
    open_ring(access_sources(settings))
    configure_logs(settings.log_level, process="api")
    run_http(
        lambda: furnished(settings),
        host=settings.host,
        port=settings.port,
        parent=parent,
        most_connections=settings.most_connections,
    )


@verbs.command("worker")
@click.option("--parent", type=int, default=0, help="end when this process does")
def worker_command(parent: int) -> None:
    """Run one worker process against QA_REDIS_URL."""
    settings = settings_in_force()
    configure_logs(settings.log_level, process="worker")

    run(_until_stopped(parent, lambda stop: run_worker(settings, stop)))


@verbs.command("webhooks")
@click.option("--parent", type=int, default=0, help="end when this process does")
def webhooks_command(parent: int) -> None:
    """Run one process that delivers webhooks, against QA_REDIS_URL."""
    settings = settings_in_force()
    configure_logs(settings.log_level, process="webhooks")
    run(_until_stopped(parent, lambda stop: run_webhooks(settings, redis_address(settings), stop)))


async def _until_stopped(parent: int, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    watching = asyncio.create_task(_stop_with_parent(parent, stop))
    await work(stop)
    watching.cancel()


async def _stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    while parent and os.getppid() == parent:  # noqa: ASYNC110  # a parent that dies wakes nobody
        await asyncio.sleep(_PARENT_LOOK_S)
    if parent:
        stop.set()


def _announce(serving: Serving) -> None:
    url = serving.url
    click.echo(
        f"""
qa_service answers at {url} (API description: {url}/schema). Try:

  {_first_call(serving)}

Ctrl-C stops it."""
    )


def _first_call(serving: Serving) -> str:
    if serving.local_key is None:  # nobody but a client asks without a session, and its secret was told elsewhere
        return f"curl -s -X POST {serving.url}/api/v1/bot/sessions"
    body = '{"text": "怎么退货"}'
    return (
        f"curl -s {serving.url}/api/v1/bot/answers -H 'Content-Type: application/json' "
        f"-H \"Authorization: Bearer {_shown(serving.local_key)}\" -d '{body}'"
    )


def _shown(key: LocalKey) -> str:
    """Tell a key when it is new; later only where it lies, so that no terminal keeps repeating it."""
    return key.text if key.is_new else f"$(cat {shlex.quote(str(key.path))})"
