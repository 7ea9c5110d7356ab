"""Calibrating the demo shop on its labelled questions, and the version that comes of it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from answering.small_base import FAQ, encoder, open_small
from click.testing import CliRunner, Result

from qa_service.cli import main
from qa_service.domain.errors import KnowledgeError
from qa_service.domain.hit import Ranking
from qa_service.knowledge.calibrate import Bounds, Fitted, calibrate
from qa_service.knowledge.evaluate import LabelledQuestion, read_questions
from qa_service.knowledge.recalibrate import rank_under, with_calibration
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.manifest import MANIFEST, read_manifest, verify
from qa_service.retrieval.snapshot import CALIBRATION, Snapshot, open_snapshot
from qa_service.settings import Settings

DATA = Path(__file__).parents[2] / "data"
QUESTIONS = DATA / "evaluation" / "questions.zh.jsonl"
OWN_FILES = {CALIBRATION, "canaries.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An active version, opened, and its labelled questions."""

    versions: Versions
    snapshot: Snapshot
    questions: list[LabelledQuestion]
    ranked: dict[Calibration, list[Ranking]] = field(default_factory=dict)

    def fit(self, bounds: Bounds) -> Fitted:
        """Ranks once for all bounds: they change what is fitted, not what is found."""
        return calibrate(self.questions, self._rank, self.snapshot.calibration, bounds, name="demo")

    def _rank(self, calibration: Calibration, texts: Sequence[str]) -> list[Ranking]:
        if calibration not in self.ranked:
            self.ranked[calibration] = rank_under(self.snapshot, calibration, texts)
        return self.ranked[calibration]


def fit(snapshot: Snapshot, questions: list[LabelledQuestion], bounds: Bounds) -> Fitted:
    rank = lambda calibration, texts: rank_under(snapshot, calibration, texts)  # noqa: E731  # short as it is
    return calibrate(questions, rank, snapshot.calibration, bounds, name="demo")


@pytest.fixture(scope="module")
def shop(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    copied = tmp_path_factory.mktemp("shop") / "indexes"
    shutil.copytree(demo_index, copied)
    versions = Versions(copied, "shop")
    snapshot = open_snapshot(versions.path(versions.active() or ""), encoder())
    return Shop(versions=versions, snapshot=snapshot, questions=read_questions(QUESTIONS))


@pytest.fixture(scope="module")
def fitted(shop: Shop) -> Fitted:
    return shop.fit(Bounds())


@pytest.fixture(scope="module")
def new(shop: Shop, fitted: Fitted) -> str:
    """The version that the calibration makes; it is not activated."""
    return with_calibration(shop.versions, shop.snapshot, fitted.calibration)


def test_a_calibration_has_sense(shop: Shop, fitted: Fitted) -> None:
    calibration, report = fitted.calibration, fitted.report
    assert calibration.name == "demo"
    assert 0 < calibration.thresholds.clarify <= calibration.thresholds.answer <= 1
    assert 0 < calibration.fusion.keyword < 1
    assert calibration.curve.score > 0  # a higher score is likelier to be right
    assert calibration.thresholds.passage == shop.snapshot.calibration.thresholds.passage
    assert report.questions == len(shop.questions)
    assert 0 < report.brier < 0.25  # a coin's
    for share in (report.recall_at_1, report.answer_precision, report.coverage, report.refusal):
        assert 0 <= share.low <= share.value <= share.high <= 1


def test_the_keyword_weight_it_chose_finds_no_less_than_the_one_before(shop: Shop, fitted: Fitted) -> None:
    def found(calibration: Calibration) -> int:
        rankings = rank_under(shop.snapshot, calibration, [question.query for question in alone])
        pairs = zip(alone, rankings, strict=True)
        return sum(ranking.best is not None and ranking.best.entry_id in one.right for one, ranking in pairs)

    alone = [question for question in shop.questions if question.right and not question.context]
    assert found(fitted.calibration) >= found(shop.snapshot.calibration) - 1  # follow-ups are counted there, not here


@pytest.mark.parametrize("precision", [0.7, 0.8, 0.9, 0.95])
def test_of_the_answers_to_left_out_questions_the_stated_share_is_right(shop: Shop, precision: float) -> None:
    report = shop.fit(Bounds(answer_precision=precision)).report
    assert report.coverage.value > 0
    assert report.answer_precision.value >= precision


def test_a_stricter_bound_answers_no_more(shop: Shop) -> None:
    fits = [shop.fit(Bounds(answer_precision=precision)) for precision in (0.7, 0.85, 0.95)]
    thresholds = [one.calibration.thresholds.answer for one in fits]
    assert thresholds == sorted(thresholds)
    assert fits[0].report.coverage.value > fits[-1].report.coverage.value


def test_the_same_questions_give_the_same_calibration(shop: Shop, fitted: Fitted) -> None:
    assert shop.fit(Bounds()) == fitted


def test_questions_that_are_too_few_are_refused_with_the_numbers(shop: Shop) -> None:
    with pytest.raises(KnowledgeError, match=r"^\d of 9 questions find a right entry first: at least 8 that do and 8"):
        fit(shop.snapshot, shop.questions[:9], Bounds())


def test_questions_that_are_all_answered_right_or_all_wrong_teach_no_difference(tmp_path: Path) -> None:
    snapshot = open_small(tmp_path)
    right = [LabelledQuestion(query=text, faq_id=entry.id) for entry in FAQ if entry.answer for text in entry.wordings]
    with pytest.raises(KnowledgeError, match=rf"{len(right)} of {len(right)} questions find a right entry first"):
        fit(snapshot, right, Bounds())
    wrong = [LabelledQuestion(query=one.query) for one in right]
    with pytest.raises(KnowledgeError, match=rf"^0 of {len(wrong)} questions find a right entry first"):
        fit(snapshot, wrong, Bounds())


def test_the_new_version_shares_its_unchanged_files_with_the_old_one(shop: Shop, new: str) -> None:
    before, after = shop.versions.path(shop.snapshot.version), shop.versions.path(new)
    old, made = read_manifest(before), read_manifest(after)
    assert made.files.keys() == old.files.keys()
    for name in made.files:
        assert (before / name).samefile(after / name) is (name not in OWN_FILES), name
    assert not (before / MANIFEST).samefile(after / MANIFEST)
    assert made.files[CALIBRATION] != old.files[CALIBRATION]
    assert (made.version, made.calibration, made.sources) == (new, "demo", old.sources)


def test_the_new_version_is_whole_and_opens_with_the_fitted_numbers(shop: Shop, fitted: Fitted, new: str) -> None:
    verify(shop.versions.path(new))
    verify(shop.versions.path(shop.snapshot.version))  # it was not written through a link
    opened = open_snapshot(shop.versions.path(new), encoder())
    assert opened.calibration == fitted.calibration
    assert shop.versions.active() == shop.snapshot.version


def test_the_new_version_ranks_as_the_calibration_promised(shop: Shop, fitted: Fitted, new: str) -> None:
    texts = [question.query for question in shop.questions[:20]]
    opened = open_snapshot(shop.versions.path(new), encoder())
    assert opened.rank_faq(texts) == rank_under(shop.snapshot, fitted.calibration, texts)
    assert opened.rank_faq(texts) != shop.snapshot.rank_faq(texts)


def test_the_new_version_outlives_the_old_one(shop: Shop, new: str, tmp_path: Path) -> None:
    copied = Versions(tmp_path, "shop")
    for version in (shop.snapshot.version, new):
        shutil.copytree(shop.versions.path(version), copied.path(version), copy_function=_link)
    shutil.rmtree(copied.path(shop.snapshot.version))
    assert open_snapshot(copied.path(new), encoder()).version == new


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


@pytest.fixture
def verb(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the verbs see a copy of the shop's versions; gives its folder."""
    for name in (*(f"QA_{setting.upper()}" for setting in Settings.model_fields), "QA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    version = shop.snapshot.version
    folder = tmp_path / "indexes" / "shop"
    shutil.copytree(shop.versions.path(version), folder / version)
    Versions(tmp_path / "indexes", "shop").activate(version)
    return folder


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["calibrate", *words])


@pytest.mark.parametrize("activates", [True, False])
def test_the_verb_prints_the_figures_and_the_version_and_activates_it_unless_told_not_to(
    shop: Shop, verb: Path, tmp_path: Path, *, activates: bool
) -> None:
    few = tmp_path / QUESTIONS.name
    few.write_text("".join(QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)[::3]), encoding="utf-8")
    result = typed("--questions", str(few), *([] if activates else ["--no-activate"]))
    assert result.exit_code == 0, result.stderr
    *figures, made = result.stdout.splitlines()
    told = json.loads("\n".join(figures))
    assert told["calibration"]["name"] == QUESTIONS.name
    assert told["report"]["questions"] == len(shop.questions[::3])
    assert (verb / made / CALIBRATION).exists()
    assert (verb / "ACTIVE").read_text().strip() == (made if activates else shop.snapshot.version)


def test_the_verb_refuses_too_few_questions_with_one_line_and_makes_no_version(verb: Path, tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text('{"query": "怎么飞"}\n')
    before = sorted(verb.iterdir())
    result = typed("--questions", "few.jsonl")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "0 of 1 questions" in line
    assert sorted(verb.iterdir()) == before
