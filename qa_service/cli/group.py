"""What all verbs share: the group, the settings in force, the event loop. It knows no verb."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from qa_service.domain.errors import OperatorError, QaError
from qa_service.knowledge.build import Recipe
from qa_service.knowledge.versions import Versions
from qa_service.main import encoder_named
from qa_service.retrieval.builtin_encoder import BuiltinEncoder
from qa_service.retrieval.encoder import BUILTIN
from qa_service.settings import Settings, load_settings

PATH = click.Path(exists=True, path_type=Path)


class Verbs(click.Group):
    """Shows an error that the operator can mend as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's signature
        """Run a verb; exit 2 when the operator must mend something, 1 when the request was wrong."""
        try:
            return super().invoke(ctx)
        except QaError as error:
            click.echo(f"{error.title}: {error.detail}", err=True)
            sys.exit(2 if isinstance(error, OperatorError) else 1)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def verbs() -> None:
    """Hybrid retrieval-plus-generation answering service. Settings are QA_… variables; `config` lists them."""


def settings_in_force(**overrides: Any) -> Settings:  # noqa: ANN401  # whatever a setting's type is
    """Read the settings; an override that is None does not count."""
    return load_settings(**{name: value for name, value in overrides.items() if value is not None})


def recipe_of(settings: Settings) -> Recipe:
    """Give what the settings say an index is made with."""
    encoder = encoder_named(settings.encoder)
    # An encoder of the built-in's own kind is as fast: there is nothing to spare.
    has_quick = settings.cascade and not isinstance(encoder, BuiltinEncoder)
    quick = encoder_named(BUILTIN) if has_quick else None
    return Recipe(encoder=encoder, quick=quick, custom_words=settings.custom_words)


def chosen_version(versions: Versions, version: str | None) -> str:
    """Give the version named, or the active one; an error when there is neither."""
    chosen = version or versions.active()
    if chosen is None:
        message = "no index is active; build one: qa-service index build SOURCES"
        raise click.ClickException(message)
    return chosen


async def at_once(work: Any) -> Any:  # noqa: ANN401  # nobody else waits for this event loop
    """Run CPU work where it stands: a door for those who are alone."""
    return work()


def run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever the work gives
    """Run an event loop until the work is done."""
    import uvloop  # noqa: PLC0415  # not needed by the verbs that wait for nothing

    return uvloop.run(work)
