"""Members under other names and times in other zones, in any JSON document. It knows no member but by its ending."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

# What is no plain snake_case is data (a token, an index's name), and stays.
_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_HUMP = re.compile(r"(?<!^)[A-Z]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_OF_DATA = {"terms", "checks"}  # objects whose members are named by data
_TIMES_END = ("_at", "timestamp")


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """Give `device_id` as `deviceId`."""
    if not _SNAKE.fullmatch(name):
        return name
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def snake(name: str) -> str:
    """Give `deviceId` as `device_id`."""
    return _HUMP.sub(lambda hump: f"_{hump[0].lower()}", name)


def rewritten(value: Any, *, camels: bool, zone: ZoneInfo | None, name: str = "") -> Any:  # noqa: ANN401  # any JSON value
    """Give a JSON value whose members have camelCase names, and whose times are those of a zone; ids stay."""
    match value:
        case dict():
            return {
                camel(key) if camels and name not in _OF_DATA else key: rewritten(
                    one, camels=camels, zone=zone, name=key
                )
                for key, one in value.items()
            }
        case list():
            return [rewritten(one, camels=camels, zone=zone, name=name) for one in value]
        case str() if zone and name.endswith(_TIMES_END) and _TIME.fullmatch(value):
            return _in_zone(value, zone)
        case _:
            return value


def _in_zone(time: str, zone: ZoneInfo) -> str:
    moment = datetime.fromisoformat(time)
    return moment.astimezone(zone).isoformat(timespec="milliseconds")
