"""A customer's word is read as the knowledge base's own: as a word, in any spelling, on both legs."""

import time
from pathlib import Path

import numpy as np
import pytest
from answering.small_base import FAQ, encoder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.recalibrate import with_calibration
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.calibration import Calibration
from qa_service.retrieval.manifest import read_manifest, verify
from qa_service.retrieval.snapshot import SYNONYMS, Snapshot, open_snapshot
from qa_service.retrieval.synonyms import MAX_TERM_CHARS, Synonyms
from qa_service.retrieval.tokens import Tokeniser

PLAIN = Tokeniser()
GROUPS = """
# what customers say
PLUS 会员 = 超级会员 = 青卡     # not a tier
积分 ＝ 青豆 = 積點
红人卡计划 = 红人卡
gold card = VIP pass = gc
优惠券 = 券 = voucher
会员价 = PLUS 会员价
C# 课 = 编程课
"""


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory: pytest.TempPathFactory) -> Tokeniser:
    return with_synonyms(tmp_path_factory.mktemp("words"), GROUPS)


def with_synonyms(folder: Path, text: str) -> Tokeniser:
    path = folder / SYNONYMS
    path.write_text(text, encoding="utf-8")
    return Tokeniser(None, path)


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("我的青卡到期了", "我的plus会员到期了"),
        ("我的超級會員到期了", "我的plus会员到期了"),
        ("青豆能換錢嗎", "积分能换钱吗"),
        ("Is a ＶＩＰ　Pass worth it?", "is a gold card worth it?"),
        ("where is my vip\n pass", "where is my gold card"),
        ("do you sell VIP passs", "do you sell VIP passs"),
        ("my vouchers", "my优惠券"),
        ("gcs", "gold cards"),
        ("编程课多少钱", "c# 课多少钱"),
    ],
)
def test_case_width_script_spaces_and_plural_do_not_hide_a_term(tokeniser: Tokeniser, asked: str, read: str) -> None:
    assert tokeniser.read_as(asked) == read
    assert tokeniser.tokens(asked) == tokeniser.tokens(read)


@pytest.mark.parametrize(
    "text",
    [
        "vouchered goods",  # within an English word
        "gc2 and 2gc",  # within a code
        "代金券怎么用",  # 代金券 is one word, and another one
        "冷青豆腐",  # 豆腐 is a word
        "今天发货吗",
        "",
        "？！",
        "\ud800",
    ],
)
def test_a_term_inside_another_word_means_nothing(tokeniser: Tokeniser, text: str) -> None:
    assert tokeniser.read_as(text) is text


def test_an_unknown_long_chinese_term_is_found_although_the_dictionary_tears_it(tokeniser: Tokeniser) -> None:
    assert "通红" in Tokeniser().tokens("开通红人卡")
    assert tokeniser.read_as("开通红人卡") == "开通红人卡计划"


def test_a_short_term_that_the_dictionary_tears_is_found_once_it_is_a_custom_word(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("单号 1000000\n", encoding="utf-8")
    (tmp_path / SYNONYMS).write_text("快递单号 = 单号\n", encoding="utf-8")
    assert Tokeniser(None, tmp_path / SYNONYMS).read_as("查下单号") == "查下单号"  # 下单 is a word
    assert Tokeniser(tmp_path / "words.txt", tmp_path / SYNONYMS).read_as("查下单号") == "查下快递单号"


def test_the_longest_term_wins_and_the_own_word_stays(tokeniser: Tokeniser) -> None:
    assert tokeniser.read_as("PLUS会员价是多少") == "会员价是多少"
    assert tokeniser.read_as("PLUS 会员和红人卡计划") == "PLUS 会员和红人卡计划"


def test_an_own_word_does_not_grow_together_with_its_neighbours(tokeniser: Tokeniser) -> None:
    assert tokeniser.read_as("iPhone青卡") == "iphone plus会员"
    assert tokeniser.read_as("买2青卡3个") == "买2 plus会员3个"
    assert tokeniser.read_as("青卡gc券") == "plus会员gold card优惠券"


words = st.text(alphabet="退款发货的abc 12，。", max_size=8)


@given(words, words)
def test_equal_terms_have_equal_tokens_and_vectors_wherever_they_stand(
    tokeniser: Tokeniser, before: str, behind: str
) -> None:
    texts = [f"{before} {term}，{behind}" for term in ("积分", "青豆", "積點")]
    one, *others = [sorted(tokeniser.tokens(text)) for text in texts]
    assert all(other == one for other in others)
    assert tokeniser.read_as(texts[1]) == tokeniser.read_as(texts[2])


@given(st.text())
def test_a_text_without_a_term_keeps_its_tokens(tokeniser: Tokeniser, text: str) -> None:
    if tokeniser.read_as(text) is text:
        assert sorted(tokeniser.tokens(text)) == sorted(PLAIN.tokens(text))


def test_a_hostile_question_is_read_in_one_pass() -> None:
    forms = {"券" * length: "x" for length in range(1, MAX_TERM_CHARS + 1)}
    cuts: list[str] = []

    def torn(text: str) -> dict[int, tuple[int, int]]:  # one endless word: no term may fire
        cuts.append(text)
        return dict.fromkeys(range(-1, len(text) + 1), (-1, len(text) + 1))

    text = "券" * 5_000
    started = time.perf_counter()
    assert Synonyms(forms).rewrite(text, torn) is text
    assert (
        time.perf_counter() - started < 10.0
    )  # 0.8 s at 64 terms a place; a second pass for each place would take an hour
    assert cuts == [text]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("甲 = 乙\n\n丙 = 乙\n", 3, r"'乙' stands in the group of line 1, too.*one group only"),
        ("VIP pass = gc\nx = ＶＩＰ　PASS", 2, r"'vip pass' stands in the group of line 1"),
        ("# only\n甲\n", 2, "group of one: at least two equal terms are expected"),
        ("甲 = 乙\n甲乙 = 甲乙\n", 2, "another word is expected, or no line"),
        ("優惠券 = 优惠券", 1, "differ only in case, width, spaces or script"),
        ("甲 = = 乙\n", 1, "empty term: a word is expected on each side of every ="),
        ("甲 = 乙 =\n", 1, "empty term"),
        ("甲 = ！！\n", 1, "empty term"),
        ("a = b\r\n\r\n" + "长" * (MAX_TERM_CHARS + 1) + " = c", 3, f"65 characters: at most {MAX_TERM_CHARS}"),
    ],
)
def test_a_line_that_is_no_group_is_named_with_what_was_expected(
    tmp_path: Path, text: str, line: int, expected: str
) -> None:
    with pytest.raises(KnowledgeError, match=rf"synonyms\.txt:{line}: .*{expected}"):
        with_synonyms(tmp_path, text)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_in_another_encoding_is_refused_at_its_line(tmp_path: Path, bom: bytes) -> None:
    path = tmp_path / SYNONYMS
    path.write_bytes(bom + "甲 = 乙\n".encode() + "积分 = 青豆\n".encode("gbk"))
    with pytest.raises(KnowledgeError, match=r"synonyms\.txt:2: UTF-8 text is expected"):
        Tokeniser(None, path)
    with pytest.raises(KnowledgeError, match=r"nowhere\.txt cannot be read"):
        Tokeniser(None, tmp_path / "nowhere.txt")


def test_a_byte_order_mark_and_windows_lines_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / SYNONYMS
    path.write_bytes("\ufeff积分 = 青豆\r\n甲甲 = 乙乙\r\n".encode())
    assert Tokeniser(None, path).read_as("青豆乙乙") == "积分甲甲"


def test_the_fingerprint_follows_the_groups_and_not_the_comments(tmp_path: Path) -> None:
    one, other, again, none = (
        with_synonyms(tmp_path, text).fingerprint for text in ("甲=乙\n", "乙=甲\n", "# c\n甲 = 乙\n", "# c\n")
    )
    assert len({one, other, none}) == 3
    assert again == one
    assert none == PLAIN.fingerprint  # an index without synonyms need not be built again


def small(root: Path, synonyms: str | None) -> tuple[Versions, Snapshot]:
    root.mkdir()
    (root / "a.jsonl").write_text("{}")
    if synonyms is not None:
        (root / SYNONYMS).write_text(synonyms, encoding="utf-8")
    versions = Versions(root / "indexes", "shop")
    built = build(Reading(entries=FAQ, problems=()), [root], versions, Recipe(encoder=encoder()))
    return versions, open_snapshot(versions.path(built.version), encoder())


def test_jargon_finds_the_entry_on_both_legs_and_is_shown_as_it_was_written(tmp_path: Path) -> None:
    _, snapshot = small(tmp_path / "with", "积分 = 青豆豆 = gooby\n")
    for jargon in ("青豆豆", "gooby"):
        [asked, own] = snapshot.rank_faq([f"{jargon}有效期是多长时间", "积分有效期是多长时间"])
        assert asked.best is not None
        assert own.best is not None
        assert (asked.best.entry_id, asked.best.wording) == ("points", "积分有效期是多长时间")
        assert (asked.best.keyword, asked.best.vector) == (own.best.keyword, own.best.vector)
        assert "积分" in snapshot.tokens(jargon)
    _, without = small(tmp_path / "without", None)
    [unread] = without.rank_faq(["青豆豆有效期是多长时间"])
    assert unread.best is not None
    assert unread.best.keyword < 0.9
    assert without.encoder is encoder()


def test_an_entry_may_be_written_in_jargon_too(tmp_path: Path) -> None:
    _, snapshot = small(tmp_path / "with", "专用发票 = 专票\n")  # an entry says 能开专票吗
    [asked] = snapshot.rank_faq(["能开专用发票吗"])
    assert asked.best is not None
    assert (asked.best.entry_id, asked.best.wording) == ("invoice", "能开专票吗")
    assert asked.best.vector == pytest.approx(1.0, abs=1e-2)


def test_the_file_travels_with_the_snapshot_and_with_its_calibrated_version(tmp_path: Path) -> None:
    versions, snapshot = small(tmp_path / "base", "积分 = 青豆豆\n")
    (tmp_path / "base" / SYNONYMS).unlink()
    calibrated = with_calibration(versions, snapshot, Calibration(name="fitted"))
    for version in (snapshot.version, calibrated):
        folder = versions.path(version)
        verify(folder)
        assert SYNONYMS in read_manifest(folder).files
        reopened = open_snapshot(folder, encoder())
        assert np.array_equal(reopened.encoder.encode(["青豆豆"]), encoder().encode(["积分"]))
    assert versions.path(calibrated).joinpath(SYNONYMS).stat().st_nlink == 2
