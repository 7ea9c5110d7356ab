"""Where keyword leg and built-in encoder agree clearly, the slow encoder is spared; where it is asked, it decides."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, encoder, faq
from numpy.typing import NDArray

from qa_service.answering.ask import Ask
from qa_service.answering.no_cache import NoCache
from qa_service.cli.group import at_once
from qa_service.doctor.finding import Level
from qa_service.doctor.index_checks import check_index
from qa_service.domain.entry import Entry
from qa_service.domain.errors import SnapshotError
from qa_service.domain.hit import Hit, Ranking
from qa_service.domain.question import Question
from qa_service.domain.stopwatch import Stopwatch
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.main import make_ask, open_version
from qa_service.retrieval.calibration import Calibration, Cascade, RerankWeights
from qa_service.retrieval.canaries import read_canaries
from qa_service.retrieval.cascade import agrees, is_sure, lead
from qa_service.retrieval.encoder import Encoder
from qa_service.retrieval.manifest import EncoderMark, read_manifest, write_manifest
from qa_service.retrieval.rerank import CrossEncoderReranker
from qa_service.retrieval.snapshot import QUICK, Snapshot, open_snapshot
from qa_service.settings import Settings

CLEAR = "怎么开发票"  # a wording, word for word
UNCLEAR = "订单的钱和票"
TEXTS = [CLEAR, UNCLEAR, "积分会过期吗", "完全无关的外星词汇", "？！", "Is there a warranty on phones?", "钱"]


class Slow:
    """A named model: other vectors of another length than the built-in ones, and it counts how often it is asked."""

    name, dimension, fingerprint = "slow", 96, "5" * 32

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self._turn = np.random.default_rng(0).normal(size=(encoder().dimension, self.dimension))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        turned = encoder().encode(texts) @ self._turn
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        return np.asarray(turned / np.where(lengths > 0, lengths, 1.0), np.float32)


class Renamed:
    """The built-in encoder of another release."""

    name, dimension, fingerprint = encoder().name, encoder().dimension, "6" * 32

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return encoder().encode(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A snapshot of the small base for the slow encoder."""

    folder: Path

    def open(self, slow: Encoder | None = None, *, quick: Encoder | None = None) -> Snapshot:
        return open_snapshot(self.folder, slow or Slow(), quick=quick or encoder())


def built(root: Path, entries: Sequence[Entry] = (*FAQ, *PASSAGES), *, quick: bool = True, margin: float = 0.1) -> Base:
    root.mkdir(exist_ok=True)
    source = root / "entries.jsonl"
    source.write_text("{}\n")
    versions = Versions(root / "indexes", "shop")
    calibration = Calibration(cascade=Cascade(margin=margin))
    recipe = Recipe(encoder=Slow(), quick=encoder() if quick else None, calibration=calibration)
    made = build(Reading(entries=tuple(entries), problems=()), [source], versions, recipe)
    return Base(folder=versions.path(made.version))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return built(tmp_path_factory.mktemp("cascade"))


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def snapshot(base: Base, slow: Slow) -> Snapshot:
    opened = base.open(slow)
    slow.asked.clear()  # the canary questions
    return opened


def test_where_the_legs_agree_clearly_the_slow_encoder_is_not_asked(snapshot: Snapshot, slow: Slow) -> None:
    watch = Stopwatch()
    [ranking] = snapshot.rank_faq([CLEAR], watch)
    assert slow.asked == []
    assert ranking.quick
    assert ranking.best is not None
    assert ranking.best.entry_id == "invoice"
    assert set(watch.ms) == {"quick"}


def test_what_is_not_clear_is_encoded_slowly_once_a_batch(snapshot: Snapshot, slow: Slow) -> None:
    watch = Stopwatch()
    rankings = snapshot.rank_faq(TEXTS, watch)
    unsure = [text for text, ranking in zip(TEXTS, rankings, strict=True) if not ranking.quick]
    assert slow.asked == [unsure]
    assert UNCLEAR in unsure
    assert CLEAR not in unsure
    assert {"quick", "encode"} <= set(watch.ms)


def test_where_the_slow_encoder_is_asked_the_ranking_is_as_without_a_cascade(snapshot: Snapshot) -> None:
    always = replace(snapshot, quick=None).rank_faq(TEXTS)
    cascade = snapshot.rank_faq(TEXTS)
    assert not any(ranking.quick for ranking in always)
    assert {one.quick for one in cascade} == {True, False}
    for one, other in zip(cascade, always, strict=True):
        assert one.quick or one == other
    assert always[0].hits != cascade[0].hits  # other vectors, other scores


def test_a_questions_ranking_does_not_depend_on_its_batch(snapshot: Snapshot) -> None:
    alone = [snapshot.rank_faq([text])[0] for text in TEXTS]
    for one, other in zip(alone, snapshot.rank_faq([*TEXTS, *TEXTS])[len(TEXTS) :], strict=True):
        assert [hit.entry_id for hit in one.hits] == [hit.entry_id for hit in other.hits]
        assert one.quick is other.quick


def test_nothing_is_sure_but_what_the_whole_ranking_says_is(tmp_path: Path) -> None:
    twins = [replace(FAQ[2], id="twin"), replace(FAQ[5], id="points-twin", similar=())]
    snapshot = built(tmp_path, (*FAQ, *twins), margin=0.0).open()
    assert snapshot.quick
    texts = [*TEXTS, *(f"{one.question[:4]}{other.question[3:]}" for one in FAQ for other in FAQ)]
    wholes = snapshot.quick.rank(snapshot.faq, texts)
    sure = snapshot.quick.sure(snapshot.faq, texts, Stopwatch())
    assert {one is None for one in sure} == {True, False}
    for whole, one in zip(wholes, sure, strict=True):
        assert (one is not None) is is_sure(whole, 0.0)
        if one:
            assert [hit.entry_id for hit in one.hits] == [hit.entry_id for hit in whole.hits]


def test_no_texts_ask_nobody(snapshot: Snapshot, slow: Slow) -> None:
    assert snapshot.rank_faq([]) == []
    assert slow.asked == []


def test_passages_are_ranked_by_the_slow_encoder_alone(snapshot: Snapshot, slow: Slow) -> None:
    [ranking] = snapshot.rank_passages([CLEAR])
    assert slow.asked == [[CLEAR]]
    assert not ranking.quick


def test_a_base_without_faq_takes_no_quick_look(tmp_path: Path) -> None:
    watch = Stopwatch()
    assert built(tmp_path, PASSAGES).open().rank_faq([CLEAR], watch) == [Ranking()]
    assert watch.ms == {}


@pytest.mark.parametrize(("margin", "kept"), [(0.0, True), (9.0, False)])
def test_the_snapshots_margin_decides(tmp_path: Path, margin: float, *, kept: bool) -> None:
    assert built(tmp_path, margin=margin).open().rank_faq([CLEAR])[0].quick is kept


async def test_an_explanation_is_that_of_the_ranking_that_was_used(tmp_path: Path) -> None:
    other = RerankWeights(fused=2.0, answer=0.5)
    base = built(tmp_path)
    snapshot = base.open()
    assert snapshot.quick
    quick = replace(snapshot.quick, calibration=replace(snapshot.quick.calibration, rerank=other))
    ask: Ask = make_ask(replace(snapshot, quick=quick), NoCache(), at_once)
    stages = {}
    for text in TEXTS:
        explained = await ask.explain(Question(text=text))
        stages[text] = explained.quick
        for one in explained.faq:
            assert sum(one.signs.values()) == pytest.approx(one.hit.reranked, abs=1e-5)
        assert explained.quick is ("encode" not in explained.answer.timings_ms)
    assert stages[CLEAR]
    assert not stages[UNCLEAR]


def test_an_entry_that_the_shelf_does_not_show_is_not_shown_by_the_quick_look_either(tmp_path: Path) -> None:
    snapshot = built(tmp_path, [replace(FAQ[0], id="other"), *FAQ[1:]]).open()
    hidden = built(tmp_path / "hidden", [replace(FAQ[0], id="hidden"), *FAQ[1:]]).open()
    looked = replace(snapshot, faq=replace(snapshot.faq, entries=hidden.faq.entries)).rank_faq(["怎么申请退货"])[0]
    assert looked.quick
    assert looked.best is not None
    assert looked.best.entry_id == "hidden"


def test_without_a_quick_look_built_in_there_is_none(tmp_path: Path) -> None:
    base = built(tmp_path, quick=False)
    assert not (base.folder / QUICK).exists()
    assert read_manifest(base.folder).quick is None
    slow = Slow()
    snapshot = base.open(slow)
    slow.asked.clear()
    assert snapshot.quick is None
    assert snapshot.rank_faq([CLEAR])[0].quick is False
    assert slow.asked == [[CLEAR]]


def test_the_manifest_tells_who_takes_the_quick_look(base: Base) -> None:
    mark = EncoderMark(name="builtin", dimension=encoder().dimension, fingerprint=encoder().fingerprint)
    assert read_manifest(base.folder).quick == mark
    assert {path.name for path in (base.folder / QUICK).iterdir()} & {"keyword", "entries.jsonl"} == set()


@pytest.mark.parametrize("quick", [None, Renamed()], ids=["not given", "of another release"])
def test_a_quick_look_by_another_encoder_is_not_taken(base: Base, quick: Encoder | None) -> None:
    snapshot = open_snapshot(base.folder, Slow(), quick=quick)
    assert snapshot.quick is None
    assert snapshot.rank_faq([CLEAR])[0].quick is False


@pytest.mark.parametrize("quick", [encoder(), Renamed()], ids=["this release", "another release"])
def test_an_index_with_the_quick_look_of_another_release_serves_and_the_doctor_says_so(
    tmp_path: Path, quick: Encoder
) -> None:
    source = tmp_path / "entries.jsonl"
    source.write_text("{}\n")
    versions = Versions(tmp_path / "indexes", "shop")
    recipe = Recipe(encoder=encoder(), quick=quick)
    versions.activate(build(Reading(entries=FAQ, problems=()), [source], versions, recipe).version)
    finding = check_index(Settings(indexes_dir=tmp_path / "indexes"))
    assert finding.level is (Level.WARNING if isinstance(quick, Renamed) else Level.OK)
    assert ("another built-in encoder" in finding.found) is isinstance(quick, Renamed)
    snapshot = open_version(Settings(indexes_dir=tmp_path / "indexes"), versions.active() or "")
    assert (snapshot.quick is None) is isinstance(quick, Renamed)
    assert snapshot.rank_faq([CLEAR])[0].best


def test_beside_another_reranker_no_quick_look_is_taken(base: Base) -> None:
    reranker = CrossEncoderReranker("by length", lambda _, texts: np.array([len(one) for one in texts], np.float32))
    assert open_snapshot(base.folder, Slow(), reranker=reranker, quick=encoder()).quick is None


def test_the_quick_look_has_canary_questions_of_its_own(base: Base, tmp_path: Path) -> None:
    assert {one.entry_id for one in read_canaries(base.folder)[QUICK]} == {entry.id for entry in FAQ}
    folder = Path(shutil.copytree(base.folder, tmp_path / base.folder.name))
    others = built(tmp_path / "others", (*reversed(FAQ), *PASSAGES)).folder
    shutil.copytree(others / QUICK, folder / QUICK, dirs_exist_ok=True)
    write_manifest(folder, read_manifest(folder))
    with pytest.raises(SnapshotError, match=r"canary question .* when the index was built"):
        open_snapshot(folder, Slow(), quick=encoder())


def test_a_missing_quick_look_is_refused(base: Base, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base.folder, tmp_path / base.folder.name))
    shutil.rmtree(folder / QUICK / "vectors")
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_snapshot(folder, Slow(), quick=encoder())


def hit(entry: str, keyword: float, vector: float, reranked: float) -> Hit:
    return Hit(entry=0, entry_id=entry, wording="", keyword=keyword, vector=vector, fused=0.0, reranked=reranked)


@pytest.mark.parametrize(
    ("hits", "agreed"),
    [
        ((), False),
        ((hit("a", 0.9, 0.8, 1.0),), True),
        ((hit("a", 0.9, 0.8, 1.0), hit("b", 0.9, 0.8, 0.5)), True),
        ((hit("a", 0.9, 0.8, 1.0), hit("b", 0.91, 0.1, 0.5)), False),
        ((hit("a", 0.9, 0.8, 1.0), hit("b", 0.1, 0.81, 0.5)), False),
        ((hit("a", 0.9, 0.8, 1.0), hit("b", 0.1, 0.1, 0.5), hit("c", 1.0, 0.1, 0.0)), False),
        ((hit("a", 0.0, 0.8, 1.0), hit("b", 0.0, 0.1, 0.5)), False),  # the keyword leg knows nothing
    ],
)
def test_the_legs_agree_where_no_entry_is_ahead_on_either(hits: tuple[Hit, ...], *, agreed: bool) -> None:
    assert agrees(Ranking(hits=hits)) is agreed
    assert is_sure(Ranking(hits=hits), 0.0) is agreed


def test_a_lead_is_measured_to_the_next_entry_or_to_nothing() -> None:
    one, other = hit("a", 0.9, 0.8, 1.0), hit("b", 0.1, 0.1, 0.7)
    assert lead(Ranking(hits=(one, other))) == pytest.approx(0.3)
    assert lead(Ranking(hits=(one,))) == 1.0
    assert lead(Ranking()) == 0.0
    assert is_sure(Ranking(hits=(one, other)), 0.29)
    assert not is_sure(Ranking(hits=(one, other)), 0.31)


def test_synonyms_are_read_by_the_quick_look_too(tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("发票 = 青豆豆\n")
    source = tmp_path / "entries.jsonl"
    source.write_text("{}\n")
    versions = Versions(tmp_path / "indexes", "shop")
    recipe = Recipe(encoder=Slow(), quick=encoder(), synonyms=tmp_path / "synonyms.txt")
    made = build(Reading(entries=FAQ, problems=()), [source], versions, recipe)
    snapshot = open_snapshot(versions.path(made.version), Slow(), quick=encoder())
    assert snapshot.quick
    [own, jargon] = snapshot.quick.rank(snapshot.faq, [CLEAR, "怎么开青豆豆"])
    assert [one.vector for one in own.hits] == pytest.approx([one.vector for one in jargon.hits], abs=1e-5)


def test_many_entries_keep_both_encoders_apart(tmp_path: Path) -> None:
    entries = [faq(f"e{n}", "去。", f"{n} 号柜台怎么开发票") for n in range(30)]
    snapshot = built(tmp_path, entries).open()
    assert snapshot.quick
    assert snapshot.quick.vectors.dimension == encoder().dimension
    assert snapshot.faq.vectors.dimension == Slow.dimension
    assert len(snapshot.quick.vectors) == len(snapshot.faq.vectors)
