"""The example gateway as its README runs it: a process of its own, a logged-in user, a placeholder, a back-fill."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from api.service import ROOT, eventually

from client.conftest import Guarded
from qa_service.client import BotClient

ZHANG = {"login": "demo-login-zhang"}
FEE = {"text": "满多少钱免运费", "lid": "q1"}


@pytest.fixture
def gateway(guarded: Guarded, free_port: int) -> Iterator[str]:
    given = {
        "QA_URL": guarded.service.url,
        "QA_CLIENT_ID": guarded.gateway.client_id,
        "QA_CLIENT_SECRET": guarded.gateway.secret,
        "PORT": str(free_port),
    }
    command = [sys.executable, "examples/gateway/gateway.py"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{free_port}"
            assert eventually(lambda: is_up(url), 20)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/chat/none").status_code == 401
    except httpx.TransportError:
        return False


def test_a_logged_in_user_is_answered_and_nobody_else(gateway: str) -> None:
    with httpx.Client(base_url=gateway, cookies=ZHANG, timeout=30) as browser:
        answered = browser.post("/chat", json=FEE)
        assert answered.status_code == 200
        assert "99" in answered.json()["text"]
        assert browser.post("/chat", json=FEE).json() == answered.json()
        assert browser.get("/chat/another").status_code == 404
    assert httpx.post(f"{gateway}/chat", json=FEE).status_code == 401
    assert httpx.get(f"{gateway}/chat/q1", cookies={"login": "demo-login-li"}).status_code == 404


@pytest.mark.slow
def test_the_placeholder_comes_within_3_s_and_the_answer_after_it_even_if_the_service_hangs(
    guarded: Guarded, gateway: str
) -> None:
    with httpx.Client(base_url=gateway, cookies=ZHANG, timeout=30) as browser:
        with guarded.service.paused("api"):
            for lid in ("first", "second"):  # the first one finds no session either
                started = time.monotonic()
                shown = browser.post("/chat", json={**FEE, "lid": lid})
                assert time.monotonic() - started < 3.2
                assert (shown.status_code, shown.json()) == (202, {"state": "pending", "text": "正在思考中…"})
        for lid in ("first", "second"):
            filled = browser.get(f"/chat/{lid}")
            assert filled.status_code == 200, filled.text
            assert "99" in filled.json()["text"]


async def test_a_user_whose_session_is_gone_gets_a_new_one(guarded: Guarded, gateway: str) -> None:
    async with (
        httpx.AsyncClient(base_url=gateway, cookies=ZHANG, timeout=30) as browser,
        BotClient(guarded.service.url, credentials=guarded.admin) as admin,
    ):
        assert (await browser.post("/chat", json=FEE)).status_code == 200
        assert await admin.erase_user("zhang") >= 1
        again = await browser.post("/chat", json={**FEE, "lid": "q2"})
        assert "99" in again.json()["text"]


async def test_what_the_readme_says_is_what_the_gateway_does(gateway: str) -> None:
    readme = (ROOT / "examples/gateway/README.md").read_text(encoding="utf-8")
    [command] = [line for line in readme.splitlines() if line.startswith("curl ")]
    process = await asyncio.create_subprocess_shell(
        command.replace("http://127.0.0.1:8080", gateway), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert b'"state": "completed"' in said


async def test_a_question_without_a_text_or_an_id_of_its_own_is_refused(gateway: str) -> None:
    async with httpx.AsyncClient(base_url=gateway, cookies=ZHANG, timeout=30) as browser:
        for body in (
            b"",
            b"[]",
            b'{"text": "1"}',
            b'{"lid": "1"}',
            b'{"text": " ", "lid": "1"}',
            b'{"text": 1, "lid": 1}',
        ):
            refused = await browser.post("/chat", content=body)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid-body"), body
