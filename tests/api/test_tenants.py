"""Two knowledge bases in one service over HTTP: every token leads to its own, and no other's can be told to exist."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access.minting import SECRET, user_token
from answering.small_base import build_small, faq

from api.service import BOT, Service, Talk, eventually, refusal, serving
from qa_service.access.caller import Scope
from qa_service.access.clients import make_client
from qa_service.access.signing_keys import make_signing_key

BANKS = "bAnkS-0Qk8pT5xZr1cLw7eYb9uJh2sDf4g"
QUESTION = "怎么申请退货"
TENANTS = ("shop", "bank")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("both")
    for tenant in TENANTS:
        versions, built = build_small(folder, [faq("q", f"{tenant} answers", QUESTION)], kb=tenant)
        versions.activate(built.version)
    make_signing_key(folder / "keys")
    file = folder / "tenants.toml"
    file.write_text(f'[bank]\nuser_token_issuer = "https://bank"\nuser_token_secret = "{BANKS}"\nbots = ["teller"]\n')
    file.chmod(0o600)
    settings = {"knowledge_bases": ",".join(TENANTS), "tenants_file": str(file), "keys_dir": str(folder / "keys")}
    settings |= {"host": "0.0.0.0", "limit_ip_per_min": "0"}
    with serving(folder, folder / "indexes", port=0, **settings) as service:
        yield service
        assert not service.log("unexpected error")


@pytest.fixture(scope="module")
def client(both: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{httpx.URL(both.url).port}", timeout=20) as client:
        assert eventually(lambda: "none" not in client.get("/readyz").text, 20)
        yield client


@pytest.fixture(scope="module")
def bearers(both: Service, client: httpx.Client) -> dict[str, dict[str, str]]:
    """The header of each tenant's own client."""
    keys = both.log_file.parent / "keys"
    headers = {}
    for tenant in TENANTS:
        secret = make_client(keys, f"{tenant}-gateway", tenant=tenant, scopes=[Scope.ASK, Scope.ADMIN]).secret

        def grant(tenant: str = tenant, secret: str = secret) -> httpx.Response:
            form = {"grant_type": "client_credentials"}
            return client.post("/oauth/token", data=form, auth=(f"{tenant}-gateway", secret))

        assert eventually(lambda grant=grant: grant().status_code == 200, 5)  # type: ignore[misc]  # bound in the loop
        headers[tenant] = {"Authorization": f"Bearer {grant().json()['access_token']}"}
    return headers


def of_user(tenant: str, uid: str = "u1") -> str:
    return user_token(uid) if tenant == "shop" else user_token(uid, issuer="https://bank", secret=BANKS)


@pytest.mark.parametrize(("body", "tenant"), [({}, "shop"), ({"bot": "shop"}, "shop"), ({"bot": "teller"}, "bank")])
def test_a_device_asks_the_bot_that_it_names(client: httpx.Client, body: dict[str, str], tenant: str) -> None:
    talk = Talk(client, **body)
    assert talk.answer(QUESTION)["text"] == f"{tenant} answers"
    assert [one["attributes"]["text"] for one in talk.pull().json()["data"]] == [QUESTION, f"{tenant} answers"]
    assert talk.token.startswith(f"{tenant}~")


def test_a_model_is_the_callers_own_knowledge_base(client: httpx.Client, bearers: dict[str, dict[str, str]]) -> None:
    for tenant, other in (TENANTS, TENANTS[::-1]):
        models = client.get("/v1/models", headers=bearers[tenant]).json()["data"]
        assert [model["id"] for model in models] == [tenant, "qa"]
        for model, status in ((tenant, 200), ("qa", 200), (other, 404)):
            body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
            told = client.post("/v1/chat/completions", json=body, headers=bearers[tenant])
            assert told.status_code == status
            if status == 200:
                assert told.json()["choices"][0]["message"]["content"] == f"{tenant} answers"
            assert client.get(f"/v1/models/{model}", headers=bearers[tenant]).status_code == status


@pytest.mark.parametrize("bot", ["bank", "nobody", "../shop", "Teller"])
def test_a_bot_that_nobody_is_called_is_refused(client: httpx.Client, bot: str) -> None:
    refused = client.post(f"{BOT}/sessions", json={"bot": bot})
    assert refused.status_code == 422
    assert (refusal(refused)["code"], refusal(refused)["source"]["pointer"]) == ("unknown-bot", "/bot")


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_token_says_whose_session_is_opened(
    client: httpx.Client, bearers: dict[str, dict[str, str]], tenant: str
) -> None:
    for headers, body in (
        (bearers[tenant], {"uid": "u1"}),
        ({}, {"user_token": of_user(tenant)}),
        ({"Authorization": f"Bearer {of_user(tenant)}"}, {}),
    ):
        opened = client.post(f"{BOT}/sessions", json=body, headers=headers)
        assert opened.status_code == 201, opened.text
        assert opened.json()["data"]["attributes"]["token"].startswith(f"{tenant}~")
    answered = client.post(f"{BOT}/answers", json={"text": QUESTION}, headers=bearers[tenant])
    assert answered.json()["data"]["attributes"]["text"] == f"{tenant} answers"


def test_a_token_opens_nothing_for_another_tenants_bot_or_user(
    client: httpx.Client, bearers: dict[str, dict[str, str]]
) -> None:
    refused = client.post(f"{BOT}/sessions", json={"uid": "u", "bot": "teller"}, headers=bearers["shop"])
    assert refusal(refused)["code"] == "unknown-bot"
    refused = client.post(f"{BOT}/sessions", json={"user_token": of_user("shop"), "bot": "teller"})
    assert refusal(refused)["code"] == "unknown-bot"
    refused = client.post(f"{BOT}/sessions", json={"user_token": of_user("bank")}, headers=bearers["shop"])
    assert (refused.status_code, refusal(refused)["code"]) == (403, "tenant-mismatch")


def test_a_session_is_bound_to_a_user_of_its_own_tenant_alone(client: httpx.Client) -> None:
    talk = Talk(client, bot="teller")
    refused = talk.send("PATCH", json={"user_token": of_user("shop")})
    assert (refused.status_code, refusal(refused)["code"]) == (403, "tenant-mismatch")
    bound = talk.send("PATCH", json={"user_token": of_user("bank")})
    assert bound.status_code == 200
    assert bound.json()["data"]["attributes"]["token"].startswith("bank~")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"user_token": of_user("shop")}),
        ("DELETE", "", None),
        ("POST", "/messages", {"text": QUESTION}),
        ("GET", "/messages", None),
        ("GET", "/messages/1", None),
    ],
)
def test_another_tenants_session_looks_like_an_unknown_one(
    client: httpx.Client, bearers: dict[str, dict[str, str]], method: str, path: str, body: dict[str, str] | None
) -> None:
    talk = Talk(client, user_token=of_user("bank"))
    strangers = [
        *(bearers["shop"]["Authorization"], f"Bearer {of_user('shop')}"),
        *(f"Bearer {talk.token.replace('bank~', 'shop~')}", f"Bearer {talk.token.removeprefix('bank~')}"),
    ]
    seen = set()
    for authorization in strangers:
        for sid in (talk.sid, "123456"):
            headers = {"Authorization": authorization}
            refused = client.request(method, f"{BOT}/sessions/{sid}{path}", json=body, headers=headers)
            assert (refused.status_code, refusal(refused)["code"]) == (404, "session-not-found")
            seen.add(refused.text.replace(refused.headers["x-request-id"], ""))
    assert len(seen) == 1
    assert talk.send("GET").status_code == 200


def test_a_tenant_that_is_not_served_is_no_tenant(client: httpx.Client, both: Service) -> None:
    keys = both.log_file.parent / "keys"
    secret = make_client(keys, "stray", tenant="gone", scopes=[Scope.ASK]).secret
    form = {"grant_type": "client_credentials"}
    assert client.post("/oauth/token", data=form, auth=("stray", secret)).status_code == 401
    for token in ("gone~token", user_token("u", issuer="gone"), user_token("u", issuer="bank", secret=SECRET)):
        refused = client.get(f"{BOT}/sessions/1", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refusal(refused)["code"]) == (401, "invalid-token")


def test_an_admin_shows_and_erases_users_of_its_own_tenant_alone(
    client: httpx.Client, bearers: dict[str, dict[str, str]]
) -> None:
    talks = {tenant: Talk(client, user_token=of_user(tenant, "same")) for tenant in TENANTS}

    def sids(tenant: str) -> list[str]:
        exported = client.get(f"{BOT}/users/same/export", headers=bearers[tenant])
        return [one["id"] for one in exported.json()["data"]["attributes"]["sessions"]]

    assert {tenant: sids(tenant) for tenant in TENANTS} == {tenant: [talk.sid] for tenant, talk in talks.items()}
    erased = client.delete(f"{BOT}/users/same", headers=bearers["bank"])
    assert erased.json()["data"]["attributes"] == {"sessions": 1}
    assert [talks[tenant].send("GET").status_code for tenant in TENANTS] == [200, 404]


def test_the_log_says_whose_question_was_answered_and_readiness_names_each_index(
    both: Service, client: httpx.Client
) -> None:
    Talk(client, bot="teller").answer(QUESTION)
    assert eventually(lambda: {line["tenant"] for line in both.log("answered")} == set(TENANTS), 5)
    assert both.log("request")[-1]["tenant"] == "bank"
    assert {line["tenant"] for line in both.log("index in force")} == set(TENANTS)
    checks = client.get("/readyz").json()["data"]["attributes"]["checks"]
    assert {"store", "index", "index:bank"} <= checks.keys()


@pytest.fixture
def _no_index_of_bank(tmp_path: Path) -> None:
    versions, built = build_small(tmp_path, [faq("q", "shop answers", QUESTION)])
    versions.activate(built.version)


@pytest.mark.usefixtures("_no_index_of_bank")
def test_a_tenant_without_an_index_keeps_no_other_from_being_served(tmp_path: Path) -> None:
    with (
        serving(tmp_path, tmp_path / "indexes", knowledge_bases="shop,bank") as service,
        httpx.Client(base_url=service.url, timeout=20) as client,
    ):
        assert Talk(client).answer(QUESTION)["text"] == "shop answers"
        refused = Talk(client, bot="bank").ask(QUESTION)
        assert (refused.status_code, refusal(refused)["code"]) == (503, "index-unavailable")
        assert client.get("/readyz").json()["data"]["attributes"]["checks"]["index:bank"].startswith("none")
