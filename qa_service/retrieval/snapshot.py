"""An opened index snapshot: the FAQ shelf, the passage shelf, and the encoder they share. Read-only and immutable.

Where that encoder is slow, a quick look with the built-in one may spare it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError
from qa_service.domain.explanation import ExplainedHit
from qa_service.domain.hit import Ranking
from qa_service.domain.stopwatch import Stopwatch
from qa_service.domain.suggestion import Suggestion
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.canaries import check_canaries, read_canaries
from qa_service.retrieval.cascade import QuickLook, open_quick_look
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.entries import EntryTable
from qa_service.retrieval.explain import explain_hits
from qa_service.retrieval.features import FeatureReader
from qa_service.retrieval.keyword import KeywordIndex
from qa_service.retrieval.manifest import Manifest, read_manifest
from qa_service.retrieval.meanings import Meanings
from qa_service.retrieval.rerank import LightReranker, Reranker
from qa_service.retrieval.shelf import Shelf
from qa_service.retrieval.spelling import Language, Spelling
from qa_service.retrieval.suggest import Suggester
from qa_service.retrieval.synonyms import ReadingEncoder
from qa_service.retrieval.tokens import Tokeniser
from qa_service.retrieval.vectors import VectorIndex

FAQ, PASSAGES = "faq", "passages"  # the shelves' folders
QUICK = "quick"  # the FAQ's vectors once more, by the built-in encoder
SUGGEST = "suggest"  # the FAQ's questions for type-ahead
CALIBRATION = "calibration.json"
CUSTOM_WORDS = "words.txt"
SYNONYMS = "synonyms.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a worker answers from. Every answer names its `version`."""

    manifest: Manifest
    encoder: Encoder
    calibration: Calibration
    faq: Shelf
    passages: Shelf
    suggester: Suggester
    spelling: Spelling
    quick: QuickLook | None = None

    @property
    def version(self) -> str:
        """The version named by the manifest."""
        return self.manifest.version

    @property
    def calibration_name(self) -> str:
        """Where its weights and thresholds come from."""
        return self.calibration.name

    def rank_faq(self, texts: Sequence[str], watch: Stopwatch | None = None) -> list[Ranking]:
        """Rank the FAQ entries for each text, best first. One batch: encoded and searched together.

        Where a quick look is sure, its ranking stands; all other texts are encoded and ranked as if there were none.
        """
        watch = watch or Stopwatch()
        return self._likelier(texts, watch)

    def rank_passages(self, texts: Sequence[str], watch: Stopwatch | None = None) -> list[Ranking]:
        """Rank the passages for each text, best first."""
        return self._rank(self.passages, texts, watch or Stopwatch())

    def _likelier(self, texts: Sequence[str], watch: Stopwatch) -> list[Ranking]:
        """Rank each text as it stands and, where a slip is seen, as it was meant; give the likelier ranking."""
        meant = [self.spelling.mend(text) for text in texts]
        slips = [place for place, text in enumerate(texts) if meant[place] != text]
        rankings = self._rank_faq([*texts, *(meant[place] for place in slips)], watch)
        for place, mended in zip(slips, rankings[len(texts) :], strict=True):
            if mended.in_scope > rankings[place].in_scope:
                rankings[place] = replace(mended, read_as=meant[place])
        return rankings[: len(texts)]

    def _rank_faq(self, texts: Sequence[str], watch: Stopwatch) -> list[Ranking]:
        if self.quick is None or not texts or not len(self.faq.entries):
            return self._rank(self.faq, texts, watch)
        looks = self.quick.sure(self.faq, texts, watch)
        unsure = [text for text, look in zip(texts, looks, strict=True) if look is None]
        slow = iter(self._rank(self.faq, unsure, watch))
        return [look or next(slow) for look in looks]

    def _rank(self, shelf: Shelf, texts: Sequence[str], watch: Stopwatch) -> list[Ranking]:
        if not texts or not len(shelf.entries):
            return [Ranking() for _ in texts]
        with watch("encode"):
            encoded = self.encoder.encode(texts)
        return shelf.rank(texts, encoded, watch)

    def suggest(self, typed: str, limit: int, *, locale: str = "") -> tuple[Suggestion, ...]:
        """Give at most `limit` FAQ entries whose question what was typed may become, best first."""
        return self.suggester.suggest(typed, limit, locale=locale)

    def likeness(self, question: str, texts: Sequence[str]) -> list[float]:
        """Give each text's cosine (-1 to 1) to a question."""
        encoded = self.encoder.encode([question, *texts])
        return [float(value) for value in encoded[1:] @ encoded[0]]

    def tokens(self, text: str) -> tuple[str, ...]:
        """Give the tokens that both keyword legs look for."""
        return tuple(self.faq.tokeniser.tokens(text))

    def explain_faq(self, text: str, ranking: Ranking) -> tuple[ExplainedHit, ...]:
        """Give the numbers behind a ranking of the FAQ, by whichever encoder."""
        shelf = self.quick.over(self.faq) if self.quick and ranking.quick else self.faq
        return explain_hits(shelf, text, ranking.hits)

    def explain_passages(self, text: str, ranking: Ranking) -> tuple[ExplainedHit, ...]:
        """Give the numbers behind a ranking of the passages."""
        return explain_hits(self.passages, text, ranking.hits)

    def faq_entry(self, position: int) -> Entry:
        """Give the FAQ entry at a hit's `entry`."""
        return self.faq.entries[position]

    def passage(self, position: int) -> Entry:
        """Give the passage at a hit's `entry`."""
        return self.passages.entries[position]


def open_snapshot(
    folder: Path, encoder: Encoder, *, reranker: Reranker | None = None, quick: Encoder | None = None
) -> Snapshot:
    """Open a built snapshot; `reranker` replaces the light one.

    `quick` is the encoder of the quick look. There is none with another reranker, whose scores no margin fits, nor
    where the snapshot was built without one or with another version of that encoder: then `encoder` does it all.

    Raises:
        SnapshotError: a file is missing or damaged, the snapshot was built with another encoder or tokeniser, or a
            canary question is not answered as it was at the build.
    """
    manifest = read_manifest(folder)
    words, synonyms = (path if path.exists() else None for path in (folder / CUSTOM_WORDS, folder / SYNONYMS))
    tokeniser = Tokeniser(words, synonyms)
    _check_fit(manifest, encoder, tokeniser)
    encoder = reading_encoder(encoder, tokeniser)
    calibration = read_calibration(folder / CALIBRATION)
    shelves = {name: open_shelf(folder / name, tokeniser, calibration, reranker) for name in (FAQ, PASSAGES)}
    look = None
    if quick and reranker is None and manifest.quick and manifest.quick.fingerprint == quick.fingerprint:
        look = open_quick_look(folder / QUICK, reading_encoder(quick, tokeniser), calibration)
    if reranker is None:  # another reranker may well prefer other entries
        canaries = read_canaries(folder)
        for name, shelf in shelves.items():
            check_canaries(shelf, encoder, canaries.get(name, ()), manifest.created_at)
        if look:
            check_canaries(look.over(shelves[FAQ]), look.encoder, canaries.get(QUICK, ()), manifest.created_at)
    return Snapshot(
        manifest=manifest,
        encoder=encoder,
        calibration=calibration,
        faq=shelves[FAQ],
        passages=shelves[PASSAGES],
        suggester=Suggester.open(folder / SUGGEST, shelves[FAQ].entries),
        spelling=open_spelling(folder, tokeniser, [shelf.keyword for shelf in shelves.values()]),
        quick=look,
    )


def open_spelling(folder: Path, tokeniser: Tokeniser, indexes: Sequence[KeywordIndex]) -> Spelling:
    """Open the words of a snapshot; `indexes` tell which pairs of characters its texts hold. Raises SnapshotError."""

    def uses(pair: str) -> bool:
        return any(index.holds(pair) for index in indexes)

    return Spelling.open(folder, Language(cut=tokeniser.cut, stem=tokeniser.stem, uses=uses))


def read_calibration(path: Path) -> Calibration:
    """Read a snapshot's fitted numbers; SnapshotError when they cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}") from error


def _check_fit(manifest: Manifest, encoder: Encoder, tokeniser: Tokeniser) -> None:
    if manifest.encoder.fingerprint != encoder.fingerprint:
        raise SnapshotError(
            f"snapshot {manifest.version} was built with the encoder {manifest.encoder.name} "
            f"({manifest.encoder.dimension} dimensions), and the service uses {encoder.name} "
            f"({encoder.dimension} dimensions): set QA_ENCODER={manifest.encoder.name}, or build the index again"
        )
    if manifest.tokeniser != tokeniser.fingerprint:
        raise SnapshotError(
            f"snapshot {manifest.version} was built with another version of the tokeniser: build the index again"
        )


def reading_encoder(encoder: Encoder, tokeniser: Tokeniser) -> Encoder:
    """Give the encoder that sees texts as the tokeniser reads them; the same one where there are no synonyms."""
    return ReadingEncoder(encoder, tokeniser.read_as) if tokeniser.knows_synonyms else encoder


def open_shelf(folder: Path, tokeniser: Tokeniser, calibration: Calibration, reranker: Reranker | None = None) -> Shelf:
    """Open one collection; `reranker` replaces the light one. Raises SnapshotError."""
    if folder.name == PASSAGES:
        calibration = replace(calibration, curve=calibration.passage_curve, rerank=calibration.passage_rerank)
    keyword = KeywordIndex.open(folder / "keyword")
    light = LightReranker(FeatureReader(tokens=tokeniser.tokens, weight=keyword.weight), calibration.rerank)
    return Shelf(
        entries=EntryTable(folder),
        keyword=keyword,
        vectors=VectorIndex.open(folder / "vectors"),
        meanings=Meanings(folder),
        tokeniser=tokeniser,
        reranker=reranker or light,
        calibration=calibration,
    )
