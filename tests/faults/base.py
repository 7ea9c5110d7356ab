"""Two knowledge bases with the same questions: every answer of the one begins with 甲, of the other with 乙."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from api.service import ROOT, qa

from qa_service.retrieval.manifest import Manifest, read_manifest, write_manifest

ENTRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """Where the snapshots lie, which version tells which letter, and the questions both know."""

    indexes: Path
    letters: dict[str, str]  # version -> letter
    questions: dict[str, str]  # question -> the id that its answer names

    @property
    def versions(self) -> list[str]:
        """Both versions; the first is the active one."""
        return list(self.letters)

    def copy(self, folder: Path) -> "Bases":
        """The same snapshots in a folder of their own, for a test that activates or damages some."""
        return replace(self, indexes=shutil.copytree(self.indexes, folder / "indexes"))


def build_bases(folder: Path) -> Bases:
    """Build both, and activate the first."""
    lines = (ROOT / "data/shop/faq.zh.jsonl").read_text(encoding="utf-8").splitlines()[:ENTRIES]
    entries = [json.loads(line) for line in lines]
    indexes = folder / "indexes"
    letters = {}
    for letter, more in (("甲", ()), ("乙", ("--no-activate",))):
        source = folder / f"{letter}.jsonl"
        told = [{**entry, "answer": f"{letter} {entry['id']}"} for entry in entries]
        source.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told), encoding="utf-8")
        letters[qa("index", "build", *more, str(source), indexes=indexes).stdout.split()[-1]] = letter
    questions = {entry["question"]: entry["id"] for entry in entries}
    return Bases(indexes=indexes, letters=letters, questions=questions)


def clone(bases: Bases, name: str, **changes: object) -> Path:
    """A whole copy of the active version under another name; `changes` are of its manifest."""
    first = bases.indexes / "shop" / bases.versions[0]
    folder = shutil.copytree(first, first.with_name(name))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    manifest: Manifest = replace(read_manifest(first), version=name)
    write_manifest(folder, replace(manifest, **changes))  # type: ignore[arg-type]  # whatever a test wants changed
    return folder
