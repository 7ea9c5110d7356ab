"""doctor, config and shadow: what is set, whether it will hold, and what a version on trial would have done."""

import sys
from typing import Any

import click

from qa_service.cli.group import run, settings_in_force, verbs
from qa_service.doctor.examine import examine
from qa_service.doctor.finding import Finding, Level, count, told, told_as_json
from qa_service.domain.errors import SettingsError
from qa_service.main_worker import shadow_counts
from qa_service.settings import Settings


@verbs.command("doctor")
@click.option("--json", "as_json_text", is_flag=True, help="print the findings as JSON")
@click.option("--settings", "with_settings", is_flag=True, help="print the settings in force too, secrets masked")
def doctor_command(*, as_json_text: bool, with_settings: bool) -> None:
    """Check Redis, the index, the encoder, the clock, open files and disks; 1 when anything is wrong."""
    shown: dict[str, Any] = {}
    try:
        settings = settings_in_force()
        findings = run(examine(settings))
        shown = settings.masked() if with_settings else {}
    except SettingsError as error:
        findings = [Finding(name="settings", level=Level.ERROR, found=error.detail, advice="see `qa-service config`")]
    click.echo(told_as_json(findings, shown) if as_json_text else "\n".join(told(findings, shown)))
    sys.exit(1 if count(findings, Level.ERROR) else 0)


@verbs.command("config")
def config_command() -> None:
    """Show every setting in force, secrets masked, with what it means."""
    settings = settings_in_force()
    for name, value in settings.masked().items():
        click.echo(f"QA_{name.upper()}={value}    # {Settings.model_fields[name].description}")


@verbs.command("shadow")
@click.argument("version")
def shadow_command(version: str) -> None:
    """Show what a QA_SHADOW version would have decided beside the one that answered, counted over all workers."""
    settings = settings_in_force()
    counts: dict[str, int] = run(shadow_counts(settings, version))
    if not counts:
        click.echo(f"no question has been answered in the shadow by {version}")
    for pair, times in sorted(counts.items(), key=lambda one: -one[1]):
        decisions, _, entry = pair.partition(":")
        click.echo(
            f"{times:>8}  {decisions.replace('>', ' -> ')}  ({entry} entry)".replace("differs entry", "another entry")
        )
