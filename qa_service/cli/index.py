"""index build, list, verify, activate, rollback, prune."""

from dataclasses import replace
from pathlib import Path

import click

from qa_service.cli.group import PATH, chosen_version, recipe_of, settings_in_force, verbs
from qa_service.domain.errors import SnapshotError
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.report import refuse_problems, report_lines
from qa_service.knowledge.versions import Versions
from qa_service.main import open_version, versions_of
from qa_service.retrieval.manifest import read_manifest
from qa_service.retrieval.snapshot import CALIBRATION, read_calibration
from qa_service.settings import Settings


@verbs.group()
def index() -> None:
    """Build, check and switch index snapshots."""


@index.command("build")
@click.argument("sources", nargs=-1, required=True, type=PATH)
@click.option("--strict", is_flag=True, help="fail when any row cannot be read")
@click.option("--synonyms", type=PATH, default=None, help="equal terms, a group a line (else SOURCES/synonyms.txt)")
@click.option("--activate/--no-activate", default=True, help="let the new version answer (default)")
def index_build(sources: tuple[Path, ...], *, strict: bool, synonyms: Path | None, activate: bool) -> None:
    """Build a new version from JSONL, CSV and Markdown files or folders of them.

    A folder may also hold synonyms.txt (`PLUS 会员 = 超级会员 = 金卡`, a group a line, the entries' own word first) and
    words.txt (a word a line for the dictionary; QA_CUSTOM_WORDS names another).
    """
    settings = settings_in_force()
    reading = read_sources(sources)
    for line in report_lines(reading):
        click.echo(line, err=True)
    if strict:
        refuse_problems(reading.problems)
    versions = versions_of(settings)
    built = build(reading, sources, versions, replace(_recipe(settings, versions), synonyms=synonyms))
    for path in built.word_files:
        click.echo(f"with the words of {path}", err=True)
    if activate:
        versions.activate(built.version)
    click.echo(built.version)


@index.command("list")
def index_list() -> None:
    """List the versions, oldest first; * answers."""
    for state in versions_of(settings_in_force()).list():
        mark = "*" if state.active else " "
        size_mb = state.bytes / 1e6
        click.echo(f"{mark} {state.version}  {state.entries:>8,} entries  {size_mb:8.1f} MB  {state.problem}".rstrip())


@index.command("verify")
@click.argument("version", required=False)
def index_verify(version: str | None) -> None:
    """Check a version's files (the active one's by default), open it and ask it something."""
    settings = settings_in_force()
    chosen = chosen_version(versions_of(settings), version)
    open_version(settings, chosen)
    click.echo(f"{chosen} is whole")


@index.command("activate")
@click.argument("version")
def index_activate(version: str) -> None:
    """Let a version answer; workers follow within a second."""
    settings = settings_in_force()
    open_version(settings, version)
    versions_of(settings).activate(version)
    click.echo(version)


@index.command("rollback")
def index_rollback() -> None:
    """Go back to the version that answered before."""
    click.echo(versions_of(settings_in_force()).rollback())


@index.command("prune")
@click.option("--keep", type=int, default=5, show_default=True, help="newest versions to keep")
def index_prune(keep: int) -> None:
    """Remove old versions; never the active one or the one before it."""
    for version in versions_of(settings_in_force()).prune(keep):
        click.echo(version)


def _recipe(settings: Settings, versions: Versions) -> Recipe:
    """Give what the settings say, with the numbers that were fitted for the active version if they still fit."""
    recipe = recipe_of(settings)
    try:
        active = versions.active()
        if active is None:
            return recipe
        manifest = read_manifest(versions.path(active))
        fitted = read_calibration(versions.path(active) / CALIBRATION)
    except SnapshotError:  # a new index is how a damaged one is mended
        return recipe
    same_encoder = manifest.encoder.fingerprint == recipe.encoder.fingerprint
    if recipe.quick and (manifest.quick is None or manifest.quick.fingerprint != recipe.quick.fingerprint):
        fitted = replace(fitted, cascade=recipe.calibration.cascade)  # what was fitted does not fit this one
    return replace(recipe, calibration=fitted) if same_encoder and fitted.name != recipe.calibration.name else recipe
