"""Dialogues with valid phones, ids, cards and mail addresses in them, written in many ways. It knows no redaction.

Check digits are reckoned here anew, so that a mistake in the service's reckoning does not hide itself.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_CHINESE = str.maketrans("0123456789", "零一二三四五六七八九")
_HIDDEN = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")
_BETWEEN = (" ", "-", ".", "\u3000", "\u00a0", "–", " - ", "．", "\t")
_PLACES = ("110101", "120103", "130102", "310115", "330106", "440305", "510104", "610113", "650102", "810000")
_AREAS = ("010", "021", "0571", "0755", "028", "0991", "0898")
_CARDS = (
    ("622202", 19),
    ("621700", 19),
    ("625800", 16),
    ("955880", 19),
    ("4", 16),
    ("52", 16),
    ("37", 15),
    ("3530", 16),
)
_NAMES = ("zhang.wei", "li_na88", "Wang-Fang", "liu+shop", "chenjie2026", "13900001111", "zhao")
_HOSTS = ("qq.com", "163.com", "mail.example.com.cn", "gmail.com", "corp.example.org", "sina.cn")
_TURNS = (
    "我的电话是{}，麻烦尽快联系我",
    "用{}登录不上去，怎么办？",
    "{}",
    "请发到{}。谢谢",
    "订单 QH20261123000123 留的是{}（本人），金额 1299.00 元",
    "我填的是（{}），2026-11-23 下的单",
    "第1次填了{}\n第2次没填",
    "Please use {} for order QH-2026-000123, not before 18:30.",
    "My details: {}; the parcel of 2.5 kg has not arrived",
    "tel:{}, thanks",
    '{{"text": "{}"}}',
    "联系{}或{}都可以，版本 20261123T182226.123456Z-1a2b3c4d",
    "{}、{}，还有{}",
    "买 3 件，共 897 元，退到{}",
)
_REPLIES = (
    "好的，已记录。",
    "请问还有别的可以帮您吗？",
    "热线 400-000-0000，9:00-21:00。",
    "1-3 个工作日内处理。",
    "OK.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A personal number or address: its kind, its plain form, and how it stands in the text."""

    kind: str
    plain: str
    written: str


def dialogues(seed: int, count: int) -> Iterator[tuple[str, list[str]]]:
    """Give `count` dialogues with the secrets in each, as they are written there and plain."""
    for text, secrets in told_dialogues(seed, count):
        yield text, sorted({form for secret in secrets for form in (secret.written, secret.plain)})


def told_dialogues(seed: int, count: int) -> Iterator[tuple[str, list[Secret]]]:
    """Give `count` dialogues with all that is known of their secrets; the same ones for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        lines: list[str] = []
        secrets: list[Secret] = []
        for _ in range(chance.randint(1, 4)):
            turn = chance.choice(_TURNS)
            some = [secret(chance) for _ in range(turn.replace("{{", "").count("{}"))]
            lines += [turn.format(*(one.written for one in some)), chance.choice(_REPLIES)]
            secrets += some
        yield "\n".join(lines), secrets


def secret(chance: random.Random) -> Secret:
    """Make one secret, written in one of the ways that people write it."""
    kind, make = chance.choice(_KINDS)
    plain, tidy = make(chance)
    if kind == "mail":
        return Secret(kind=kind, plain=plain, written=_mail_written(plain, chance))
    ways: list[Callable[[str, list[int], random.Random], str]] = [_plainly, _tidily, _wide, _one_by_one, _with_hidden]
    if len(tidy) > 1 or kind in {"phone", "id"}:
        ways.append(_wide_and_tidy)
    if len(plain) in {11, 16, 18, 19}:
        ways.append(_oddly)
    if kind in {"phone", "id"} and "+" not in plain:
        ways.append(_in_chinese)
    return Secret(kind=kind, plain=plain, written=chance.choice(ways)(plain, tidy, chance))


def mobile(chance: random.Random) -> tuple[str, list[int]]:
    """Make a mainland mobile number, and how its digits are grouped."""
    number = "1" + chance.choice("3456789") + _digits(chance, 9)
    prefix = chance.choice(["", "", "", "+86", "0086", "86"])
    return prefix + number, [*([len(prefix)] if prefix else []), *chance.choice([[3, 4, 4], [3, 8], [7, 4]])]


def landline(chance: random.Random) -> tuple[str, list[int]]:
    """Make a landline number with its area code."""
    area = chance.choice(_AREAS)
    local = chance.choice("2345678") + _digits(chance, 7 if len(area) == 3 else chance.choice([6, 7]))
    return area + local, [len(area), len(local)]


def resident_id(chance: random.Random) -> tuple[str, list[int]]:
    """Make a resident id of 18 characters, now and then one of 15."""
    born = date(1940, 1, 1) + timedelta(days=chance.randrange(28_000))
    head = chance.choice(_PLACES)
    if chance.random() < 0.1:
        return f"{head}{born:%y%m%d}{_digits(chance, 3)}", [6, 6, 3]
    body = f"{head}{born:%Y%m%d}{_digits(chance, 3)}"
    remainder = 0  # ISO 7064 MOD 11-2, digit by digit
    for digit in body:
        remainder = (remainder + int(digit)) * 2 % 11
    check = (12 - remainder) % 11
    return body + (chance.choice("Xx") if check == 10 else str(check)), [6, 8, 4]


def bank_card(chance: random.Random) -> tuple[str, list[int]]:
    """Make a bank card with a valid last digit."""
    beginning, length = chance.choice(_CARDS)
    body = beginning + _digits(chance, length - len(beginning) - 1)
    number = next(body + last for last in "0123456789" if _passes_luhn(body + last))
    return number, [4, 6, 5] if length == 15 else [4] * (length // 4) + [length % 4] * (length % 4 > 0)


def mail(chance: random.Random) -> tuple[str, list[int]]:
    """Make a mail address."""
    return f"{chance.choice(_NAMES)}@{chance.choice(_HOSTS)}", []


def _passes_luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


def _digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


def _plainly(plain: str, _tidy: list[int], _chance: random.Random) -> str:
    return plain


def _tidily(plain: str, tidy: list[int], chance: random.Random) -> str:
    between = chance.choice(_BETWEEN)
    if tidy == [7, 4] and between == ".":
        between = "-"  # 1381234.5678 is an amount
    return between.join(_cut(plain, tidy))


def _wide(plain: str, _tidy: list[int], _chance: random.Random) -> str:
    return plain.translate(_FULL_WIDTH)


def _wide_and_tidy(plain: str, tidy: list[int], chance: random.Random) -> str:
    return _tidily(plain, tidy, chance).translate(_FULL_WIDTH)


def _one_by_one(plain: str, _tidy: list[int], chance: random.Random) -> str:
    return chance.choice([" ", "-", ".", "\u3000"]).join(plain)


def _with_hidden(plain: str, _tidy: list[int], chance: random.Random) -> str:
    return plain[0] + "".join(chance.choice(["", *_HIDDEN]) + char for char in plain[1:])


def _oddly(plain: str, _tidy: list[int], chance: random.Random) -> str:
    # A row of equal groups reads as a list of numbers, by anybody, and 1974 12 20 as a date
    sizes: list[int] = []
    while not sizes or len(set(sizes)) == 1 or (sizes[0] == 4 and sizes[1] == 2):
        sizes = []
        while sum(sizes) < len(plain):
            sizes.append(min(chance.randint(2, 5), len(plain) - sum(sizes)))
    parts = _cut(plain, sizes)
    return parts[0] + "".join(chance.choice([" ", "-", "\u00a0"]) + part for part in parts[1:])


def _in_chinese(plain: str, _tidy: list[int], _chance: random.Random) -> str:
    return plain.translate(_CHINESE)


def _cut(plain: str, sizes: list[int]) -> list[str]:
    parts = []
    for size in sizes:
        parts.append(plain[:size])
        plain = plain[size:]
    return [*parts, plain] if plain else parts


def _mail_written(plain: str, chance: random.Random) -> str:
    name, host = plain.split("@")
    first, rest = host.split(".", 1)
    return chance.choice(
        [
            plain,
            plain,
            plain.upper(),
            plain.translate(_FULL_WIDTH),
            f"{name}＠{host}",
            f"{name} @ {host}",
            f"{name}@{first} . {rest}",
            f"{name}\u3000@\u3000{host}",
            f"{name}@{first}。{rest}",
            "\u200b".join(name) + "@" + host,
        ]
    )


_KINDS: tuple[tuple[str, Callable[[random.Random], tuple[str, list[int]]]], ...] = (
    ("phone", mobile),
    ("phone", mobile),
    ("phone", landline),
    ("id", resident_id),
    ("card", bank_card),
    ("mail", mail),
)
