import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_service.knowledge.passages import MAX_CHARS, Passage, cut_article
from qa_service.knowledge.sentences import clauses, sentences

LONG_ZH = "".join(f"第{i}条规定，买家在签收后七天内可以提出申请，逾期不再受理。" for i in range(40))
LONG_EN = " ".join(f"Rule {i} says that a parcel may be returned within 7.5 days, e.g. by post." for i in range(40))


def texts(body: str) -> list[str]:
    return [passage.text for passage in cut_article(body).passages]


def solid(text: str) -> str:
    return re.sub(r"\s", "", text)


def is_within(needle: str, hay: str) -> bool:
    rest = iter(hay)
    return all(char in rest for char in needle)


@pytest.mark.parametrize("text", [LONG_ZH, LONG_EN], ids=["zh", "en"])
def test_long_prose_is_cut_into_full_passages_of_whole_sentences(text: str) -> None:
    cut = texts(text)
    assert all(300 <= len(passage) <= MAX_CHARS for passage in cut[:-1])
    assert all(passage.endswith(("。", ".")) and not passage.endswith("7.") for passage in cut)
    assert solid("".join(cut)) == solid(text)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        pytest.param("好。坏！吗？行；完", ["好。", "坏！", "吗？", "行；", "完"], id="chinese marks"),
        pytest.param("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"], id="closing quote stays"),
        pytest.param("It is 3.5 kg. Is it? Yes!", ["It is 3.5 kg. ", "Is it? ", "Yes!"], id="decimals"),
        pytest.param("See No. 5, i.e. Dr. Li. Done.", ["See No. 5, i.e. Dr. Li. ", "Done."], id="abbreviations"),
        pytest.param("1. Open it.\n2. Close it.", ["1. Open it.\n", "2. Close it."], id="list numbers"),
        pytest.param("见[退货。规则](/a?b。c)。好", ["见[退货。规则](/a?b。c)。", "好"], id="link"),
        pytest.param("看![图。一](a.png)吧。好", ["看![图。一](a.png)吧。", "好"], id="image"),
        pytest.param("去https://a.cn/?q=1。好", ["去https://a.cn/?q=1。", "好"], id="bare URL"),
        pytest.param("用`a. b。c`吧。好", ["用`a. b。c`吧。", "好"], id="code"),
    ],
)
def test_sentences_end_where_a_reader_would_say(text: str, cut: list[str]) -> None:
    assert sentences(text) == cut


@given(st.text(alphabet=st.sampled_from('好坏。！ab .!?；\n[](){}`<>:/h，,1"”'), max_size=200))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@given(st.text(alphabet=st.sampled_from("好，, a[](b)`/"), max_size=300), st.integers(1, 50))
def test_clauses_joined_are_the_text(text: str, most_chars: int) -> None:
    pieces = clauses(text, most_chars)
    assert "".join(pieces) == text
    assert all(pieces)


def test_a_sentence_too_long_is_cut_at_clauses_and_never_inside_a_link() -> None:
    link = "[一份很长的说明，请看这里](https://shop.example/help?a=1,b=2)"
    text = "很长的一句，没有句号，" * 34 + link + "之后还有，" * 60
    cut = texts(text)
    assert any(link in passage for passage in cut)
    assert all(len(passage) <= MAX_CHARS for passage in cut)
    assert all(passage.endswith(("，", ")")) for passage in cut)
    assert solid("".join(cut)) == solid(text)


def test_a_link_longer_than_a_passage_stays_whole() -> None:
    link = f"[说明](https://shop.example/{'x' * 600})"
    assert any(link in passage for passage in texts("前文，" * 50 + link + "后文，" * 100))


def test_a_passage_carries_its_heading_path() -> None:
    body = "开头。\n\n# 退货 *规则*\n\n## 流程\n\n点`申请`。\n\n例外\n----\n不退。\n"
    cut = cut_article(body)
    assert cut.title == "退货 规则"
    assert cut.passages == (
        Passage(headings=(), text="开头。", line=0),
        Passage(headings=("退货 规则", "流程"), text="点`申请`。", line=6),
        Passage(headings=("退货 规则", "例外"), text="不退。", line=10),
    )


def test_a_section_without_text_is_kept_as_an_empty_passage_unless_it_has_subsections() -> None:
    cut = cut_article("# 甲\n## 乙\n### 丙\n## 丁\n文。\n")
    assert [(passage.headings, passage.text) for passage in cut.passages] == [
        (("甲", "乙", "丙"), ""),
        (("甲", "丁"), "文。"),
    ]


def test_small_blocks_stay_together_as_they_stand() -> None:
    body = "先看表。\n\n- 一\n  - 二\n- 三\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\nls  -l\n\ncd\n```"
    assert texts(body) == [body]


def test_a_long_list_is_cut_between_its_items() -> None:
    items = [f"- 第{i}步，打开订单页面，找到要退的商品。再点退货。" for i in range(40)]
    cut = texts("\n".join(["步骤如下：", "", *items]))
    assert len(cut) > 2
    assert all(line in items for passage in cut[1:] for line in passage.split("\n"))
    assert cut[0].startswith("步骤如下：\n\n- 第0步")


def test_a_long_table_repeats_its_header() -> None:
    head = "| 城市 | 运费 |\n|---|---|"
    rows = [f"| 第{i}个城市的名字 | {i} 元，偏远地区另加 |" for i in range(60)]
    cut = texts("\n".join([head, *rows]))
    assert len(cut) > 2
    assert all(passage.startswith(head) and len(passage) <= MAX_CHARS + 60 for passage in cut)
    assert [line for passage in cut for line in passage.split("\n")[2:] if line in rows] == rows


def test_a_code_fence_is_never_cut_even_in_a_list() -> None:
    fence = "```python\n" + "print('一。二。三。')\n\n" * 40 + "```"
    listed = "1. 先运行。\n\n" + "\n".join("   " + line for line in fence.split("\n"))
    for body in (f"前文。\n\n{fence}\n\n后文。", listed):
        assert any(solid(fence) in solid(passage) for passage in texts(body))


def test_comments_and_rules_are_left_out_and_link_definitions_kept() -> None:
    assert texts("<!-- todo -->\n\n文[一]。\n\n---\n\n[一]: https://a.example\n") == [
        "文[一]。\n\n[一]: https://a.example"
    ]


def test_a_short_remainder_joins_the_passage_before_it() -> None:
    cut = texts(("一" * 99 + "。") * 4 + "完。")
    assert [len(passage) for passage in cut] == [402]


@pytest.mark.parametrize("body", ["", "\n \n", "# ", "---", "<!-- x -->"])
def test_a_body_without_text_gives_no_text(body: str) -> None:
    assert not "".join(texts(body))


sentence = st.text(alphabet=st.sampled_from("买家退货ab1，, “”"), min_size=1, max_size=80).map(lambda s: f"句{s}")
prose = st.lists(st.tuples(sentence, st.sampled_from(["。", "！", ". ", "? ", "，"])), min_size=1, max_size=12).map(
    lambda pairs: "".join(a + b for a, b in pairs)
)
line = prose.map(str.strip)
blocks = st.one_of(
    prose,
    line.map(lambda text: f"# {text}"),
    line.map(lambda text: f"### {text}"),
    st.lists(line, min_size=1, max_size=8).map(lambda items: "\n".join(f"- {item}" for item in items)),
    st.lists(line, min_size=1, max_size=8).map(lambda items: "\n\n".join(f"{i}. {x}" for i, x in enumerate(items, 1))),
    st.lists(line, min_size=1, max_size=6).map(lambda rows: "|k|v|\n|-|-|\n" + "\n".join(f"|{row}|v|" for row in rows)),
    line.map(lambda text: f"```\n{text}\n\n{text}\n```"),
    line.map(lambda text: f"> {text}\n> {text}"),
    line.map(lambda text: f"看[{text}](https://a.example/?x=1。y)吧。"),
)


@given(st.lists(blocks, max_size=8))
@settings(deadline=None)
def test_no_text_of_an_article_is_lost_or_moved(parts: list[str]) -> None:
    passages = cut_article("\n\n".join(parts)).passages
    body = solid("".join(part for part in parts if not part.startswith("#")))
    assert is_within(body, solid("".join(passage.text for passage in passages)))
    headings = {solid(heading) for passage in passages for heading in passage.headings}
    assert {solid(part.lstrip("# ")) for part in parts if part.startswith("#")} <= headings


@given(st.lists(blocks, max_size=6))
@settings(deadline=None)
def test_links_and_fences_are_found_whole_in_one_passage(parts: list[str]) -> None:
    found = [solid(passage.text) for passage in cut_article("\n\n".join(parts)).passages]
    for part in parts:
        if part.startswith(("```", "看[")):
            whole = part if part.startswith("```") else part[1:-2]
            assert any(solid(whole) in passage for passage in found)


@given(st.text(alphabet=st.characters(exclude_characters="#=-*_<>"), max_size=400))
@settings(deadline=None)
def test_no_character_of_any_text_without_headings_is_lost(body: str) -> None:
    assert is_within(solid(body), solid("".join(texts(body))))


@given(st.text(alphabet=st.sampled_from("#-=*_<>!`~|[]():1. \n\t\\a好。"), max_size=300))
@settings(deadline=None)
def test_any_marks_can_be_cut_and_nothing_is_invented(body: str) -> None:
    assert set(solid("".join(texts(body)))) <= set(solid(body))


@pytest.mark.parametrize("body", ["[" * 60_000, "`" * 60_000, "[a](" * 20_000, "，" * 60_000, "` ``" * 15_000])
def test_hostile_marks_do_not_take_for_ever(body: str) -> None:
    begun = time.perf_counter()
    assert solid("".join(texts(body))) == body.replace(" ", "")
    assert time.perf_counter() - begun < 10
