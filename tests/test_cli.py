"""The verbs as an operator types them: what they print, and how they fail."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from answering.small_base import FAQ
from click.testing import CliRunner, Result

from qa_service.cli import main
from qa_service.domain.answer import Decision
from qa_service.settings import Settings
from qa_service.store.connection import open_redis
from qa_service.store.keys import Keys
from qa_service.store.shadow_counts import ShadowCounts

Verb = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*(f"QA_{field.upper()}" for field in Settings.model_fields), "QA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # indexes, state and settings of this test alone


@pytest.fixture
def verb() -> Verb:
    """Run a verb as typed, its words separated by spaces, more words as they are."""

    def run(words: str, *more: str) -> Result:
        return CliRunner().invoke(main, [*words.split(), *more])

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "faq.jsonl"
    members = ("id", "question", "answer", "similar", "not_for")
    rows = ({name: msgspec.to_builtins(getattr(entry, name)) for name in members} for entry in FAQ)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def version(verb: Verb, source: Path) -> str:
    """An active version."""
    return verb("index build", str(source)).stdout.strip()


def one_line(result: Result) -> str:
    """What a failure says: one line, and no traceback."""
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit), result.exception
    [line] = result.stderr.splitlines()
    return line


def test_build_prints_the_version_alone_and_reports_beside_it(verb: Verb, source: Path, tmp_path: Path) -> None:
    result = verb("index build", str(source))
    assert result.exit_code == 0
    [version] = result.stdout.splitlines()
    assert (tmp_path / "indexes" / "shop" / version / "manifest.json").exists()
    assert (tmp_path / "indexes" / "shop" / "ACTIVE").read_text().strip() == version
    assert "11 FAQ entries" in result.stderr
    assert "0 problems" in result.stderr


def test_build_lists_and_skips_bad_rows_and_refuses_them_when_strict(verb: Verb, source: Path, tmp_path: Path) -> None:
    with source.open("a") as file:
        file.write('{"id": "no-question"}\n')
    strict = verb("index build --strict", str(source))
    assert strict.exit_code == 2
    assert "faq.jsonl:12" in strict.stderr
    assert not (tmp_path / "indexes").exists()
    lenient = verb("index build", str(source))
    assert lenient.exit_code == 0
    assert "faq.jsonl:12" in lenient.stderr


def test_build_of_nothing_usable_is_refused(verb: Verb, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    result = verb("index build", "empty.jsonl")
    assert result.exit_code == 2
    assert "no usable entry" in result.stderr.splitlines()[-1]


def test_versions_are_listed_activated_rolled_back_and_pruned(verb: Verb, source: Path, version: str) -> None:
    second = verb("index build --no-activate", str(source)).stdout.strip()
    assert [line[:2] + line.split()[-5] for line in _marked(verb)] == [f"* {version}", f"  {second}"]
    assert verb("index activate", second).stdout.strip() == second
    assert _marked(verb)[1].startswith(f"* {second}")
    assert verb("index rollback").stdout.strip() == version
    assert _marked(verb)[0].startswith(f"* {version}")
    assert verb("index prune --keep 1").stdout == ""  # the newest and the active one
    third = verb("index build", str(source)).stdout.strip()
    verb("index build", str(source))
    assert verb("index prune --keep 1").stdout.splitlines() == [version, second]
    assert _marked(verb)[0].startswith(f"  {third}")


def _marked(verb: Verb) -> list[str]:
    result = verb("index list")
    assert result.exit_code == 0
    return [str(line) for line in result.stdout.splitlines()]


def test_there_is_nothing_to_roll_back_to_before_a_second_activation(verb: Verb, version: str) -> None:
    result = verb("index rollback")
    assert result.exit_code == 2
    assert "no earlier version" in one_line(result)


def test_verify_tells_a_whole_version_from_a_damaged_one(verb: Verb, version: str, tmp_path: Path) -> None:
    assert verb("index verify").stdout.strip() == f"{version} is whole"
    assert verb("index verify", version).exit_code == 0
    (tmp_path / "indexes" / "shop" / version / "faq" / "entries.jsonl").write_text("{}")
    for words in ("index verify", f"index activate {version}", "ask 怎么退货"):
        result = verb(words)
        assert result.exit_code == 2
        assert "entries.jsonl is cut short" in one_line(result)


@pytest.mark.parametrize("words", ["index verify nowhere", "index activate nowhere", "index activate ../x"])
def test_a_version_that_is_not_there_is_refused(verb: Verb, version: str, words: str) -> None:
    result = verb(words)
    assert result.exit_code == 2
    assert one_line(result)


@pytest.mark.parametrize("words", ["index verify", "ask 怎么退货"])
def test_without_an_index_the_way_to_one_is_named(verb: Verb, words: str) -> None:
    result = verb(words)
    assert result.exit_code == 1
    assert "qa-service index build" in one_line(result)


def test_ask_shows_the_answer_the_decision_and_the_candidates(verb: Verb, version: str) -> None:
    result = verb("ask 怎么开发票")
    assert result.exit_code == 0
    assert "decision " in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.endswith("(怎么开发票)")]
    assert [row.split()[-2] for row in rows] == ["invoice"]


def test_suggest_shows_known_questions_with_what_matches(verb: Verb, version: str) -> None:
    shown = verb("suggest shenqtuihuo --limit 2")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == ["pinyin     怎么[申请退货]  return"]
    assert verb("suggest zzzz").stdout == ""
    first, *_ = json.loads(verb("suggest 怎么申 --json").stdout)
    assert first == {"entry_id": "return", "text": "怎么申请退货", "match": "prefix", "highlight": [[0, 3]]}


def test_suggest_refuses_what_is_no_beginning(verb: Verb, version: str) -> None:
    refused = verb("suggest", "退" * 65)
    assert refused.exit_code == 1
    assert "64 characters" in one_line(refused)


def test_ask_gives_everything_as_json(verb: Verb, version: str) -> None:
    told = json.loads(verb("ask --json 怎么开发票").stdout)
    assert told["asked"] == "怎么开发票"
    assert told["decision"] in set(Decision)
    assert told["answer"]["index_version"] == version
    assert told["ranking"]["hits"][0]["entry_id"] == "invoice"


@pytest.mark.parametrize("text", ["", "   ", "长" * 501])
def test_what_is_no_question_is_refused(verb: Verb, version: str, text: str) -> None:
    result = verb("ask", text)
    assert result.exit_code == 1
    assert "Invalid input" in one_line(result)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = (
        {"query": "怎么开发票", "faq_id": "invoice", "split": "test"},
        {"query": "积分会过期吗", "faq_id": "points", "split": "test"},
        {"query": "今天天气怎么样", "faq_id": None, "split": "test"},
        {"query": "地址填错了", "faq_id": "address", "split": "dev"},
    )
    path = tmp_path / "questions.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_eval_prints_a_table_and_writes_the_figures(verb: Verb, source: Path, questions: Path, tmp_path: Path) -> None:
    result = verb("eval", "--entries", str(source), "--questions", str(questions), "--json", "figures.json")
    assert result.exit_code == 0, result.stderr
    assert {line.split()[0] for line in result.stdout.splitlines()[1:5]} == {"keyword", "vector", "fused", "reranked"}
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["questions"], figures["in_scope"], figures["out_of_scope"]) == (4, 3, 1)
    assert figures["strict"]["reranked"]["recall_at_1"] == 1.0
    assert (figures["entries"], figures["encoder"]) == (["faq.jsonl"], "builtin")
    assert not (tmp_path / "indexes").exists()  # built in a scratch folder


@pytest.mark.parametrize(
    ("more", "count"), [("--split test", 3), ("--split dev", 1), ("--limit 2", 2), ("--split test --limit 1", 1)]
)
def test_eval_asks_a_split_and_so_many(verb: Verb, source: Path, questions: Path, more: str, count: int) -> None:
    result = verb(f"eval {more}", "--entries", str(source), "--questions", str(questions))
    assert result.exit_code == 0, result.stderr
    assert f"{count} questions" in result.stdout


def test_eval_refuses_a_label_that_names_no_entry(verb: Verb, source: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.jsonl").write_text('{"query": "怎么飞", "faq_id": "fly"}\n')
    result = verb("eval --questions wrong.jsonl", "--entries", str(source))
    assert result.exit_code == 2
    line = one_line(result)
    assert "怎么飞" in line
    assert "fly" in line


@pytest.mark.parametrize("more", ["--split none", "--limit -1"])
def test_eval_refuses_what_leaves_no_question(verb: Verb, source: Path, questions: Path, more: str) -> None:
    result = verb(f"eval {more}", "--entries", str(source), "--questions", str(questions))
    assert result.exit_code == 2


def test_config_lists_every_setting_and_masks_secrets(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_REDIS_URL", "redis://:hunter2@127.0.0.1/0")
    monkeypatch.setenv("QA_PORT", "8123")
    result = verb("config")
    assert result.exit_code == 0
    names = [line.partition("=")[0] for line in result.stdout.splitlines()]
    assert names == [f"QA_{name.upper()}" for name in Settings.model_fields]
    assert "QA_PORT=8123" in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.parametrize("words", ["config", "index list", "ask hello"])
@pytest.mark.parametrize(
    ("name", "value"), [("QA_PROT", "1"), ("QA_PORT", "many"), ("QA_REDIS_URL_FILE", "nowhere"), ("QA_CONFIG", "no")]
)
def test_a_bad_variable_ends_every_verb_with_one_line_that_names_it(
    verb: Verb, monkeypatch: pytest.MonkeyPatch, words: str, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    result = verb(words)
    assert result.exit_code == 2
    line = one_line(result)
    assert line.startswith("Bad setting: ")
    assert name in line


def test_an_unknown_key_in_the_file_ends_with_one_line_that_names_it(verb: Verb, tmp_path: Path) -> None:
    (tmp_path / "qa_service.toml").write_text("prot = 1\n")
    result = verb("config")
    assert result.exit_code == 2
    assert "QA_PROT" in one_line(result)


def test_a_dictionary_that_is_not_there_is_refused(verb: Verb, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_CUSTOM_WORDS", "nowhere.txt")
    result = verb("index build", str(source))
    assert result.exit_code == 2
    assert "nowhere.txt" in result.stderr.splitlines()[-1]


def test_another_knowledge_base_has_versions_of_its_own(
    verb: Verb, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_KNOWLEDGE_BASE", "bank")
    assert verb("index list").stdout == ""


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_process_that_knows_no_redis_says_so_in_one_line(role: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "qa_service.cli", role], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "QA_REDIS_URL" in line


def test_what_a_shadow_version_decided_is_shown_with_its_counts(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_REDIS_URL", redis_url)

    async def count() -> None:
        client = open_redis(redis_url)
        await ShadowCounts(client, Keys(tenant="shop"), "v2").add(["answer>answer:same", "answer>clarify:differs"] * 2)
        await client.aclose()

    asyncio.run(count())
    told = CliRunner().invoke(main, ["shadow", "v2"])
    assert (told.exit_code, told.output.splitlines()) == (
        0,
        ["       2  answer -> answer  (same entry)", "       2  answer -> clarify  (another entry)"],
    )
    assert "no question" in CliRunner().invoke(main, ["shadow", "v3"]).output


def test_a_build_keeps_the_numbers_that_were_fitted_for_the_active_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_INDEXES_DIR", str(tmp_path))
    monkeypatch.setenv("QA_KNOWLEDGE_BASE", "shop")
    data = Path(__file__).parents[1] / "data"
    build = ["index", "build", str(data / "shop" / "faq.en.jsonl")]
    assert CliRunner().invoke(main, build).exit_code == 0
    questions = str(data / "evaluation" / "questions.en.jsonl")
    assert CliRunner().invoke(main, ["calibrate", "--questions", questions, "--precision", "0.8"]).exit_code == 0
    rebuilt = CliRunner().invoke(main, build).output.splitlines()[-1]
    fitted = json.loads((tmp_path / "shop" / rebuilt / "calibration.json").read_text())
    assert fitted["name"] == "questions.en.jsonl"
