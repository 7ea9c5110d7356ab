"""A new version of an index with another calibration: its unchanged files are linked, not copied."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from qa_service.domain.hit import Ranking
from qa_service.domain.stopwatch import Stopwatch
from qa_service.knowledge.build import set_calibration
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.canaries import FILE as CANARIES
from qa_service.retrieval.manifest import write_manifest
from qa_service.retrieval.rerank import LightReranker
from qa_service.retrieval.shelf import Shelf
from qa_service.retrieval.snapshot import CALIBRATION, Snapshot


def rank_under(snapshot: Snapshot, calibration: Calibration, texts: Sequence[str]) -> list[Ranking]:
    """Rank texts as the snapshot's own encoder would under another calibration."""
    shelf = snapshot.faq
    reranker = shelf.reranker
    if isinstance(reranker, LightReranker):
        reranker = reranker.under(calibration.rerank)
    other: Shelf = replace(shelf, calibration=calibration, reranker=reranker)
    return other.rank(texts, snapshot.encoder.encode(texts), Stopwatch())


def quick_ranker(snapshot: Snapshot) -> Callable[[Sequence[str]], list[Ranking]] | None:
    """Give what ranks texts by the quick look alone, however unsure it is; None where there is none."""
    look = snapshot.quick
    return (lambda texts: look.rank(snapshot.faq, texts)) if look else None


def with_calibration(versions: Versions, snapshot: Snapshot, calibration: Calibration) -> str:
    """Make a new version of an open one with another calibration; gives its name. It is not activated.

    Raises:
        SnapshotError: the old version cannot be read, or the new one not be written.
    """
    manifest = snapshot.manifest
    old = versions.path(manifest.version)
    new, moment = versions.new_version(), datetime.now(UTC)
    with versions.staging(new) as folder:
        for name in manifest.files:
            if name not in {CALIBRATION, CANARIES}:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.link(old / name, folder / name)
        quick = snapshot.quick.encoder if snapshot.quick else None
        set_calibration(folder, calibration, snapshot.faq.tokeniser, snapshot.encoder, moment, quick=quick)
        write_manifest(folder, replace(manifest, version=new, created_at=moment, calibration=calibration.name))
    return new
