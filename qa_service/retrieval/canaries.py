"""Questions that a snapshot must answer as it did when it was built: they find what no hash can. It knows no server.

A file that is whole may still be another snapshot's, or be read wrongly by another version of a library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from qa_service.domain.errors import SnapshotError
from qa_service.domain.stopwatch import Stopwatch
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.entries import row_texts
from qa_service.retrieval.shelf import Shelf

FILE = "canaries.json"
_ASKED = 16  # of each shelf
_DRIFT = 0.1  # what another processor's rounding may change of a score; a wrong row is farther off


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A question, the id of the entry that came first when the index was built, and that entry's two scores.

    A question that found nothing has the id "". The scores tell of a leg that went wrong while the other one, and the
    reranker, still put the right entry first.
    """

    text: str
    entry_id: str
    keyword: float = 0.0
    vector: float = 0.0


Canaries = Mapping[str, tuple[Canary, ...]]
"""By the name of the shelf that they ask."""


def pick_canaries(shelf: Shelf, encoder: Encoder, moment: datetime) -> tuple[Canary, ...]:
    """Ask some entries, evenly spread, by their last wording; `moment` (aware) decides which are valid."""
    last = len(shelf.entries) - 1
    places = np.unique(np.linspace(0, last, _ASKED).astype(int)).tolist() if last >= 0 else []
    return _ask(shelf, encoder, [row_texts(shelf.entries[place])[-1] for place in places], moment)


def check_canaries(shelf: Shelf, encoder: Encoder, canaries: tuple[Canary, ...], moment: datetime) -> None:
    """Ask again, as if it were `moment` (aware): what has expired since must be found as it was.

    Raises:
        SnapshotError: a question finds another entry than it did when the index was built, or the same one for another
            reason.
    """
    for canary, now in zip(canaries, _ask(shelf, encoder, [one.text for one in canaries], moment), strict=True):
        if now.entry_id != canary.entry_id:
            found, before = (one.entry_id or "nothing" for one in (now, canary))
            raise SnapshotError(
                f"the canary question {canary.text!r} finds {found}, and found {before} when the index was built: "
                "build it again"
            )
        for leg, score, expected in (
            ("keyword", now.keyword, canary.keyword),
            ("vector", now.vector, canary.vector),
        ):
            if not abs(score - expected) <= _DRIFT:  # not a number is a fault, too
                raise SnapshotError(
                    f"the canary question {canary.text!r} finds {canary.entry_id} with the {leg} score {score:.2f}, "
                    f"and with {expected:.2f} when the index was built: build it again"
                )


def write_canaries(folder: Path, canaries: Canaries) -> None:
    """Write them into a snapshot."""
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(canaries), indent=1))


def read_canaries(folder: Path) -> Canaries:
    """Read them; SnapshotError when they cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, tuple[Canary, ...]])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{folder / FILE} cannot be read, build the index again: {error}") from error


def _ask(shelf: Shelf, encoder: Encoder, texts: list[str], moment: datetime) -> tuple[Canary, ...]:
    then = replace(shelf, clock=lambda: moment)
    rankings = then.rank(texts, encoder.encode(texts), Stopwatch()) if texts else []
    return tuple(
        Canary(text=text, entry_id=best.entry_id, keyword=best.keyword, vector=best.vector)
        if (best := ranking.best)
        else Canary(text=text, entry_id="")
        for text, ranking in zip(texts, rankings, strict=True)
    )
