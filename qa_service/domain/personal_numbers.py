"""What makes a row of digits a phone, a resident id or a bank card. It knows digits and how they are grouped, no text.

A business's 400 and 800 lines are no personal data, and no kind here.
"""

import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum


class Kind(StrEnum):
    """What is personal; its placeholder in a text is this word in brackets."""

    PHONE = "phone"
    ID = "id"
    CARD = "card"
    MAIL = "mail"


LENGTHS = range(10, 20)  # digits of the shortest and the longest of them, a country's prefix included

ID_LENGTH = 18

# GB 11643-1999: place (a province of GB/T 2260), date of birth, serial number, check character (ISO 7064 MOD 11-2).
_PROVINCE = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[123]|91)"
_ID = re.compile(rf"{_PROVINCE}\d{{4}}(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)\d{{3}}[\dX]")
_OLD_ID = re.compile(rf"{_PROVINCE}\d{{4}}(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)\d{{3}}")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"

# Beginnings and lengths by issuer (ISO/IEC 7812): UnionPay and older Chinese cards, Visa, Mastercard, American
# Express, JCB, Diners Club, Discover, Maestro.
_CARD = re.compile(
    r"62\d{14,17}|(?:60|81)\d{14}(?:\d{3})?|9558\d{12,15}|690755\d{12}|4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}"
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|6(?:4[4-9]|5\d)\d{13}|(?:5[0678]|6[37])\d{14}(?:\d{3})?"
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, its own digits added (ISO/IEC 7812-1, Luhn)
_CARD_GROUPS = re.compile(r"\d+|(?:4 ){3}4( [1-4])?|4 4 4 [1-3]|6 1[0-3]|8 8|4 6 [45]|4 3 3 3")

_PHONE = re.compile(
    r"(?P<country>0086|86)?(?:(?P<mobile>0?1[3-9]\d)\d{8}"
    r"|(?P<near>(?(country)0?|0)(?:10|2\d))[1-9]\d{7}|(?P<far>(?(country)0?|0)(?![48]00)[3-9]\d\d)[1-9]\d{6,7})"
)
_MOBILE_GROUPS = re.compile(r"11|3 4 4|3 8|7 4|3 3 5|4 4 3|4 3 4|5 6|3 2 2 2 2")
_ABROAD = re.compile(r"(?!86)[1-9]\d{9,14}")
_GROUPS_ABROAD = 5
MOST_GROUPS = 6  # of a tidily written number other than an id: a country's prefix and 3 2 2 2 2


def is_resident_id(number: str) -> bool:
    """Whether 18 characters, or the 15 of before 1999, are a mainland resident id: place, birth date, check."""
    if shape := _OLD_ID.fullmatch(number):
        return _is_date("19" + shape["year"], shape["month"], shape["day"])
    shape = _ID.fullmatch(number)
    if shape is None or not _is_date(shape["year"], shape["month"], shape["day"]):
        return False
    weighed = sum(int(digit) * weight for digit, weight in zip(number[:17], _ID_WEIGHTS, strict=True))
    return number[17] == _ID_CHECKS[weighed % 11]


def is_bank_card(number: str) -> bool:
    """Whether digits begin and end as a bank card does: an issuer's beginning with its length, and the Luhn check."""
    if not _CARD.fullmatch(number):
        return False
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def kind_of(number: str, sizes: Sequence[int] | None, *, after_plus: bool) -> Kind | None:
    """Give what a number is, or None; `sizes` are its groups of digits, None if they do not matter.

    An id of 18 digits is one in any grouping: its check tells enough.
    """
    if len(number) == ID_LENGTH and is_resident_id(number):
        return Kind.ID
    if (sizes is None or _CARD_GROUPS.fullmatch(_spelt(sizes))) and is_bank_card(number):
        return Kind.CARD
    if (sizes is None or _spelt(sizes) in {"15", "6 6 3"}) and is_resident_id(number):
        return Kind.ID
    if after_plus and (sizes is None or len(sizes) <= _GROUPS_ABROAD) and _ABROAD.fullmatch(number):
        return Kind.PHONE
    return Kind.PHONE if _is_phone(number, sizes, after_plus=after_plus) else None


def _is_phone(number: str, sizes: Sequence[int] | None, *, after_plus: bool) -> bool:
    shape = _PHONE.fullmatch(number)
    if shape is None:
        return False
    country = len(shape["country"] or "")
    if sizes is None:
        return bool(shape["mobile"]) or country != 2 or after_plus
    local = _without(sizes, country)
    if shape["mobile"]:
        return bool(_MOBILE_GROUPS.fullmatch(_spelt(_without(local, len(shape["mobile"]) - 3))))
    # Digits that happen to begin with 86 are no landline: a plus, a 0086 or a gap says that a country is meant
    if country == 2 and not after_plus and sizes[0] != 2:
        return False
    area = len(shape["near"] or shape["far"])
    rest = len(number) - country - area
    return local in ([area + rest], [area, rest], [area, rest - 4, 4], [area, 4, rest - 4])


def _without(sizes: Sequence[int], digits: int) -> list[int]:
    """Give the sizes of the groups after the first `digits` digits."""
    left = list(sizes)
    while digits:
        taken = min(digits, left[0])
        digits -= taken
        left[0] -= taken
        if not left[0]:
            del left[0]
    return left


def _spelt(sizes: Sequence[int]) -> str:
    return " ".join(map(str, sizes))


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
