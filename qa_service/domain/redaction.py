"""Personal numbers and addresses in a text: found, and replaced by what they are. It knows no log, store or setting.

Found are mainland phones (other countries' after a plus), resident ids, bank cards and mail addresses, in any width
of digit and in Chinese ones. A number is read from whole groups of digits: `138 1234 5678` is three. What letters
lead into is an order number, a version or a request id, unless they say what it is (`Tel13812345678`).
Pure functions in linear time: no clock, and nothing is remembered.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qa_service.domain.personal_numbers import ID_LENGTH, LENGTHS, MOST_GROUPS, Kind, is_resident_id, kind_of

# What nobody sees, control characters included: put between two digits, it must not hide them.
_HIDDEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u2069\ufe00-\ufe0f\ufeff\u20e3"
)
_APART = r" \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\-\u2010-\u2015\u2212\ufe63－.．·•・。()（）"
# An error's message may quote a text with escapes; the digits of an escape, or of a colour, belong to no number.
_ESCAPE = (
    r"(?:\x1b|\\x1b|\\u001b)\[[0-9;]{0,16}[A-Za-z]|\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[nrt])|(?<!\d)%[2-9A-F][0-9A-F]"
)
_ESCAPED_HIDDEN = r"\\(?:u200[b-fB-F]|u2060|u[fF][eE][fF]{2}|u00[aA][dD]|xad)"
_ESCAPED_APART = r"\\(?:u3000|u00[aA]0|xa0|t)"
_UNSEEN = rf"(?:[{_HIDDEN}]|{_ESCAPED_HIDDEN})*+"
_GAP = rf"{_UNSEEN}(?:(?:[{_APART}]|{_ESCAPED_APART}){_UNSEEN}){{0,3}}"
_RUN = re.compile(rf"(?P<escapes>(?:{_ESCAPE})++)|\d(?:{_GAP}\d){{{LENGTHS.start - 1},}}+")
_GROUP = re.compile(rf"{_ESCAPED_APART}|(?P<digits>\d(?:{_UNSEEN}\d)*+)")
_NO_DIGIT = re.compile(rf"[{_HIDDEN}]|{_ESCAPED_HIDDEN}")
_LAST_X = re.compile(rf"{_GAP}[xXｘＸ](?![A-Za-z0-9_])")
_CHINESE = "〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
_CHINESE_DIGITS = str.maketrans(_CHINESE, "0001234567891123456789")
_CHINESE_NUMBER = re.compile(rf"[{_CHINESE}](?:{_GAP}[{_CHINESE}]){{3}}")

_LED_BY_LETTERS = re.compile(r"[A-Za-z0-9_][-_]?$")
_LABEL = re.compile(
    r"(?:^|[^A-Za-z0-9_])(?:tel|telephone|phone|mobile|mob|cell|call|fax|vx|wx|wechat|weixin|whatsapp|sms|qq"
    r"|id|idcard|card|cardno|bank|visa|mastercard|amex|unionpay|uid|user)[-_]?$",
    re.IGNORECASE,
)
_CUT = re.compile(r"(?!(?:vx|wx|wechat|weixin|qq|tel|phone|call|ext|x)(?![a-z]))[a-z_]", re.IGNORECASE)
_LABEL_REACH = 16  # characters before a number that are looked at
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d\D(?:0?[1-9]|1[0-2])\D(?:0?[1-9]|[12]\d|3[01])(?!\d)")
_DOTS_ONLY = re.compile(r"\d+(?:\.\d+)+")
_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")  # of a host, IPv4
_DECIMAL = re.compile(r"(?:0|[1-9]\d*)\.\d+")
_FRACTION = re.compile(r"(?<!\d)(?:0|\d{3,9})\.$")  # 1. and 12. number the lines of a list

# Full-width letters and those of Latin alphabets stand in addresses too; %40 is the @ of a quoted URL.
_WORD = r"A-Za-z0-9Ａ-Ｚａ-ｚ０-９\u00c0-\u024f"
_LOCAL = rf"{_WORD}._+\-．＿＋－"
_SPACED = rf"[{_HIDDEN} \t\u00a0\u3000]{{0,3}}"
# With spaces only before these: code multiplies matrices with @, and a sentence may end before other words.
_TOP = "com|cn|net|org|edu|gov|io|me|co|top|vip|xyz|info"
_LABEL_OF_HOST = rf"[{_WORD}\-－{_HIDDEN}]{{1,63}}+"
_MAIL = re.compile(
    rf"(?<![{_LOCAL}])[{_LOCAL}][{_LOCAL}{_HIDDEN}]{{0,255}}+"
    rf"(?:(?:[@＠﹫]|%40)(?:{_LABEL_OF_HOST}[.．｡]){{1,8}}[A-Za-zＡ-Ｚａ-ｚ]{{2,24}}"
    rf"|{_SPACED}(?:[@＠﹫]|%40){_SPACED}{_LABEL_OF_HOST}{_SPACED}[.．｡。]{_SPACED}"
    rf"(?:{_LABEL_OF_HOST}[.．｡]){{0,3}}(?i:{_TOP}))(?![A-Za-z0-9])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One personal number or address: `text[start:end]`."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without what was personal in it, and which kinds that was."""

    text: str
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Digits that stand together: `size` of them, `offset` digits into their run, at `start` to `end` of the text."""

    offset: int
    size: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Groups of digits with nothing but gaps between; the first `led` of them continue what has letters.

    `cut` says that such a thing goes on after the last.
    """

    text: str
    digits: str
    groups: list[_Group]
    led: int
    after_plus: bool
    cut: bool

    def number(self, first: int, end: int) -> str:
        """Give the digits of a stretch of groups."""
        last = self.groups[end - 1]
        return self.digits[self.groups[first].offset : last.offset + last.size]

    def raw(self, first: int, end: int) -> str:
        """Give the text of a stretch of groups."""
        return self.text[self.groups[first].start : self.groups[end - 1].end]

    def sizes(self, first: int, end: int) -> list[int]:
        """Give the sizes of a stretch of groups."""
        return [group.size for group in self.groups[first:end]]


def redact(text: str) -> str:
    """Give the text with `[phone]`, `[id]`, `[card]` and `[mail]` for what is personal; all else stays as it is."""
    return redact_and_tell(text).text


def redact_and_tell(text: str) -> Redacted:
    """Give the text as `redact` does, and which kinds were found."""
    found = findings(text)
    return Redacted(
        text=_replaced(text, found, lambda one: f"[{one.kind}]"), kinds=frozenset(one.kind for one in found)
    )


def findings(text: str) -> list[Finding]:
    """Find what is personal, from left to right; findings do not overlap."""
    found = [Finding(kind=Kind.MAIL, start=mail.start(), end=mail.end()) for mail in _MAIL.finditer(text)]
    found = _with_numbers(text, found)
    if _CHINESE_NUMBER.search(text):
        found = _with_numbers(text.translate(_CHINESE_DIGITS), found)
    return found


def _replaced(text: str, found: list[Finding], placeholder: Callable[[Finding], str]) -> str:
    pieces, done = [], 0
    for one in found:
        pieces += [text[done : one.start], placeholder(one)]
        done = one.end
    return "".join([*pieces, text[done:]])


def _with_numbers(text: str, found: list[Finding]) -> list[Finding]:
    """Add the numbers outside what was found already; that is covered, so that no number reaches into it."""
    covered = _replaced(text, found, lambda one: "]" * (one.end - one.start))
    after_escape = -1
    numbers: list[Finding] = []
    for match in _RUN.finditer(covered):
        if match["escapes"]:
            after_escape = match.end()
        else:
            numbers += _in_run(_read_run(covered, match, escaped=match.start() == after_escape))
    return sorted([*found, *numbers], key=lambda one: one.start)


def _read_run(text: str, match: re.Match[str], *, escaped: bool) -> _Run:
    """Take a run apart; `escaped` says that an escape stands before it, whose letters lead into nothing."""
    start, end = match.span()
    groups: list[_Group] = []
    digits: list[str] = []
    offset = 0
    for group in _GROUP.finditer(text, start, end):
        if written := group["digits"]:
            plain = written if written.isdecimal() else _NO_DIGIT.sub("", written)
            groups.append(_Group(offset=offset, size=len(plain), start=group.start(), end=group.end()))
            digits.append(plain if plain.isascii() else "".join(str(int(digit)) for digit in plain))
            offset += len(plain)
    before = text[max(0, start - _LABEL_REACH) : start]
    led = int(not escaped and bool(_LED_BY_LETTERS.search(before)) and not _LABEL.search(before))
    while 0 < led < len(groups) and text[groups[led - 1].end : groups[led].start] in {"-", "."}:
        led += 1
    return _Run(
        text=text,
        digits="".join(digits),
        groups=groups,
        led=led,
        after_plus=before.endswith(("+", "＋")),
        cut=bool(_CUT.match(text, end)),
    )


def _in_run(run: _Run) -> Iterator[Finding]:
    """Find numbers that are written tidily, then those that what is left over may be."""
    last_x = _ending_in_x(run)
    left = last_x[0] if last_x else len(run.groups)
    stretches = _tidy(run, left)
    if sum(end - first for first, end, _ in stretches) < left and (whole := _odd_kind(run, 0, left)):
        stretches = [(0, left, whole)]  # a card written oddly may hold what looks like a phone
    done = 0
    for first, end, kind in [*stretches, (left, left, None)]:
        if odd := _odd_kind(run, done, first):
            yield _finding(run, done, first, odd)
        if kind:
            yield _finding(run, first, end, kind)
        done = end
    if last_x:
        yield last_x[1]


def _ending_in_x(run: _Run) -> tuple[int, Finding] | None:
    """Find the resident id whose check character, an X, follows the run; give it with its first group's number."""
    last_x = _LAST_X.match(run.text, run.groups[-1].end)
    if last_x is None or not is_resident_id(run.digits[-17:] + "X"):
        return None
    for first in range(run.led, len(run.groups)):
        if run.groups[first].offset == len(run.digits) - 17:
            return first, Finding(kind=Kind.ID, start=run.groups[first].start, end=last_x.end())
    return None


def _tidy(run: _Run, left: int) -> list[tuple[int, int, Kind]]:
    """Choose the tidily written numbers that cover most digits of the first `left` groups: first, end, kind."""
    ends = {group.offset + group.size: index for index, group in enumerate(run.groups[:left], 1)}
    covered = [0] * (left + 1)
    chosen: list[tuple[int, int, Kind] | None] = [None] * left
    for first in reversed(range(left)):
        covered[first] = covered[first + 1]
        offset = run.groups[first].offset
        for end in {*range(first + 1, min(first + MOST_GROUPS, left) + 1), ends.get(offset + ID_LENGTH, first + 1)}:
            digits = run.groups[end - 1].offset + run.groups[end - 1].size - offset
            if digits in LENGTHS and digits + covered[end] > covered[first] and (kind := _tidy_kind(run, first, end)):
                covered[first], chosen[first] = digits + covered[end], (first, end, kind)
    picked = []
    first = 0
    while first < left:
        pick = chosen[first]
        first = pick[1] if pick else first + 1
        picked += [pick] if pick else []
    return picked


def _tidy_kind(run: _Run, first: int, end: int) -> Kind | None:
    if _belongs_elsewhere(run, first, end):
        return None
    sizes = run.sizes(first, end)
    if sizes[0] != 3 and _DECIMAL.fullmatch(run.raw(first, end)):
        return None
    return kind_of(run.number(first, end), sizes, after_plus=run.after_plus and first == 0)


def _odd_kind(run: _Run, first: int, end: int) -> Kind | None:
    """Give what a stretch is whose digits are grouped at random, or one by one; a list of numbers is nothing."""
    if end - first < 2 or len(run.number(first, end)) not in LENGTHS or _belongs_elsewhere(run, first, end):
        return None
    sizes, raw = run.sizes(first, end), run.raw(first, end)
    if max(sizes) > 1 and (len(set(sizes)) == 1 or _DATE.search(raw) or _is_dotted(raw, sizes)):
        return None
    return kind_of(run.number(first, end), None, after_plus=run.after_plus and first == 0)


def _is_dotted(raw: str, sizes: list[int]) -> bool:
    """Whether a stretch is a decimal number, a version or a host's address."""
    return bool(_DOTS_ONLY.fullmatch(raw)) and (len(sizes) == 2 or sizes[0] < 3 or bool(_ADDRESS.fullmatch(raw)))


def _belongs_elsewhere(run: _Run, first: int, end: int) -> bool:
    """Whether letters lead into a stretch or follow at once, or it is what follows a decimal point."""
    start = run.groups[first].start
    cut = run.cut and end == len(run.groups)
    return first < run.led or cut or bool(_FRACTION.search(run.text[max(0, start - 11) : start]))


def _finding(run: _Run, first: int, end: int, kind: Kind) -> Finding:
    """Take in the plus, and the bracket that is closed inside the number."""
    start = run.groups[first].start
    raw = run.raw(first, end)
    if first == 0:
        start -= run.after_plus
        if run.text[start - 1 : start] in ("(", "（") and re.match(r"[^(（]*[)）]", raw):
            start -= 1
    return Finding(kind=kind, start=start, end=run.groups[end - 1].end)
