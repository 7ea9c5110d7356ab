"""Bodies by the hundred thousand, the same ones for the same seed. It knows members by name, and no route.

Three kinds: known members with odd values, corpus bodies that were changed a little, and noise.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

from security.corpus.bodies import BODIES

_NAMES = (
    *("text", "locale", "lid", "uid", "device_id", "user_token", "bot", "data", "attributes", "type", "id", "reason"),
    *("rating", "url", "events", "role", "entry_id", "index_version", "limit", "wait", "", "__proto__", "a/b~c"),
)
_FIELDS = ("grant_type", "client_id", "client_secret", "scope", "text", "")
_SMALL = [body for body in BODIES.values() if len(body) < 2_000]
_ODD = (
    "\0",
    "\ud800",
    "\udfff",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\uffff",
    "\x1b[2J",
    "\r\n",
    "％",
    "𠮷",
    "e\u0301",
    '"',
    "\\",
)


def bodies(seed: int, number: int) -> Iterator[bytes]:
    """Give so many bodies, most of them short."""
    chance = random.Random(seed)
    for _ in range(number):
        yield chance.choices((_document, _changed, _noise, _form), weights=(45, 35, 10, 10))[0](chance)


def _document(chance: random.Random) -> bytes:
    members = {chance.choice(_NAMES): _value(chance, 3) for _ in range(chance.randint(0, 5))}
    if chance.random() < 0.2:
        members = {"data": {"type": "a", "attributes": members}}
    return json.dumps(members, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _value(chance: random.Random, depth: int) -> Any:
    match chance.randrange(9 if depth else 7):
        case 0:
            return _text(chance)
        case 1:
            return chance.choice((True, False, None))
        case 2:
            return chance.randint(-(2 ** chance.randint(1, 80)), 2 ** chance.randint(1, 80))
        case 3:
            return chance.choice((float("nan"), float("inf"), -0.0, 1e308, 5e-324, chance.random()))
        case 4:
            return _text(chance) * chance.randint(1, 60)
        case 5:
            return chance.choice(("zh-CN", "en", "up", "bot", "https://[::1]:0/", "2026-11-23T00:00:00+99:99"))
        case 6:
            return str(chance.randint(0, 10**20))
        case 7:
            return [_value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
        case _:
            return {_text(chance): _value(chance, depth - 1) for _ in range(chance.randint(0, 3))}


def _text(chance: random.Random) -> str:
    pieces = [*_ODD, "怎么退货", "a", " ", "1", chr(chance.randrange(0x11_0000))]
    return "".join(chance.choices(pieces, k=chance.randint(0, 6)))


def _changed(chance: random.Random) -> bytes:
    body = bytearray(chance.choice(_SMALL))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body[at:at] = chance.randbytes(chance.randint(1, 3))
            case 1:
                del body[at : at + chance.randint(1, 8)]
            case 2:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                body[at:at] = chance.choice(_SMALL)[: chance.randint(1, 200)]
    return bytes(body)


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(0, 200))


def _form(chance: random.Random) -> bytes:
    def piece() -> str:
        return chance.choice(("%", "%ff", "%00", "+", "&", "=", _text(chance), "client_credentials", "%E4%BC%9A"))

    pairs = [f"{chance.choice(_FIELDS)}={piece()}{piece()}" for _ in range(chance.randint(0, 6))]
    return "&".join(pairs).encode("utf-8", "surrogatepass")
