"""The OpenAPI document says what there is, and its page asks nobody else."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from qa_service.api.app import ROUTES
from qa_service.api.openai_errors import openai_code
from qa_service.api.openapi import CODES

OAUTH = {"/oauth/token", "/.well-known/jwks.json"}  # whose shapes are those of RFC 6749 and RFC 7517
XML = "/compat/xml/messages"  # which speaks XML alone
OPENAI = {"/v1/chat/completions", "/v1/models", "/v1/models/{model}"}  # whose shapes are OpenAI's
METHODS = {"get", "post", "patch", "put", "delete"}


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/schema/openapi.json")
    assert response.status_code == 200
    return dict(response.json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS & item.keys())


def test_it_is_openapi_3_1_with_all_that_an_operation_needs(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= document["info"].keys()
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, _, operation in operations(document):
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(response["description"] for response in operation["responses"].values())
        assert {tag["name"] for tag in document["tags"]} >= set(operation["tags"])
        schemes = document["components"]["securitySchemes"]
        assert all(name in schemes for one in operation.get("security", []) for name in one)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in re.findall(r"'\$ref': '#/([^']+)'", str(document)):
        place: Any = document
        for step in reference.split("/"):
            place = place[step]


def test_it_names_every_route(document: dict[str, Any]) -> None:
    described = {(re.sub(r"{(\w+)}", "{}", path), method.upper()) for path, method, _ in operations(document)}
    served = {
        (re.sub(r"{\w+:str}", "{}", path), method)
        for route in ROUTES
        for path in route.paths
        for method in route.http_methods
    }
    assert described == served


def codes_of(path: str, body: dict[str, Any]) -> list[str]:
    """The codes that an error's description lists."""
    if path == XML:
        error = body["content"]["application/xml"]["schema"]
    else:
        error = body["content"]["application/json"]["schema"]["properties"]["errors"]["items"]
    return list(error["properties"]["code"]["enum"])


def test_every_error_lists_its_codes(document: dict[str, Any]) -> None:
    listed: set[str] = set()
    for path, method, operation in operations(document):
        errors = {status: body for status, body in operation["responses"].items() if status >= "400"}
        for status, body in errors.items():
            if path in OPENAI or (path == "/oauth/token" and status in {"400", "401"}):
                continue
            assert codes_of(path, body) == list(CODES[int(status)]), (path, method, status)
        listed |= errors.keys()
    assert listed == {str(status) for status in CODES}


def test_asking_is_described_with_its_wait_its_key_and_its_placeholder(document: dict[str, Any]) -> None:
    asked = document["paths"]["/api/v1/bot/sessions/{sid}/messages"]["post"]
    assert {one["name"] for one in asked["parameters"]} == {"sid", "Prefer", "Idempotency-Key"}
    statuses = "201 202 400 401 403 404 408 413 414 415 421 422 429 431 503"
    assert asked["responses"].keys() == set(statuses.split())
    assert {"Location", "Idempotent-Replayed"} <= asked["responses"]["201"]["headers"].keys()
    assert {"Location", "Retry-After"} <= asked["responses"]["202"]["headers"].keys()


def test_typing_is_described_with_its_bounds(document: dict[str, Any]) -> None:
    typed = document["paths"]["/api/v1/bot/suggest"]["get"]
    about = {one["name"]: one for one in typed["parameters"]}
    assert set(about) == {"q", "limit", "locale", "sid"}
    assert about["q"]["required"]
    assert (about["q"]["schema"]["minLength"], about["q"]["schema"]["maxLength"]) == (1, 64)
    assert (about["limit"]["schema"]["minimum"], about["limit"]["schema"]["maximum"]) == (1, 20)
    assert not any(about[name].get("required") for name in ("limit", "locale", "sid"))


def test_every_operation_says_whose_tokens_it_takes(document: dict[str, Any]) -> None:
    taken = {f"{method} {path}": operation["security"] for path, method, operation in operations(document)}
    bot = "/api/v1/bot"
    assert taken[f"post {bot}/answers"] == [{"client": ["ask"]}]
    assert taken[f"post {bot}/explain"] == [{"client": ["explain"]}]
    assert taken[f"post {bot}/webhooks"] == [{"client": ["webhooks"]}]
    assert taken[f"get {bot}/suggest"] == [{"session": []}, {"user": []}, {"client": ["ask"]}]
    assert taken[f"post {bot}/sessions"] == [{}, {"user": []}, {"client": ["ask"]}]
    assert taken[f"get {bot}/sessions/{{sid}}"] == [{"session": []}, {"user": []}, {"client": ["ask"]}]
    assert taken["get /healthz"] == []
    flow = document["components"]["securitySchemes"]["client"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "/oauth/token"
    assert {scope for one in taken.values() for need in one for scope in need.get("client", [])} <= set(flow["scopes"])


def test_what_comes_back_is_described_as_a_document(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, body in operation["responses"].items():
            if status == "204":
                assert "content" not in body
            elif status < "300" and path.endswith("/events"):
                assert "text/event-stream" in body["content"]
            elif status < "300" and path not in {*OAUTH, *OPENAI, XML}:
                assert "data" in body["content"]["application/json"]["schema"]["properties"]


def test_the_openai_routes_name_every_code_in_openais_words(document: dict[str, Any]) -> None:
    for path in OPENAI:
        [operation] = document["paths"][path].values()
        assert operation["security"] == [{"client": ["ask"]}]
        for status, body in operation["responses"].items():
            if status < "300":
                continue
            own = body["content"]["application/json"]["schema"]["properties"]["error"]
            told = CODES[int(status)] if status != "400" else CODES[400] + CODES[422]
            assert own["properties"]["code"]["enum"] == list(dict.fromkeys(map(openai_code, told)))
    assert "text/event-stream" in document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]


@pytest.mark.parametrize("path", ["/schema", "/schema/"])
def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.text.replace("https://crm.example/hooks", "")  # an example, shown as text
    assert not re.findall(r"""<link|<img|\ssrc=|\shref=|@import|url\(|https?://|fetch\(["'`]""", text)
    assert "__SCHEMA__" not in page.text
    assert "innerHTML" not in page.text
    assert '"/api/v1/bot/answers"' in page.text


def test_the_page_cannot_be_ended_by_what_it_shows(client: httpx.Client) -> None:
    assert client.get("/schema").text.count("</script>") == 1


def test_every_link_names_an_operation_and_its_parameters(document: dict[str, Any]) -> None:
    known = {one["operationId"]: {p["name"] for p in one.get("parameters", [])} for _, _, one in operations(document)}
    links = [
        link
        for _, _, operation in operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) >= 5
    for link in links:
        assert link["parameters"].keys() <= known[link["operationId"]]
