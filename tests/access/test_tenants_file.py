"""Several tenants from one file: each with its own keys and bots, and nothing that two of them share."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from access.minting import SECRET, user_token
from qa_service.access.caller import CallerKind
from qa_service.access.gate import Gate
from qa_service.access.key_ring import watched_ring
from qa_service.access.tenants import TenantSources, TenantTable, bots_of, read_tenants_file, with_tables
from qa_service.domain.errors import SettingsError, Unauthenticated
from qa_service.domain.session import session_token

BANKS = "bAnkS-0Qk8pT5xZr1cLw7eYb9uJh2sDf4g"
SHOP = TenantSources(name="shop", user_issuer="shop", user_secrets=(SECRET,))


def sources(path: Path, text: str, mode: int = 0o600) -> tuple[TenantSources, ...]:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return with_tables(SHOP, ("shop", "bank"), read_tenants_file(path), path.parent)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tenants.toml"


@pytest.fixture
def gate(path: Path, tmp_path: Path) -> Gate:
    both = sources(path, f'[bank]\nuser_token_issuer = "https://bank"\nuser_token_secret = "{BANKS}"\n')
    return Gate(ring=watched_ring(tmp_path, both), issuer="qa-service", tenant="shop")


def test_a_table_says_all_that_is_its_tenants_own(path: Path) -> None:
    (path.parent / "secret").write_text(f"{BANKS}\n")
    (path.parent / "secret").chmod(0o600)
    text = '[bank]\nuser_token_secret_file = "secret"\nuser_token_public_key = "bank.pem"\nqueue_cap = 9\n'
    shop, bank = sources(path, text + 'bots = ["teller", "银行"]\n', mode=0o644)
    assert shop == SHOP
    assert (bank.name, bank.user_issuer, bank.queue_cap) == ("bank", "bank", 9)
    assert bank.user_secrets == (BANKS,)
    assert bank.user_public_keys == path.parent / "bank.pem"
    assert bots_of([shop, bank]) == {"shop": "shop", "teller": "bank", "银行": "bank"}


def test_a_tenant_without_a_table_has_its_name_for_an_issuer_and_a_bot_and_no_keys() -> None:
    shop, bank = with_tables(SHOP, ("shop", "bank"), {}, Path())
    assert (bank.user_issuer, bank.user_secrets, bank.bots) == ("bank", (), ())
    assert bots_of([shop, bank]) == {"shop": "shop", "bank": "bank"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[bank]\nsecret = 'x'\n", "unknown field `secret`"),
        ("[bank]\nqueue_cap = 'many'\n", "queue_cap"),
        ("[bank]\nqueue_cap = 0\n", "queue_cap"),
        ("[bank]\nbots = []\n", "bots"),
        ("[bank\n", "tenants.toml"),
        ("[stray]\n", "tables of no tenant: stray"),
        ("[shop]\n", "both say who vouches"),
    ],
)
def test_a_slip_in_the_file_is_named(path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        sources(path, text)


def test_a_secret_that_everybody_may_read_is_refused_and_no_secret_is_shown(path: Path) -> None:
    with pytest.raises(SettingsError, match="chmod 600") as caught:
        sources(path, f'[bank]\nuser_token_secret = "{BANKS}"\n', mode=0o644)
    assert BANKS not in str(caught.value)
    assert BANKS not in repr(TenantTable(user_token_secret=BANKS)) + repr(sources(path, "")[1])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        read_tenants_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("one", "complaint"),
    [({"bots": ("shop",)}, "the bot 'shop' is both"), ({"bots": ("a", "a")}, "the bot 'a' is both")],
)
def test_no_two_tenants_share_a_bot(one: dict[str, tuple[str, ...]], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        bots_of([SHOP, TenantSources(name="bank", user_issuer="bank", bots=one["bots"])])


def test_a_user_token_speaks_for_a_user_of_its_issuers_tenant(gate: Gate) -> None:
    assert (gate.user(user_token("u")).tenant, gate.user(user_token("u")).uid) == ("shop", "u")
    assert gate.user(user_token("u", issuer="https://bank", secret=BANKS)).tenant == "bank"


@pytest.mark.parametrize(
    ("issuer", "secret"), [("shop", BANKS), ("https://bank", SECRET), ("bank", BANKS), ("elsewhere", SECRET)]
)
def test_no_tenants_host_vouches_for_anothers_users(gate: Gate, issuer: str, secret: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        gate.user(user_token("u", issuer=issuer, secret=secret))
    assert caught.value.code == "invalid-token"


def test_a_session_token_leads_to_its_tenant_and_an_earlier_one_to_the_default(gate: Gate) -> None:
    assert gate.caller(session_token("bank", "abc")).tenant == "bank"
    assert gate.caller(session_token("shop", "abc")).tenant == "shop"
    assert gate.caller("an-earlier-token").tenant == "shop"
    assert {gate.caller(token).kind for token in ("bank~x", "x", "~x")} == {CallerKind.DEVICE}


def test_a_session_token_of_a_tenant_that_is_not_served_is_refused(gate: Gate) -> None:
    with capture_logs() as logs, pytest.raises(Unauthenticated, match="tenant is not served"):
        gate.caller(session_token("gone", "abc"))
    assert logs == []
