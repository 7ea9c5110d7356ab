"""Keys and clients on disk: for their owner's eyes, read again when they change, refused when they are unsafe."""

import json
import threading
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, RSAKey

from access.conftest import Place
from access.minting import SECRET
from qa_service.access.caller import CallerKind, Scope
from qa_service.access.clients import clients_file, is_secret_of, make_client, read_clients, remove_client
from qa_service.access.local_key import is_loopback, local_key
from qa_service.access.opening import AccessSources, open_gate, open_ring
from qa_service.access.signing_keys import make_signing_key, read_signing_keys, retire_signing_key
from qa_service.access.tenants import TenantSources, read_tenants
from qa_service.domain.errors import SettingsError


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_written_is_for_its_owner_alone(place: Place, tmp_path: Path) -> None:
    local_key(tmp_path / "state")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {f"{place.kid}.pem", "clients.json", "local.key"}
    assert {mode_of(path) for path in files} == {0o600}
    assert {mode_of(path) for path in (place.folder, tmp_path / "state")} == {0o700}


@pytest.mark.parametrize("name", ["key", "clients.json", "local.key"])
def test_a_file_that_everybody_may_read_is_refused_with_what_to_do(place: Place, name: str) -> None:
    key = local_key(place.folder)
    path = {"key": place.folder / f"{place.kid}.pem", "local.key": key.path}.get(name, place.folder / name)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 .*{path.name}"):
        local_key(place.folder) if name == "local.key" else place.gate()


def test_a_secret_is_kept_as_a_digest_and_compared_as_one(place: Place) -> None:
    assert place.secret not in clients_file(place.folder).read_text()
    assert len(place.secret) >= 43  # 256 bits
    client = place.client
    assert is_secret_of(client, place.secret)
    for wrong in ("", place.secret[:-1], place.secret + "x", client.secret_sha256, "\ud800"):
        assert not is_secret_of(client, wrong)
    assert not is_secret_of(None, place.secret)
    assert not is_secret_of(None, "nobody")
    assert client.secret_sha256 not in repr(client)


def test_two_clients_of_one_name_are_refused_and_so_are_odd_names(place: Place) -> None:
    with pytest.raises(SettingsError, match="already"):
        make_client(place.folder, "gateway", tenant="shop", scopes=[])
    for name in ("", "Gateway", "a b", "a:b", "-a", "x" * 65, "a\n", "网关"):
        with pytest.raises(SettingsError, match="no id of a client"):
            make_client(place.folder, name, tenant="shop", scopes=[])


def test_clients_that_are_made_at_the_same_time_are_all_kept(place: Place) -> None:
    makers = [
        threading.Thread(target=make_client, args=(place.folder, f"c{n}"), kwargs={"tenant": "shop", "scopes": []})
        for n in range(8)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert set(read_clients(place.folder)) == {"gateway", *(f"c{n}" for n in range(8))}
    remove_client(place.folder, "c3")
    assert "c3" not in read_clients(place.folder)
    with pytest.raises(SettingsError, match="no client 'c3'"):
        remove_client(place.folder, "c3")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"clients": [{"id": "x"}]}', '{"clients": [], "x": 1}'])
def test_a_damaged_list_of_clients_is_refused(place: Place, content: str) -> None:
    clients_file(place.folder).write_text(content)
    with pytest.raises(SettingsError, match=r"clients\.json is damaged"):
        place.gate()


def test_the_only_key_is_not_retired_and_an_unknown_one_is_named(place: Place) -> None:
    with pytest.raises(SettingsError, match="qa-service keys new"):
        retire_signing_key(place.folder, place.kid)
    with pytest.raises(SettingsError, match=r"no key '\.\./x'"):
        retire_signing_key(place.folder, "../x")
    newest = make_signing_key(place.folder)
    retire_signing_key(place.folder, place.kid)
    assert [key.kid for key in read_signing_keys(place.folder)] == [newest]


@pytest.mark.parametrize(
    "content",
    [
        ECKey.generate_key("P-384").as_pem(private=True),
        ECKey.generate_key("P-256").as_pem(private=False),
        RSAKey.generate_key(2048).as_pem(private=True),
        b"",
        b"secret",
    ],
)
def test_a_signing_key_of_another_kind_is_refused_with_what_to_do(place: Place, content: bytes) -> None:
    (place.folder / "own.pem").touch(0o600)
    (place.folder / "own.pem").write_bytes(content)
    with pytest.raises(SettingsError, match=r"own\.pem holds no private key of the curve P-256.*keys new"):
        place.gate()


def test_a_change_that_cannot_be_read_leaves_what_was_read_before_in_force(place: Place) -> None:
    gate, token = place.gate(), place.access_token()
    key = place.folder / f"{place.kid}.pem"
    content = key.read_bytes()
    key.write_bytes(b"half of it")
    assert gate.caller(token).client_id == "gateway"
    key.unlink()  # never left without any key
    assert gate.caller(token).client_id == "gateway"
    key.touch(0o600)
    key.write_bytes(content)
    make_client(place.folder, "second", tenant="shop", scopes=[Scope.ASK])
    assert gate.client("second", "wrong") is None
    assert gate.caller(token).client_id == "gateway"


def sources(tmp_path: Path, host: str, secret: str = SECRET) -> AccessSources:
    return AccessSources(
        keys_dir=tmp_path / "keys",
        state_dir=tmp_path / "state",
        host=host,
        issuer="qa-service",
        tenant="shop",
        tenants=[TenantSources(name="shop", user_issuer="shop", user_secrets=(secret,))],
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "fe80::1", "127.0.0.1.example.org"])
def test_what_others_can_reach_does_not_open_without_keys_and_says_how_to_make_them(tmp_path: Path, host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match=r"qa-service keys new.*qa-service clients new"):
        open_gate(sources(tmp_path, host))
    assert not (tmp_path / "state").exists()
    make_signing_key(tmp_path / "keys")
    assert open_gate(sources(tmp_path, host)).local_key is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_without_keys_a_key_is_made_once_that_opens_everything(tmp_path: Path, host: str) -> None:
    gate = open_gate(sources(tmp_path, host))
    assert gate.local_key
    assert gate.local_key.is_new
    again = open_gate(sources(tmp_path, host)).local_key
    assert again
    assert (again.text, again.is_new) == (gate.local_key.text, False)
    caller = gate.caller(again.text)
    assert (caller.kind, caller.scopes) == (CallerKind.LOCAL_KEY, frozenset(Scope))
    assert again.text not in repr(again)
    for other in (again.text[:-1], again.text + " ", again.text.upper(), "local-", "opaque"):
        assert gate.caller(other).kind is CallerKind.DEVICE
    assert gate.caller("").kind is CallerKind.ANONYMOUS


def test_the_generated_key_opens_nothing_once_there_are_keys(tmp_path: Path) -> None:
    key = local_key(tmp_path / "state").text
    make_signing_key(tmp_path / "keys")
    assert open_gate(sources(tmp_path, "127.0.0.1")).caller(key).kind is CallerKind.DEVICE


def test_many_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    made: list[str] = []
    starters = [threading.Thread(target=lambda: made.append(local_key(tmp_path).text)) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_weak_secret_for_user_tokens_keeps_the_gate_shut(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="less than 32 bytes"):
        open_ring(sources(tmp_path, "127.0.0.1", secret="changeme"))


def test_two_tenants_must_not_share_an_issuer(tmp_path: Path) -> None:
    pair = [TenantSources(name=name, user_issuer="same") for name in ("shop", "bank")]
    with pytest.raises(SettingsError, match="share an issuer"):
        read_tenants(pair)


def test_a_public_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.pem"):
        TenantSources(name="shop", user_issuer="shop", user_public_keys=tmp_path / "nowhere.pem").read()


def test_the_list_of_clients_is_readable_by_people(place: Place) -> None:
    [listed] = json.loads(clients_file(place.folder).read_text())["clients"]
    assert (listed["id"], listed["tenant"], listed["scopes"]) == ("gateway", "shop", ["ask", "explain"])
