"""train encoder: the built-in encoder, taught somebody's own wordings."""

from pathlib import Path

import click

from qa_service.cli.group import PATH, verbs


@verbs.group("train")
def train() -> None:
    """Teach a model your own wordings."""


@train.command("encoder")
@click.option(
    "--pairs", required=True, multiple=True, type=PATH, help="groups, pairs or labelled questions, .jsonl[.gz]"
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="folder to write the encoder to")
@click.option("--base", default="builtin", show_default=True, help="builtin, or a model's folder or name")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="at most")
@click.option("--dev", type=PATH, default=None, help="groups to stop early on; else a tenth is held out")
def train_encoder_command(pairs: tuple[Path, ...], out: Path, base: str, minutes: float, dev: Path | None) -> None:
    """Adapt an encoder; use it with QA_ENCODER=OUT and build the index again."""
    # torch costs seconds: only who trains pays for it
    from qa_service.training.encoder import Budget, train_encoder  # noqa: PLC0415

    trained = train_encoder(pairs, out=out, base=base, dev=dev, budget=Budget(minutes=minutes))
    click.echo(
        f"{trained.folder}: {trained.steps} steps, loss {trained.first_loss:.3f} to {trained.last_loss:.3f}, "
        f"held-out recall@1 {trained.recall_before:.3f} to {trained.recall_after:.3f}"
    )
