"""Checks the training material: rows parse, groups are large enough, and no text is one that anything is measured on.

    python data/check_training.py [--against FOLDER]

`--against` names a folder of further evaluation sets (`*.queries.jsonl.gz`, `*.faq.jsonl.gz`, `*.pairs.jsonl.gz`);
without it only this repository's own are compared. Exit code 1 and `file:line: reason` when something is wrong.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from qa_service.domain.text import normalise

DATA = Path(__file__).parent
LEAST_TEXTS = 6  # of one meaning
LEAST_CHARS = 4  # a shorter text ("谢谢") says nothing about where it comes from


def key(text: str) -> str:
    """Give the form under which two texts count as the same."""
    return "".join(normalise(text).split())


def rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Give each row with its line number."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield line, json.loads(text)


def texts_of(row: dict[str, object]) -> Iterator[str]:
    """Give every text in a row of an evaluation set or of the demo base, whatever its shape."""
    for name in ("query", "question", "a", "b"):
        if isinstance(text := row.get(name), str):
            yield text
    for name in ("similar", "not_for", "context"):
        if isinstance(texts := row.get(name), list):
            yield from (text for text in texts if isinstance(text, str))


def measured(folders: list[Path]) -> dict[str, str]:
    """Give every text that something is measured on, with the file it stands in."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted((*folder.rglob("*.jsonl"), *folder.rglob("*.jsonl.gz"))):
            for _, row in rows(path):
                found.update((key(text), path.name) for text in texts_of(row) if len(key(text)) >= LEAST_CHARS)
    return found


def faults(training: Path, against: dict[str, str]) -> Iterator[str]:
    """Give what is wrong with the training material."""
    groups: dict[str, str] = {}
    for path in sorted(training.glob("groups.*.jsonl")):
        for line, row in rows(path):
            place, name, texts = f"{path.name}:{line}", str(row.get("group")), row.get("texts")
            if name in groups:
                yield f"{place}: group {name} stands at {groups[name]} too"
            groups[name] = place
            if not isinstance(texts, list) or len({key(text) for text in texts}) < LEAST_TEXTS:
                yield f"{place}: a group has at least {LEAST_TEXTS} different texts"
                continue
            yield from (
                f"{place}: {text!r} is measured on in {against[key(text)]}" for text in texts if key(text) in against
            )
    for path in sorted(training.glob("confusable.*.jsonl")):
        for line, row in rows(path):
            pair = [str(row.get("a", "")), str(row.get("b", ""))]
            if not all(pair) or key(pair[0]) == key(pair[1]):
                yield f"{path.name}:{line}: a pair is two different texts, a and b"
            yield from (
                f"{path.name}:{line}: {text!r} is measured on in {against[key(text)]}"
                for text in pair
                if key(text) in against
            )


def main(arguments: list[str]) -> int:
    """Print what is wrong, and how much there is."""
    folders = [DATA / "shop", DATA / "evaluation"]
    if arguments[:1] == ["--against"]:
        folders.append(Path(arguments[1]))
    training = DATA / "training"
    found = list(faults(training, measured(folders)))
    print("\n".join(found), file=sys.stderr)
    for kind in ("groups", "confusable"):
        print(f"{kind}: {sum(1 for path in training.glob(f'{kind}.*.jsonl') for _ in rows(path))}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
