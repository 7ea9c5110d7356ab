"""A small run of the quality benchmark, from the demo sets to the result files, with peers there and peers missing."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from benchmarks._quality_metrics import RiskPoint
from benchmarks._quality_peers import NOT_INSTALLED, PEERS, BigramBm25, PeerKind, Wording, characters_and_bigrams
from benchmarks._quality_plots import draw_recalls, draw_risk
from benchmarks._quality_product import TrapQuestion, build_base, near_misses, orderings, trap_figures
from benchmarks._sets import demo_sets, read_set
from benchmarks.quality import main
from qa_service.retrieval.encoder import open_encoder


def test_a_small_run_writes_figures_a_table_and_plots(tmp_path: Path) -> None:
    out = tmp_path / "quality.json"
    peers = ["bigram_bm25", "langchain"]
    words = ["--cap", "4", "--sets", "shop_zh,shop_en", "--peers", ",".join(peers), "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "only the demo sets are measured" in result.output
    figures = json.loads(out.read_text())
    assert not figures["real_questions"]
    for one in figures["sets"].values():
        legs = one["product"]["strict"]
        assert list(legs) == ["keyword", "vector", "fused", "reranked"]
        assert all(0 <= share <= 1 for leg in legs.values() for share in leg.values())
        assert one["peers"]["bigram_bm25"]["time_ms"] > 0
        assert one["peers"]["langchain"].get("problem", "") == PEERS["langchain"].problem()
        assert one["recall_at_1_differences"]["reranked - bigram_bm25"]["low"] <= 1
    assert figures["recall_at_1_mean_differences"]["Chinese sets"]["sets"] == ["shop_zh"]
    assert "| shop_en |" in out.with_suffix(".md").read_text()
    for plot in ("recall", "risk"):
        ET.parse(tmp_path / f"quality_{plot}.svg")


def test_names_of_no_set_and_of_no_peer_are_refused() -> None:
    for option in ("--sets", "--peers"):
        result = CliRunner().invoke(main, [option, "nonesuch"])
        assert result.exit_code == 1
        assert "unknown: nonesuch; there are: " in result.output


def test_a_peer_whose_package_is_missing_says_what_to_install() -> None:
    def opened(*_: object) -> BigramBm25:
        raise AssertionError

    assert PeerKind(packages=("numpy", "no-such-package"), open=opened).problem() == NOT_INSTALLED
    assert PeerKind(packages=("numpy",), open=opened).problem() == ""


def test_the_best_wording_of_an_entry_counts_for_bm25_on_bigrams() -> None:
    assert characters_and_bigrams("退货API 2") == ["退", "货", "退货", "api", "2"]
    texts = {"怎么退货": "return", "我想把东西退回去": "return", "发票怎么开": "invoice", "运费多少": "fee"}
    peer = BigramBm25([Wording(text=text, entry_id=entry_id) for text, entry_id in texts.items()])
    found = peer.rank("东西怎么退回去")
    assert found[0].entry_id == "return"
    assert len(found) == 3
    assert found[0].score > found[1].score


def test_a_near_miss_finds_everything_but_the_right_entry(tmp_path: Path) -> None:
    one = demo_sets()[1]
    read = read_set(one, 5)
    base = build_base(read, [one.entries], tmp_path, open_encoder("builtin"))
    rankings = base.snapshot.rank_faq([question.query for question in read.questions])
    missed = near_misses(base, read.questions)
    seen = []
    for question, ranking, near in zip(read.questions, rankings, missed, strict=True):
        found = {hit.entry_id for hit in ranking.hits}
        left = {hit.entry_id for hit in near.found}
        assert left
        assert not left & question.right
        assert not near.right
        assert orderings(question, ranking)["reranked"].right == question.right
        seen.append(bool(found & question.right))
    assert sum(seen) >= 3  # of five: without hiding, most right entries are found


def test_traps_are_answered_through_the_real_way_and_counted_by_kind(tmp_path: Path) -> None:
    one = demo_sets()[1]
    first, second = read_set(one, 5).entries[:2]
    traps = [
        TrapQuestion(query=first.question, faq_id=first.id, sibling=second.id, kind="trap-number"),
        TrapQuestion(query=first.question, faq_id=second.id, sibling=first.id, kind="trap-unit"),
        TrapQuestion(query="zzqx vvkpt", faq_id=first.id, sibling=second.id, kind="trap-unit"),
    ]
    figures = trap_figures(traps, tmp_path, open_encoder("builtin"))
    assert figures["trap-number"]["right"] == 1.0
    assert (figures["trap-unit"]["sibling"], figures["trap-unit"]["other"]) == (0.5, 0.5)
    assert figures["all"]["questions"] == 3
    assert sum(value for name, value in figures["all"].items() if name != "questions") == pytest.approx(1.0)


def test_plots_are_well_formed_and_hold_every_system() -> None:
    recalls = ET.fromstring(draw_recalls({"a<b": {"one": 0.5, "two": 1.0}}, ["one", "two", "absent"]))
    assert {title.text for title in recalls.iter("{http://www.w3.org/2000/svg}title")} == {
        "one 0.500",
        "two 1.000",
        "one",
        "two",
    }
    curve = [
        RiskPoint(threshold=0.9, coverage=0.5, precision=1.0),
        RiskPoint(threshold=0.1, coverage=1.0, precision=0.2),
    ]
    [line] = ET.fromstring(draw_risk({"two": curve}, ["one", "two"], "set")).iter(
        "{http://www.w3.org/2000/svg}polyline"
    )
    assert line.get("points") == "450.0,350.0 710.0,110.0"
