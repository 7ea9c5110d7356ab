"""A vocabulary grows by characters and words without moving what it had."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from qa_service.retrieval.builtin_encoder import TOKENIZER_FILE, BuiltinEncoder
from qa_service.training.body import open_base, save
from qa_service.training.vocabulary import grow

GLOSSES = {"退款": "refund money", "订单": "order", "退款订单": "refund order", "物流": "parcel", "货": "parcel late"}
TEXTS = ["退款什么时候", "查退款", "订单物流", "我的订单", "退款订单", "退款订单呢"]


def test_a_frequent_word_becomes_one_token_the_longest_first(base: Path, tmp_path: Path) -> None:
    body = open_base(str(base))
    growth = grow(body, TEXTS, GLOSSES)
    assert set(growth.words) == {"退款", "订单", "退款订单"}  # 物流 occurs once
    save(body, tmp_path)
    kept = Tokenizer.from_file(str(tmp_path / TOKENIZER_FILE))
    for word in growth.words:
        assert kept.encode(word, add_special_tokens=False).ids == [kept.token_to_id(word)]
    assert len(kept.encode("退款订单退款", add_special_tokens=False).ids) == 2


def test_only_the_commonest_words_are_taken(base: Path) -> None:
    body = open_base(str(base))
    texts = [*TEXTS, "退款", "退款"]
    assert grow(body, texts, GLOSSES, most_words=1).words == ("退款",)
    assert grow(open_base(str(base)), texts, GLOSSES, least=3).words == ("退款",)


def test_a_new_row_starts_as_the_mean_of_its_gloss(base: Path) -> None:
    body = open_base(str(base))
    known = body.tokenizer.get_vocab()
    expected = body.rows.detach()[[known["refund"], known["money"]]].mean(0).numpy()
    growth = grow(body, TEXTS, GLOSSES)
    row = body.tokenizer.get_vocab()["退款"]
    np.testing.assert_allclose(body.rows.detach()[row].numpy(), expected, rtol=1e-6)
    assert len(body.new_rows) == len(growth.words) + len(growth.characters) + len(growth.renewed)
    assert row in body.new_rows


def test_a_base_that_never_learned_chinese_begins_its_characters_anew(base: Path) -> None:
    body = open_base(str(base))
    glosses = {"款": "money back", "龘": "late"}
    growth = grow(body, ["退款", "款"], glosses)
    assert growth.renewed == ("款",)  # of the characters that it had, the one that has a gloss and occurs twice
    known = body.tokenizer.get_vocab()
    rows = body.rows.detach()
    np.testing.assert_allclose(rows[known["款"]].numpy(), rows[[known["money"], known["back"]]].mean(0).numpy())
    assert body.new_rows == (known["款"],)


def test_what_the_base_reads_keeps_its_vector(base: Path) -> None:
    texts = ["refund my order", "where is my parcel"]
    before = open_base(str(base)).encode(texts)
    body = open_base(str(base))
    grow(body, TEXTS, GLOSSES)
    assert body.reads([*texts, "退款"]) == [True, True, False]
    np.testing.assert_allclose(body.encode(texts), before, atol=1e-6)


def test_words_keep_their_rows_when_characters_come_after_them(base: Path, tmp_path: Path) -> None:
    body = open_base(str(base))
    grow(body, TEXTS, GLOSSES)
    save(body, tmp_path / "first")
    before = body.encode(["退款订单 refund", "订单"])
    again = open_base(str(tmp_path / "first"))
    growth = grow(again, ["换货", "换货", "物流", "物流"], GLOSSES)
    assert set(growth.characters) == {"换", "货", "物", "流"}
    assert growth.words == ("物流",)
    np.testing.assert_allclose(again.encode(["退款订单 refund", "订单"]), before, atol=1e-5)
    save(again, tmp_path / "second")
    served = BuiltinEncoder(tmp_path / "second").encode(["退款订单 refund", "订单"])
    assert (served * before).sum(1).min() > 0.98  # 8 bits instead of 32


@pytest.mark.slow
def test_the_built_in_encoder_keeps_its_words_when_it_gets_a_character() -> None:
    body = open_base("builtin")
    texts = ["优惠券怎么用", "退款多久到账"]
    before = body.encode(texts)
    assert grow(body, ["龘龘"]).characters == ("龘",)
    np.testing.assert_allclose(body.encode(texts), before, atol=1e-5)
