"""Dictionaries of two formats give each word the English that says it."""

import gzip
from pathlib import Path

import pytest

from qa_service.domain.errors import KnowledgeError
from qa_service.training.dictionary import read_dictionary
from training.tiny import lines

CEDICT = """# CC-CEDICT
傳統 传统 [chuan2 tong3] /tradition/traditional/convention/CL:個|个[ge4]/
退款 退款 [tui4 kuan3] /to refund/refund/
王 王 [Wang2] /surname Wang/
王 王 [wang2] /king or monarch/
咁 咁 [gan4] /see 這樣|这样[zhe4 yang4]/
亮 亮 [liang4] /(of a light) bright/variant of 諒|谅[liang4]/
"""


def test_cedict_gives_its_first_senses_without_remarks_and_references(tmp_path: Path) -> None:
    packed = tmp_path / "cedict.txt.gz"
    packed.write_bytes(gzip.compress(CEDICT.encode()))
    assert read_dictionary(packed) == {
        "传统": "tradition; traditional; convention",
        "退款": "to refund; refund",
        "王": "king or monarch",
        "亮": "bright",
    }


def test_json_lines_give_the_same(tmp_path: Path) -> None:
    rows = [{"word": "退款", "gloss": "refund"}, {"word": "訂單", "gloss": "order"}, {"word": "退款", "gloss": "money"}]
    file = lines(tmp_path / "words.jsonl", rows)
    assert read_dictionary(file) == {"退款": "refund; money", "订单": "order"}  # as the encoder folds texts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("d.jsonl", "", r"no word with a gloss in .*d\.jsonl: expected", id="empty"),
        pytest.param("d.txt", "# CC-CEDICT\n", r"no word with a gloss in .*d\.txt", id="only remarks"),
        pytest.param("d.jsonl", '{"word": "退款"}\n', r"d\.jsonl:1: .*`gloss`: expected", id="no gloss"),
        pytest.param("d.jsonl", '{"word": "退款", "gloss": " "}\n', r"d\.jsonl:1: a word or its gloss", id="blank"),
        pytest.param("d.txt", "退款 refund\n", r"d\.txt:1: expected CC-CEDICT", id="another format"),
    ],
)
def test_a_file_that_is_no_dictionary_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=message):
        read_dictionary(tmp_path / name)


def test_a_missing_dictionary_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"nowhere\.txt cannot be read"):
        read_dictionary(tmp_path / "nowhere.txt")
