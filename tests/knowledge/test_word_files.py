"""Files of words are found beside the knowledge, named on the command line, and refused before anything is built."""

from pathlib import Path

import pytest
from answering.small_base import encoder
from click.testing import CliRunner

from qa_service.cli import main
from qa_service.domain.errors import KnowledgeError
from qa_service.knowledge.build import Recipe, build
from qa_service.knowledge.read import read_sources
from qa_service.knowledge.versions import Versions
from qa_service.knowledge.word_files import word_file
from qa_service.retrieval.snapshot import CUSTOM_WORDS, SYNONYMS, open_snapshot
from qa_service.retrieval.synonyms import read_synonyms
from qa_service.retrieval.tokens import Tokeniser

SHOP = Path(__file__).parents[2] / "data" / "shop"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of knowledge with both files."""
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "faq.jsonl").write_text('{"id": "points", "question": "积分会过期吗", "answer": "一年有效。"}\n')
    (folder / CUSTOM_WORDS).write_text("积分会\n", encoding="utf-8")
    (folder / SYNONYMS).write_text("积分 = 青豆豆\n", encoding="utf-8")
    return folder


def test_both_files_of_a_source_folder_are_taken(source: Path, tmp_path: Path) -> None:
    versions = Versions(tmp_path / "indexes", "shop")
    built = build(read_sources([source]), [source], versions, Recipe(encoder=encoder()))
    assert built.word_files == (source / CUSTOM_WORDS, source / SYNONYMS)
    tokens = open_snapshot(versions.path(built.version), encoder()).tokens("青豆豆会过期")
    assert "积分会" in tokens


def test_a_file_that_is_named_goes_before_the_one_in_the_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("积分 = 小红花\n", encoding="utf-8")
    recipe = Recipe(encoder=encoder(), synonyms=tmp_path / "mine.txt")
    versions = Versions(tmp_path / "indexes", "shop")
    built = build(read_sources([source]), [source], versions, recipe)
    snapshot = open_snapshot(versions.path(built.version), encoder())
    assert snapshot.tokens("小红花") == snapshot.tokens("积分") != snapshot.tokens("青豆豆")


def test_two_folders_with_such_a_file_are_refused_and_one_named_twice_is_not(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / SYNONYMS).write_text("")
    assert word_file([source, source / "faq.jsonl", other / ".." / "kb"], SYNONYMS) == other / ".." / "kb" / SYNONYMS
    assert word_file([other], CUSTOM_WORDS) is None
    with pytest.raises(KnowledgeError, match=r"kb/synonyms\.txt and .*other/synonyms\.txt: one synonyms\.txt"):
        word_file([source, other], SYNONYMS)


def test_the_command_says_which_files_it_took(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["index", "build", str(source)])
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    assert f"with the words of {source / SYNONYMS}" in result.stderr
    (tmp_path / "mine.txt").write_text("积分 = 小红花\n", encoding="utf-8")
    named = CliRunner().invoke(main, ["index", "build", "--synonyms", "mine.txt", str(source)])
    assert "with the words of mine.txt" in named.stderr


@pytest.mark.parametrize("options", [(), ("--strict",)])
def test_nothing_is_built_with_a_bad_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (source / SYNONYMS).write_text("# house words\n积分\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["index", "build", *options, str(source)])
    assert result.exit_code == 2
    assert f"{source / SYNONYMS}:2: a group of one" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "indexes").exists()


def test_each_own_word_of_the_demo_stands_in_its_entries_or_articles() -> None:
    tokeniser = Tokeniser()
    own_words = set(read_synonyms(SHOP / SYNONYMS, tokeniser.folded).values())
    entries = read_sources([SHOP]).entries
    texts = (text for entry in entries for text in (*entry.wordings, entry.answer or ""))
    told = tokeniser.folded("\n".join(texts)).replace(" ", "")
    assert len(own_words) >= 25
    assert [own for own in own_words if own.replace(" ", "") not in told] == []
