"""train encoder: an encoder taught somebody's own wordings, or made anew from a plain base."""

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
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="at most, each seed")
@click.option("--dev", type=PATH, default=None, help="groups to stop early on; else a tenth is held out")
@click.option("--dictionary", type=PATH, default=None, help="words and glosses: .jsonl[.gz], or CC-CEDICT's text")
@click.option("--words", type=click.IntRange(min=0), default=8_000, show_default=True, help="of it, at most")
@click.option("--least", type=click.IntRange(min=1), default=2, show_default=True, help="times that a word must occur")
@click.option("--texts", multiple=True, type=PATH, help="unlabelled texts: .jsonl[.gz], else a text a line")
@click.option("--teacher", default=None, help="sentence-transformers folder or name whose likenesses it learns")
@click.option("--taught", type=click.IntRange(min=1), default=20_000, show_default=True, help="texts for it, at most")
@click.option("--seeds", type=click.IntRange(min=1, max=9), default=1, show_default=True, help="trainings to average")
def train_encoder_command(  # noqa: PLR0913, PLR0917 - one for each option
    pairs: tuple[Path, ...],
    out: Path,
    base: str,
    minutes: float,
    dev: Path | None,
    dictionary: Path | None,
    words: int,
    least: int,
    texts: tuple[Path, ...],
    teacher: str | None,
    taught: int,
    seeds: int,
) -> None:
    """Adapt an encoder; use it with QA_ENCODER=OUT and build the index again."""
    # torch costs seconds: only who trains pays for it
    from qa_service.training.encoder import Budget, Sources, train_encoder  # noqa: PLC0415

    trained = train_encoder(
        pairs,
        out=out,
        base=base,
        dev=dev,
        sources=Sources(dictionary=dictionary, texts=texts, teacher=teacher, words=words, least=least, taught=taught),
        budget=Budget(minutes=minutes, seeds=seeds),
    )
    click.echo(
        f"{trained.folder}: {len(trained.growth.characters)} new characters, {len(trained.growth.words)} new words, "
        f"{trained.steps} steps, loss {trained.first_loss:.3f} to {trained.last_loss:.3f}, "
        f"held-out recall@1 {trained.recall_before:.3f} to {trained.recall_after:.3f}"
    )
