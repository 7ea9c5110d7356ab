"""Lua scripts: found beside this file, run by digest in one round trip. It knows nothing of what they do."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from qa_service.store.connection import translated

Reply: TypeAlias = Any  # numbers, bytes, None, and lists of these

_NEEDS = "-- needs "


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script's text and the digest (SHA-1, 40 hex digits) under which Redis keeps it."""

    source: str
    sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of a script; all `keys` share a hash tag."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | bytes | int]


@cache
def load(name: str) -> Script:
    """The script `lua/<name>.lua`, with the files in front of it that its first line asks for."""
    folder = resources.files(__package__) / "lua"
    source = (folder / f"{name}.lua").read_text(encoding="utf-8")
    first, _, _ = source.partition("\n")
    for needed in reversed(first.removeprefix(_NEEDS).split() if first.startswith(_NEEDS) else []):
        source = (folder / needed).read_text(encoding="utf-8") + source
    return Script(source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


async def run(client: Redis, call: Call) -> Reply:
    """What the script returns. One round trip, and two more when Redis has forgotten the script (a restart).

    Raises:
        StoreUnavailable: Redis cannot serve.
    """
    with translated():
        try:
            return await _evaluate(client, call)
        except NoScriptError:
            # Nothing was run, so that running it now is no retry.
            await client.script_load(call.script.source)
            return await _evaluate(client, call)


async def run_many(client: Redis, calls: Sequence[Call]) -> list[Reply]:
    """What each of the scripts returns, in one round trip; they are not one transaction.

    Raises:
        StoreUnavailable: Redis cannot serve; some may have run, so that the scripts have to be fenced.
    """
    with translated():
        async with client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
            results = await pipe.execute(raise_on_error=False)
    for position, result in enumerate(results):
        if isinstance(result, NoScriptError):
            results[position] = await run(client, calls[position])
        elif isinstance(result, Exception):
            with translated():
                raise result
    return list(results)


async def _evaluate(client: Redis, call: Call) -> Reply:
    command = ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types for it
