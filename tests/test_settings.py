"""Settings come from variables over a file over defaults, and a slip is an error that names it."""

from pathlib import Path

import pytest

from qa_service.domain.errors import SettingsError
from qa_service.settings import Settings, load_settings

SECRET = "redis://:hunter2@127.0.0.1:6379/0"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*(f"QA_{field.upper()}" for field in Settings.model_fields), "QA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # no qa_service.toml of this checkout


def test_with_nothing_set_the_defaults_hold_and_no_redis_is_named() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.knowledge_base) == ("127.0.0.1", 8000, "shop")
    assert (settings.state_dir, settings.indexes_dir) == (Path("var"), Path("indexes"))
    assert settings.redis_url is None


def test_overrides_win_over_variables_and_variables_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "qa_service.toml").write_text('port = 1001\nbatch = 11\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("QA_PORT", "1002")
    monkeypatch.setenv("QA_BATCH", "12")
    settings = load_settings(port=1003)
    assert (settings.port, settings.batch, settings.host) == (1003, 12, "0.0.0.0")


def test_a_file_is_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("port = 1001\n")
    monkeypatch.setenv("QA_CONFIG", str(tmp_path / "own.toml"))
    assert load_settings().port == 1001


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1\n", "QA_PROT"),
        ("port = 'many'\n", "QA_PORT"),
        ("port = \n", "settings file cannot be read"),
        ("[port]\nx = 1\n", "QA_PORT"),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "qa_service.toml").write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        load_settings()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qa_service.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_a_named_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"QA_CONFIG names nowhere\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QA_PORT", "65536"),
        ("QA_PORT", "-1"),
        ("QA_PORT", "eighty"),
        ("QA_BATCH", "0"),
        ("QA_BATCH", "1.5"),
        ("QA_QUEUE_CAP", "0"),
        ("QA_CLAIM_IDLE_MS", "99"),
        ("QA_REDIS_PARTITIONS", "0"),
        ("QA_LOG_LEVEL", "loud"),
        ("QA_KNOWLEDGE_BASE", "../shop"),
        ("QA_KNOWLEDGE_BASE", "Shop"),
        ("QA_REDIS_URL", "localhost:6379"),
        ("QA_REDIS_URL", "http://127.0.0.1"),
    ],
)
def test_a_value_without_sense_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize("name", ["QA_PROT", "QA_REDISURL", "QA_PORT_FIEL", "QA_CONFIG_FILE_FILE"])
def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"unknown setting {name}"):
        load_settings()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_REDIS_URL", "")
    monkeypatch.setenv("QA_PORT", "")
    settings = load_settings()
    assert (settings.redis_url, settings.port) == (None, 8000)


def test_a_secret_is_read_from_a_file_without_its_line_break(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("QA_REDIS_URL_FILE", str(tmp_path / "secret"))
    url = load_settings().redis_url
    assert url is not None
    assert url.get_secret_value() == SECRET


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_secrets_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("QA_REDIS_URL_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match="QA_REDIS_URL_FILE"):
        load_settings()


def test_a_secret_appears_neither_among_the_masked_settings_nor_in_their_repr_nor_in_a_complaint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QA_REDIS_URL", SECRET)
    settings = load_settings()
    assert set(settings.masked()) == set(Settings.model_fields)
    assert "hunter2" not in str(settings.masked()) + repr(settings)
    monkeypatch.setenv("QA_REDIS_URL", "hunter2")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in refused.value.detail


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_one_knowledge_base_is_the_only_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_KNOWLEDGE_BASE", "bank")
    assert load_settings().tenants == ("bank",)


@pytest.mark.parametrize(
    ("default", "expected"), [(None, ("bank", "shop", "law")), ("shop", ("shop", "bank", "law"))], ids=str
)
def test_of_several_knowledge_bases_the_first_is_the_default_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, default: str | None, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("QA_KNOWLEDGE_BASES", " bank, shop,law,")
    if default:
        monkeypatch.setenv("QA_KNOWLEDGE_BASE", default)
    settings = load_settings()
    assert (settings.tenants, settings.knowledge_base) == (expected, expected[0])


@pytest.mark.parametrize(
    ("several", "default", "complaint"),
    [
        ("bank,Shop", None, "QA_KNOWLEDGE_BASES: 'Shop'"),
        ("bank,shop,bank", None, "QA_KNOWLEDGE_BASES: 'bank'"),
        ("bank,../etc", None, "QA_KNOWLEDGE_BASES"),
        ("bank,law", "shop", "QA_KNOWLEDGE_BASE: 'shop' is not among"),
    ],
)
def test_a_slip_among_several_knowledge_bases_is_named(
    monkeypatch: pytest.MonkeyPatch, several: str, default: str | None, complaint: str
) -> None:
    monkeypatch.setenv("QA_KNOWLEDGE_BASES", several)
    if default:
        monkeypatch.setenv("QA_KNOWLEDGE_BASE", default)
    with pytest.raises(SettingsError, match=complaint):
        load_settings()


@pytest.mark.parametrize("page", ["operating.md", "operating.zh-CN.md"])
def test_every_setting_stands_in_the_operators_pages(page: str) -> None:
    text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    assert not [name for name in Settings.model_fields if f"QA_{name.upper()}" not in text]
