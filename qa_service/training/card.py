"""The model card of a trained encoder: what it came from, how, and what it reached. It knows no model.

What only the user can know, licences above all, is left open in words that catch the eye.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qa_service.training.lines import numbered_lines

MODEL_CARD = "MODEL_CARD.md"
TO_FILL = "**TO BE FILLED IN**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file that it learned from, or was measured on, and for what it was used."""

    path: Path
    use: str


def write_model_card(
    folder: Path,
    *,
    models: Mapping[str, str],
    sources: Sequence[Source],
    recipe: Mapping[str, object],
    figures: Mapping[str, object],
) -> None:
    """Write the card. `models` gives the part (base, teacher) of each model; of a path its last two parts are told."""
    named = {part: f"{'/'.join(Path(name).parts[-2:])}, licence: {TO_FILL}" for part, name in models.items()}
    rows = "\n".join(map(_row, sources))
    text = f"""# {folder.resolve().name}

A sentence encoder, made by `qa-service train encoder` on {datetime.now(UTC):%Y-%m-%d}. Serving opens `model.int8.onnx`
and `tokenizer.json`, whose SHA-256 stand in `encoder.json`; sentence-transformers opens the folder, in float32.

## Models and licences

Licence of this model: {TO_FILL}; those of its models and data bind it.

{_listed(named)}

## What it learned from

| file | lines | used for | SHA-256 | licence, source |
|---|---|---|---|---|
{rows}

## Recipe

{_listed(recipe)}

## Figures

{_listed(figures)}

## Limits

{TO_FILL}: what it was not measured on. Wordings that were held out chose among its weights, so that their figure
flatters it.
"""
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")


def _listed(facts: Mapping[str, object]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _row(source: Source) -> str:
    with source.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lines = sum(1 for _ in numbered_lines(source.path))
    return f"| {source.path.name} | {lines:,} | {source.use} | `{digest}` | {TO_FILL} |"
