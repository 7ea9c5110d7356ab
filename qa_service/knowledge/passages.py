"""The body of an article is cut into passages by heading, block and sentence. It knows no file and no entry.

A passage holds whole blocks where they fit, else whole sentences, list items or table rows (under their header). A
code fence is never cut, nor is a link. What a passage holds is the source text itself, Markdown marks included.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from qa_service.knowledge.sentences import clauses, sentences

MAX_CHARS = 400  # of a passage: about what the built-in encoder reads (128 tokens of Chinese and some more)
_FEW_CHARS = 60  # a remainder this short joins the passage before it
_CONTAINERS = frozenset({"bullet_list", "ordered_list", "list_item", "blockquote"})
_WHOLE = frozenset({"fence", "code_block"})
_TABLE_HEAD_LINES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of an article. `line` counts from 0 in the body; `headings` leads from the outermost to its own."""

    headings: tuple[str, ...]
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """What is never cut again. `gap` is what stood between it and the unit before it."""

    text: str
    gap: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    headings: tuple[str, ...]
    blocks: tuple[SyntaxTreeNode, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A body cut into passages, in order, and its first heading of level 1 ("" where there is none)."""

    title: str
    passages: tuple[Passage, ...]


def cut_article(body: str) -> Cut:
    """Cut a body into passages. Thematic breaks and HTML comments are left out; nothing else is.

    A section without text gives one passage with an empty text, unless it has subsections.
    """
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse("\n".join(lines)))
    title = next((_plain(node) for node in tree.children if node.tag == "h1"), "")
    passages: list[Passage] = []
    for section in _sections(tree.children, len(lines)):
        units = [unit for unit in _units(section.blocks, lines, section.begin, section.end) if unit.text]
        passages += [
            Passage(headings=section.headings, text=text.text, line=text.line)
            for text in _packed(units) or [_Unit(text="", gap="", line=max(section.begin - 1, 0))]
        ]
    kept = [passage for i, passage in enumerate(passages) if passage.text or not _has_more_below(passages, i)]
    return Cut(title=title, passages=tuple(kept))


def _has_more_below(passages: Sequence[Passage], i: int) -> bool:
    headings = passages[i].headings
    return not headings or (i + 1 < len(passages) and passages[i + 1].headings[: len(headings)] == headings)


def _sections(nodes: Sequence[SyntaxTreeNode], line_count: int) -> Iterator[_Section]:
    path: dict[int, str] = {}  # heading level -> its text
    blocks: list[SyntaxTreeNode] = []
    begin = 0
    for node in nodes:
        if node.type != "heading":
            blocks.append(node)
            continue
        first, end = _extent(node)
        yield _Section(headings=tuple(path.values()), blocks=tuple(blocks), begin=begin, end=first)
        level = int(node.tag[1])
        path = {above: text for above, text in path.items() if above < level} | {level: _plain(node)}
        blocks, begin = [], end
    yield _Section(headings=tuple(path.values()), blocks=tuple(blocks), begin=begin, end=line_count)


def _extent(node: SyntaxTreeNode) -> tuple[int, int]:
    assert node.map is not None  # every block has one
    return node.map


def _plain(heading: SyntaxTreeNode) -> str:
    words = [" " if node.type in {"softbreak", "hardbreak"} else node.content for node in _leaves(heading)]
    return " ".join("".join(words).split())


def _leaves(node: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    if not node.children:
        yield node
    for child in node.children:
        yield from _leaves(child)


def _units(blocks: Sequence[SyntaxTreeNode], lines: Sequence[str], begin: int, end: int) -> Iterator[_Unit]:
    """Cut lines `begin` to `end` into units: those of the blocks, and prose for lines that belong to no block."""
    for block in blocks:
        first, after = _extent(block)
        yield from _prose(_slice(lines, begin, first), begin)  # link definitions make no block
        yield from _block_units(block, lines)
        begin = after
    yield from _prose(_slice(lines, begin, end), begin)


def _block_units(block: SyntaxTreeNode, lines: Sequence[str]) -> Iterator[_Unit]:
    begin, end = _extent(block)
    text = _slice(lines, begin, end)
    if block.type == "hr" or (block.type == "html_block" and _is_comment(text)):
        return
    if len(text) <= MAX_CHARS or block.type in _WHOLE:
        stands_apart = not begin or not lines[begin - 1].strip()
        yield _Unit(text=text, gap="\n\n" if stands_apart else "\n", line=begin)
    elif block.type in _CONTAINERS:
        yield from _units(block.children, lines, begin, end)
    elif block.type == "table":
        yield from _table_units(text.split("\n"), begin)
    else:
        yield from _prose(text, begin)


def _slice(lines: Sequence[str], begin: int, end: int) -> str:
    return "\n".join(lines[begin:end]).strip("\n").rstrip()


def _is_comment(text: str) -> bool:
    text = text.strip()
    return text.startswith("<!--") and text.endswith("-->") and text.count("-->") == 1


def _table_units(rows: Sequence[str], line: int) -> Iterator[_Unit]:
    head = "\n".join(rows[:_TABLE_HEAD_LINES])
    group = head
    begin = line
    for i, row in enumerate(rows[_TABLE_HEAD_LINES:], start=_TABLE_HEAD_LINES):
        if group != head and len(group) + 1 + len(row) > MAX_CHARS:
            yield _Unit(text=group, gap="\n\n", line=begin)
            group, begin = head, line + i
        group += "\n" + row
    yield _Unit(text=group, gap="\n\n", line=begin)


def _prose(text: str, line: int) -> Iterator[_Unit]:
    gap = "\n\n"
    for sentence in sentences(text):
        for piece in clauses(sentence, MAX_CHARS):
            bare = piece.strip()
            before = piece[: len(piece) - len(piece.lstrip())]
            yield _Unit(text=bare, gap=gap + before, line=line + before.count("\n"))
            gap = piece[len(before) + len(bare) :]
            line += piece.count("\n")


def _packed(units: Sequence[_Unit]) -> list[_Unit]:
    """Join neighbours while they fit together."""
    packed: list[_Unit] = []
    for unit in units:
        if packed and len(packed[-1].text) + len(unit.gap) + len(unit.text) <= MAX_CHARS:
            packed[-1] = _joined(packed[-1], unit)
        else:
            packed.append(unit)
    if len(packed) > 1 and len(packed[-1].text) < _FEW_CHARS and len(packed[-2].text) <= MAX_CHARS:
        packed[-2:] = [_joined(packed[-2], packed[-1])]
    return packed


def _joined(one: _Unit, other: _Unit) -> _Unit:
    return replace(one, text=one.text + other.gap + other.text)
