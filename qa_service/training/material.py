"""What an encoder learns from: wordings of one meaning, pairs that only look alike, translations, unlabelled texts.

It knows no model.

A file holds one JSON value a line (.jsonl, or .jsonl.gz), and the kinds may be mixed:

- `{"texts": [...]}`: wordings of one meaning;
- `{"a": ..., "b": ..., "label": 1}`: the same meaning; label 0: not the same, however alike;
- `{"query": ..., "faq_id": ...}`: labelled questions or a log; those of one id mean the same, those of none are
  left out;
- `{"zh": ..., "en": ...}`: a Chinese text and its English.

Unlabelled texts come one a line: `{"text": ...}` in .jsonl, else the line is the text.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from qa_service.domain.errors import KnowledgeError
from qa_service.training.lines import is_json_lines, numbered_lines

_HELD_OUT_SHARE = 0.1
_LEAST_GROUPS = 2
_EXPECTED = '{"texts": [...]}, {"a", "b", "label": 0 or 1}, {"zh", "en"} or {"query", "faq_id"}'
_EXPECTED_TEXT = '{"text": ...}'


class _Row(msgspec.Struct, kw_only=True, frozen=True):
    texts: tuple[str, ...] = ()
    a: str = ""
    b: str = ""
    label: int | None = None
    query: str = ""
    faq_id: str | None = None
    zh: str = ""
    en: str = ""


class _TextRow(msgspec.Struct, kw_only=True, frozen=True):
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """`groups`: two or more texts each; `confusable`: pairs of unlike meaning; `parallel`: Chinese and its English."""

    groups: tuple[tuple[str, ...], ...]
    confusable: tuple[tuple[str, str], ...]
    parallel: tuple[tuple[str, str], ...] = ()


def read_material(paths: Sequence[Path]) -> Material:
    """Read all files as one.

    Raises:
        KnowledgeError: a file cannot be read, a row is of no kind, or the whole cannot teach anything: no group of
            two texts, or a single group, beside which nothing means something else.
    """
    groups: list[tuple[str, ...]] = []
    confusable: list[tuple[str, str]] = []
    parallel: list[tuple[str, str]] = []
    by_id: dict[str, list[str]] = {}
    for row in _rows(paths):
        if row.query:
            if row.faq_id:
                by_id.setdefault(row.faq_id, []).append(row.query)
        elif row.texts:
            groups.append(_distinct(row.texts))
        elif row.zh:
            parallel.append((row.zh, row.en))
        elif row.label:
            groups.append(_distinct((row.a, row.b)))
        else:
            confusable.append((row.a, row.b))
    groups += map(_distinct, by_id.values())
    material = Material(
        groups=tuple(group for group in groups if len(group) > 1),
        confusable=tuple(confusable),
        parallel=tuple(parallel),
    )
    _check(material, paths)
    return material


def read_texts(paths: Sequence[Path]) -> tuple[str, ...]:
    """Read all files of unlabelled texts as one, each text once.

    Raises:
        KnowledgeError: a file cannot be read, a row of a .jsonl is of another kind, or a file holds no text.
    """
    texts: dict[str, None] = {}
    for path in paths:
        found = dict.fromkeys(text for text in _texts(path) if any(map(str.isalnum, text)))
        if not found:
            raise KnowledgeError(f"no text in {path}: expected {_EXPECTED_TEXT} a line in .jsonl, else a text a line")
        texts |= found
    return tuple(texts)


def _texts(path: Path) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not is_json_lines(path):
            yield line.strip()
            continue
        try:
            yield msgspec.json.decode(line, type=_TextRow).text.strip()
        except msgspec.MsgspecError as error:
            raise KnowledgeError(f"{path}:{number}: {error}: expected {_EXPECTED_TEXT}") from None


def hold_out(material: Material, *, seed: int) -> tuple[Material, Material]:
    """Give a tenth of the groups (two at least) for early stopping, after the rest to train on.

    Raises:
        KnowledgeError: fewer than two groups would be left to train on.
    """
    groups = list(material.groups)
    random.Random(seed).shuffle(groups)  # noqa: S311 - no secret
    held = max(_LEAST_GROUPS, round(len(groups) * _HELD_OUT_SHARE))
    if len(groups) - held < _LEAST_GROUPS:
        raise KnowledgeError(f"{len(groups)} groups are too few to hold some out: name a dev file, or bring more")
    train = replace(material, groups=tuple(groups[held:]))
    return train, Material(groups=tuple(groups[:held]), confusable=())


def _rows(paths: Sequence[Path]) -> Iterator[_Row]:
    for path in paths:
        for number, line in numbered_lines(path):
            try:
                row = msgspec.json.decode(line, type=_Row)
            except msgspec.MsgspecError as error:
                raise KnowledgeError(f"{path}:{number}: {error}: expected {_EXPECTED}") from None
            if bool(row.zh.strip()) != bool(row.en.strip()):
                raise KnowledgeError(f"{path}:{number}: one side of the pair is empty: expected {_EXPECTED}")
            pair = bool(row.a and row.b and row.label in {0, 1})
            if not (row.texts or row.query or row.zh or pair):
                raise KnowledgeError(f"{path}:{number}: expected {_EXPECTED}")
            yield row


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _check(material: Material, paths: Sequence[Path]) -> None:
    where = ", ".join(map(str, paths)) or "no file"
    if not material.groups:
        raise KnowledgeError(f"no two texts of one meaning in {where}: expected {_EXPECTED}")
    if len(material.groups) < _LEAST_GROUPS:
        raise KnowledgeError(
            f"all texts in {where} mean the same: an encoder learns from what differs, so bring two groups or more"
        )
