"""The sets that benchmarks measure on: which entries, which questions, what is out of scope. It knows no system.

The folder of real questions is described by its own README; every set here asks dev rows, or, where a set has none,
all rows but the test rows, which are kept aside. Questions that lean on earlier ones are left out.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qa_service.domain.entry import Entry, EntryKind
from qa_service.domain.text import normalise
from qa_service.knowledge.evaluate import LabelledQuestion, read_questions
from qa_service.knowledge.read import read_sources

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "data" / "shop"
EVALUATION = ROOT / "data" / "evaluation"
TEN_WORDINGS = 10
SEED = 1
ZH, EN, CROSS = "zh", "en", "cross"  # the language of entries and questions; cross: they differ

Wanted = Callable[[LabelledQuestion], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Labelled questions, the entries they ask for, and questions that nothing there answers.

    `wordings` of an entry at most (0: all). `strangers` holds out-of-scope questions of another file, of which those
    of `own_kinds` belong to the set's own domain and are dropped. `held_out` names entries that are taken out of the
    base, so that their questions become out of scope. `trained` adds the train rows to the entries' wordings.
    """

    name: str
    entries: Path
    questions: tuple[Path, ...]
    language: str
    wanted: Wanted = lambda _: True
    locale: str = ""
    wordings: int = 0
    strangers: Path | None = None
    own_kinds: frozenset[str] = frozenset()
    held_out: Path | None = None
    trained: bool = False
    measure_only: bool = False  # no licence to train or tune on


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One set, read: `questions` are in scope, `strangers` are not; both are sampled."""

    entries: tuple[Entry, ...]
    passages: tuple[Entry, ...]
    questions: tuple[LabelledQuestion, ...]
    strangers: tuple[LabelledQuestion, ...]


def demo_sets() -> list[Set]:
    return [
        Set(
            name=f"shop_{locale}",
            entries=SHOP,
            questions=tuple(sorted(EVALUATION.glob(f"questions*.{locale}.jsonl"))),
            language=locale,
            locale=locale,
        )
        for locale in (ZH, EN)
    ]


def real_sets(data: Path) -> list[Set]:
    found = [*_open_chinese_sets(data), *_open_english_sets(data), *_measured_sets(data)]
    return [one for one in found if one.entries.exists() and all(path.exists() for path in one.questions)]


def _open_chinese_sets(data: Path) -> list[Set]:
    base = _plain(data / "open", "zh_alicloud", ZH)
    oos = data / "open" / "zh_oos.queries.jsonl.gz"
    medical, chitchat = (_plain(data / "open", name, ZH) for name in ("zh_medical", "zh_chitchat"))
    return [
        replace(base, name="zh_alicloud_variants", wanted=lambda one: one.kind == "zh-variant", strangers=oos),
        replace(
            base,
            name="zh_alicloud_by_english",
            wanted=lambda one: one.kind == "en-parallel",
            language=CROSS,
            strangers=_clinc_questions(data),
        ),
        replace(medical, strangers=oos, own_kinds=frozenset({"medical"})),
        replace(chitchat, strangers=oos, own_kinds=frozenset({"chitchat"})),
    ]


def _open_english_sets(data: Path) -> list[Set]:
    at = data / "open"
    names = ("en_clinc150", "en_banking77", "en_hwu64", "en_bitext", "en_covidfaq")
    clinc, banking, hwu, bitext, covid = (_plain(at, name, EN) for name in names)
    held_out = at / "en_banking77.idoos_intents.json"
    oos = _clinc_questions(data)
    return [
        replace(clinc, wordings=TEN_WORDINGS),
        replace(clinc, name="en_clinc150_all", trained=True),
        replace(banking, wordings=TEN_WORDINGS, strangers=oos),
        replace(banking, name="en_banking77_held_out", wordings=TEN_WORDINGS, held_out=held_out),
        replace(banking, name="en_banking77_all", trained=True, strangers=oos),
        replace(hwu, wordings=TEN_WORDINGS),  # an assistant of all trades: what CLINC calls out of scope is not, here
        replace(bitext, wordings=TEN_WORDINGS, strangers=oos),
        replace(covid, strangers=oos),
    ]


def _measured_sets(data: Path) -> list[Set]:
    own_kinds = {"zh_ant_atec": {"bank", "shopping"}, "zh_covid": {"covid"}, "zh_cic": {"shopping"}}
    at = data / "evaluate"
    return [
        replace(
            _plain(at, name, ZH),
            strangers=at / "zh_oos.queries.jsonl.gz",
            own_kinds=frozenset(kinds),
            measure_only=True,
        )
        for name, kinds in own_kinds.items()
    ]


def _plain(at: Path, name: str, language: str) -> Set:
    questions = at / f"{name}.queries.jsonl.gz"
    return Set(name=name, entries=at / f"{name}.faq.jsonl.gz", questions=(questions,), language=language)


def _clinc_questions(data: Path) -> Path:
    return data / "open" / "en_clinc150.queries.jsonl.gz"


def read_set(one: Set, cap: int) -> Read:
    """Read a set with `cap` questions in scope and as many out of scope, always the same ones."""
    every = read_sources([one.entries]).entries
    if one.locale:
        every = tuple(entry for entry in every if is_chinese(entry) == (one.locale == ZH))
    rows = [row for path in one.questions for row in read_questions(path) if not row.context and row.kind != "article"]
    measured = [row for row in _measured(rows) if one.wanted(row)]
    entries = tuple(entry for entry in every if entry.kind is EntryKind.FAQ)
    if one.trained:
        entries = _with_trained(entries, rows, {normalise(row.query) for row in measured})
    if one.wordings:
        entries = tuple(replace(entry, similar=entry.similar[: one.wordings - 1]) for entry in entries)
    outside = _held_out_ids(one, entries)
    strangers = [row for row in measured if not row.right or row.right <= outside]
    if one.strangers and one.strangers.exists():
        others = [row for row in read_questions(one.strangers) if not row.right and row.kind not in one.own_kinds]
        strangers += _measured(others)
    return Read(
        entries=tuple(entry for entry in entries if entry.id not in outside),
        passages=tuple(entry for entry in every if entry.kind is EntryKind.PASSAGE),
        questions=_sampled([row for row in measured if row.right and not row.right <= outside], cap),
        # what is out of scope here may be labelled where it comes from
        strangers=tuple(
            LabelledQuestion(query=row.query, kind=row.kind or "out-of-scope") for row in _sampled(strangers, cap)
        ),
    )


def is_chinese(entry: Entry) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in entry.question)


def _measured(rows: Iterable[LabelledQuestion]) -> list[LabelledQuestion]:
    found = list(rows)
    return [row for row in found if row.split == "dev"] or [row for row in found if row.split != "test"]


def _sampled(rows: Sequence[LabelledQuestion], cap: int) -> tuple[LabelledQuestion, ...]:
    shuffled = list(rows)
    random.Random(SEED).shuffle(shuffled)
    return tuple(shuffled[:cap])


def _held_out_ids(one: Set, entries: Sequence[Entry]) -> frozenset[str]:
    if one.held_out is None:
        return frozenset()
    names = set(json.loads(one.held_out.read_text(encoding="utf-8")))
    return frozenset(entry.id for entry in entries if entry.id.partition("-")[2] in names)


def _with_trained(entries: Sequence[Entry], rows: Iterable[LabelledQuestion], measured: set[str]) -> tuple[Entry, ...]:
    """Add the train rows to the wordings of their entries, each text once, and none that is measured on."""
    added: dict[str, dict[str, str]] = {entry.id: {} for entry in entries}
    seen = {normalise(wording) for entry in entries for wording in entry.wordings} | measured
    for row in rows:
        folded = normalise(row.query)
        if row.split == "train" and row.faq_id in added and folded not in seen:
            seen.add(folded)
            added[row.faq_id][folded] = row.query
    return tuple(replace(entry, similar=(*entry.similar, *added[entry.id].values())) for entry in entries)
