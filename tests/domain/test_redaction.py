"""What is personal is replaced, however it is written; what is not stays byte for byte."""

import itertools
import json
import random
import re
import time
import unicodedata
import uuid
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from security.pii_corpus import dialogues, told_dialogues

from qa_service.domain.personal_numbers import Kind, is_bank_card, is_resident_id
from qa_service.domain.redaction import findings, redact, redact_and_tell
from qa_service.domain.snowflake import EPOCH_MS, Snowflake

NOON_MS = 1_780_000_000_000
DATA = Path(__file__).parents[2] / "data"
SHOP_MAILS = {"merchant@qinghe.example", "pr@qinghe.example"}
CHINESE = str.maketrans("零一二三四五六七八九", "0123456789")


def compact(text: str) -> str:
    """Undo whatever a number could be written with."""
    plain = unicodedata.normalize("NFKC", text).translate(CHINESE)
    return re.sub("[\\s\\-.–\u200b-\u200f\u2060\ufeff]", "", plain).lower()


def test_of_1000_dialogues_nothing_personal_is_left_in_any_writing() -> None:
    for text, secrets in told_dialogues(20_261_123, 1_000):
        redacted = redact_and_tell(text)
        left = compact(redacted.text)
        for secret in secrets:
            assert secret.written not in redacted.text, secret
            assert compact(secret.plain) not in left, secret
            assert Kind(secret.kind) in redacted.kinds, secret


def test_the_corpus_gives_what_it_gave_and_holds_the_secrets_it_names() -> None:
    first = list(dialogues(7, 50))
    assert first == list(dialogues(7, 50))
    assert first != list(dialogues(8, 50))
    assert all(any(secret in text for secret in secrets) for text, secrets in first)


def test_what_stands_around_the_findings_stays_byte_for_byte() -> None:
    for text, _ in dialogues(3, 300):
        found = findings(text)
        kept = [text[a:b] for a, b in zip([0, *(f.end for f in found)], [*(f.start for f in found), None], strict=True)]
        assert redact(text) == "".join(
            piece for pair in zip(kept, [*(f"[{f.kind}]" for f in found), ""], strict=True) for piece in pair
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("打13812345678。", "打[phone]。"),
        ("+86 138-1234-5678", "[phone]"),
        ("(+86)13812345678", "[phone]"),
        ("0086 138 1234 5678", "[phone]"),
        ("8613812345678", "[phone]"),
        ("1 3 8 1 2 3 4 5 6 7 8", "[phone]"),
        ("１３８－１２３４－５６７８", "[phone]"),
        ("138\u200b1234\u200b5678", "[phone]"),
        ("138\x001234\x005678", "[phone]"),
        ("一三八一二三四五六七八", "[phone]"),
        ("幺三八 一二三四 五六七八", "[phone]"),
        ("138一二三四5678", "[phone]"),
        ("13 8123-456 78", "[phone]"),
        ("1.13812345678 2.13912345678", "1.[phone] 2.[phone]"),
        ("13812345678-13912345678", "[phone]-[phone]"),
        ("2026-11-23 13812345678", "2026-11-23 [phone]"),
        ("Tel13812345678", "Tel[phone]"),
        ("13812345678wx同号", "[phone]wx同号"),
        ("\x1b[31m13812345678", "\x1b[31m[phone]"),
        (r"'电话\n13812345678'", r"'电话\n[phone]'"),
        (r"\u673113812345678", r"\u6731[phone]"),
        (r"138\u200b1234\xa05678", "[phone]"),
        ("010-82345678", "[phone]"),
        ("（0755）8234 5678", "[phone]"),
        ("075582345678转8", "[phone]转8"),
        ("+86 10 8234 5678", "[phone]"),
        ("+852 9123 4567", "[phone]"),
        ("11010519491231002X", "[id]"),
        ("110105 1949 1231 002 x", "[id]"),
        ("130503670401001", "[id]"),
        ("11010519491231002X13812345678", "11010519491231002X13812345678"),
        ("6222 0212 3456 7894 138 1234 5678", "[card] [phone]"),
        ("3782 822463 10005", "[card]"),
        ("zhang.wei@qq.com，谢谢", "[mail]，谢谢"),
        ("ｚｈａｎｇ＠ｑｑ．ｃｏｍ", "[mail]"),
        ("write to zhang @ qq . com now", "write to [mail] now"),
        ("zhang@qq。com", "[mail]"),
        ("13812345678@139.com", "[mail]"),
        ("<zhang%40qq.com>", "<[mail]>"),
    ],
)
def test_a_writing_of_something_personal_is_replaced_and_nothing_else(text: str, told: str) -> None:
    assert redact(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "400-000-0000",
        "+86 400 820 8820",
        "800-810-8888",
        "95588",
        "12345",
        "SF13812345678",
        "QH-2026-13812345678",
        "13812345678A",
        "20261123T182226.123456Z-13812345",
        "192.168.10.123",
        "0.13812345678",
        "1.4123456789012345 s",
        "1763900000123",
        "2026-11-23 18:22:26.123",
        "1999-01-01 123",
        "¥13,812.34",
        "35 36 37 38 39 40 41 42",
        "11010519491231002A",
        "110105194912310021",
        "110105199913310025",
        "6222021234567890",
        "git@host, @app.route, a @ b.scale, package@1.2.3",
    ],
)
def test_what_is_nobodys_stays(text: str) -> None:
    assert redact(text) == text


class _Clock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@pytest.mark.parametrize("now_ms", [NOON_MS, NOON_MS + 15_500_000_000], ids=["may-2026", "november-2026"])
def test_of_100_000_of_our_own_ids_none_is_altered(now_ms: int) -> None:
    clock = _Clock(now_ms)
    makers = [Snowflake(worker, clock) for worker in (0, 1, 512, 1_023)]
    made: list[str] = []
    for step in range(12_500):
        clock.now_ms += step % 41
        made += [maker.next_id() for maker in makers]
    text = "\n".join(made)
    assert redact(text) == text
    assert [one for one in made if redact(one) != one] == []


def test_of_ids_made_until_2029_hardly_one_reads_as_a_resident_id_and_no_other_is_altered() -> None:
    chance = random.Random(5)
    made = [
        str((chance.randrange(NOON_MS - EPOCH_MS, 1 << 37) << 22) | chance.randrange(1 << 22)) for _ in range(50_000)
    ]
    altered = [one for one in made if redact(one) != one]
    assert all(is_resident_id(one) or is_bank_card(one) for one in altered)
    assert len(altered) <= 10


def test_of_order_numbers_versions_prices_dates_and_request_ids_none_is_altered() -> None:
    chance = random.Random(11)
    for _ in range(4_000):
        digits = "".join(chance.choices("0123456789", k=chance.randint(8, 18)))
        letters = "".join(chance.choices("ABCDEFGHJKMNPQRSTUWXYZ", k=2))
        day = f"20{chance.randrange(10, 40)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        hour = f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}"
        for text in [
            f"订单{letters}{digits}到哪了",
            f"order {letters}-{digits}",
            f"{round(chance.random() * 10 ** chance.randint(0, 9), 4)!r} 元, p={chance.random()!r}",
            f"￥{chance.randrange(10**7):,}.{chance.randrange(100):02}",
            f"{day} {hour}",
            f"{day}T{hour}".replace("-", "").replace(":", "") + f".{digits[:6]}Z-{chance.randbytes(4).hex()}",
            f"{chance.randrange(30)}.{chance.randrange(100)}.{chance.randrange(1_000)}",
            chance.randbytes(8).hex(),
            str(uuid.UUID(bytes=chance.randbytes(16), version=4)),
            chance.randbytes(32).hex(),
        ]:
            assert redact(text) == text


def test_the_demo_data_hold_nothing_personal_but_the_shops_own_mail_addresses() -> None:
    files = [*(DATA / "evaluation").glob("*.jsonl"), *(DATA / "shop").rglob("*.*")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert len(lines) > 1_000
    assert {line[one.start : one.end] for line in lines for one in findings(line)} == SHOP_MAILS


ALPHABET = "0123456789013681 -.+()@aX％\u200b\u3000１３８一二三〇\\nu0%4\n手机:"


@given(st.text(st.sampled_from(ALPHABET), max_size=80))
@example("1" * 11)
@example("13812345678 13812345678@a.cn +86")
def test_any_text_can_be_redacted_and_a_redacted_one_has_nothing_left(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    found = findings(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= next_one.start for one, next_one in itertools.pairwise(found))


@given(st.text(max_size=200))
def test_any_unicode_passes_through(text: str) -> None:
    assert isinstance(redact(text), str)


@given(st.integers(0, 10**17 - 1))
def test_a_wrong_check_character_makes_no_resident_id(number: int) -> None:
    body = f"{number:017}"
    assert sum(is_resident_id(body + last) for last in "0123456789X") <= 1


HOSTILE = ["1", "@", " ", "1 ", "6 ", "a@", "a.", "1\u200b", "一 ", "0.", "1(", "a@b.", "1\\u200b", "\\", "%4", "+1"]


@pytest.mark.parametrize("piece", HOSTILE, ids=json.dumps)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def best_s(chars: int) -> float:
        text = piece * (chars // len(piece))
        taken = []
        for _ in range(3):
            began = time.process_time()
            redact(text)
            taken.append(time.process_time() - began)
        return min(taken)

    # Eight times the text: squared growth would take 64 times the time
    assert best_s(16_000) < 24 * best_s(2_000) + 0.01
