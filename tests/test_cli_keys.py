"""keys and clients as an operator types them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qa_service.access.clients import is_secret_of, read_clients
from qa_service.cli import main
from qa_service.settings import Settings

Verb = Callable[[str], Result]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*(f"QA_{field.upper()}" for field in Settings.model_fields), "QA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def verb() -> Verb:
    return lambda words: CliRunner().invoke(main, words.split())


def test_keys_are_made_listed_and_retired(verb: Verb, tmp_path: Path) -> None:
    first = verb("keys new")
    assert first.exit_code == 0
    assert "qa-service clients new" in first.stderr
    old = first.stdout.strip()
    assert (tmp_path / "var" / "keys" / f"{old}.pem").exists()
    second = verb("keys new")
    new = second.stdout.strip()
    assert "2 keys are live" in second.stderr
    assert verb("keys list").stdout.splitlines() == [f"  {old}", f"* {new}"]
    assert verb(f"keys retire {old}").exit_code == 0
    assert verb("keys list").stdout.splitlines() == [f"* {new}"]
    last = verb(f"keys retire {new}")
    assert last.exit_code == 2
    assert "qa-service keys new" in last.stderr


def test_a_client_is_made_with_a_secret_that_is_shown_once(verb: Verb, tmp_path: Path) -> None:
    verb("keys new")
    made = verb("clients new gateway --scope ask --scope explain")
    assert made.exit_code == 0
    told = dict(line.split("=", 1) for line in made.stdout.splitlines())
    assert told["client_id"] == "gateway"
    ready = re.search(r"curl -s (\S+) -u gateway:(\S+) -d grant_type=client_credentials", made.stderr)
    assert ready
    assert ready.groups() == ("http://127.0.0.1:8000/oauth/token", told["client_secret"])
    assert is_secret_of(read_clients(tmp_path / "var" / "keys")["gateway"], told["client_secret"])
    listed = verb("clients list")
    assert listed.stdout.split()[:4] == ["gateway", "shop", "ask", "explain"]
    assert told["client_secret"] not in listed.output
    assert verb("clients remove gateway").exit_code == 0
    assert verb("clients list").stdout == ""


def test_a_client_asks_unless_it_is_made_for_something_else(verb: Verb) -> None:
    made = verb("clients new plain --tenant bank")
    assert "qa-service keys new" in made.stderr  # nobody could sign for it yet
    assert verb("clients list").stdout.split()[:3] == ["plain", "bank", "ask"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("clients new gateway --scope root", 2),
        ("clients new Gate:way", 2),
        ("clients remove nobody", 2),
        ("keys retire ../../etc", 2),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(verb: Verb, words: str, code: int) -> None:
    refused = verb(words)
    assert refused.exit_code == code
    assert refused.stdout == ""
    assert isinstance(refused.exception, SystemExit)


def test_keys_may_lie_in_a_folder_of_their_own(verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_KEYS_DIR", str(tmp_path / "elsewhere"))
    kid = verb("keys new").stdout.strip()
    assert (tmp_path / "elsewhere" / f"{kid}.pem").exists()


@pytest.mark.parametrize("words", ["serve --host 0.0.0.0 --port 0", "api"])
def test_what_others_can_reach_is_not_served_without_keys(
    verb: Verb, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QA_REDIS_URL", f"unix://{tmp_path}/nobody")
    monkeypatch.setenv("QA_HOST", "0.0.0.0")
    refused = verb(words)
    assert refused.exit_code == 2
    assert "Bad setting: QA_HOST=0.0.0.0" in refused.stderr
    assert "qa-service keys new" in refused.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("words", ["serve --port 0", "api"])
def test_a_weak_secret_of_user_tokens_is_refused_before_anything_starts(
    verb: Verb, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QA_REDIS_URL", f"unix://{tmp_path}/nobody")
    monkeypatch.setenv("QA_USER_TOKEN_SECRET", "changeme")
    refused = verb(words)
    assert refused.exit_code == 2
    assert "openssl rand -base64 32" in refused.stderr
    assert "changeme" not in refused.output
