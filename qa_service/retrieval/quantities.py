"""Numbers with what they count, so that "12 yuan" finds an answer that says 12元, and not one that says 12 days."""

import re

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*个?\s*([a-z]+|[\u4e00-\u9fff])?")
# What may follow a number, by its first character in Chinese or its English word. Any other word is no unit.
_UNITS = {
    **{unit: unit for unit in "元天月年件次单折斤公克小分积工周期级人位张条台双盒箱"},
    "块": "元",
    "yuan": "元",
    "rmb": "元",
    "日": "天",
    "号": "天",
    "day": "天",
    "days": "天",
    "working": "工",
    "hour": "小",
    "hours": "小",
    "minute": "分",
    "minutes": "分",
    "month": "月",
    "months": "月",
    "year": "年",
    "years": "年",
    "piece": "件",
    "pieces": "件",
    "item": "件",
    "items": "件",
    "point": "积",
    "points": "积",
    "kg": "公",
    "kilo": "公",
    "kilos": "公",
    "time": "次",
    "times": "次",
    "order": "单",
    "orders": "单",
}


def quantities(text: str) -> frozenset[tuple[str, str]]:
    """Give the numbers of a normalised text, each with the unit that follows it ("" where no known one does)."""
    found = ((match.group(1), match.group(2) or "") for match in _QUANTITY.finditer(text))
    return frozenset((number, _UNITS.get(unit, "")) for number, unit in found)
