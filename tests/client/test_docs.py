"""The pages about the client say what is so: their blocks run, one after the other, and name what there is."""

import ast
import inspect
import re
from types import CodeType, FunctionType
from typing import Any

import pytest
from access.minting import user_token
from api.service import ROOT

import qa_service.client
from client.conftest import Guarded
from qa_service.client import BotClient, BotError

PAGES = ["docs/sdk.md", "docs/sdk.zh-CN.md"]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)


async def run(source: str, names: dict[str, Any]) -> None:
    """Run a block in which `await` stands at the top."""
    code = compile(source, "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    made = FunctionType(code, names)()
    if inspect.isawaitable(made):
        await made


@pytest.mark.parametrize("page", PAGES)
async def test_the_blocks_of_the_page_run_as_they_stand(
    page: str, guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = blocks(page)
    names: dict[str, Any] = {
        "url": guarded.service.url,
        "secret": guarded.gateway.secret,
        "user_token": user_token("u"),
    }
    await run(first, names)
    assert "99" in capsys.readouterr().out
    async with BotClient(guarded.service.url, credentials=guarded.gateway) as bot:
        names["bot"] = bot
        for block in others:
            await run(block, names)
    assert names["reply"].state == "completed"
    assert names["answer"].text
    assert names["bound"].uid == "u"
    assert len(others) == 4


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_error_and_operation(page: str) -> None:
    errors = [
        name
        for name in qa_service.client.__all__
        if issubclass(getattr(qa_service.client, name), BotError) and name != "BotError"
    ]
    operations = [name for name, _ in inspect.getmembers(BotClient, inspect.isfunction) if not name.startswith("_")]
    named = text(page)
    assert [name for name in errors if f"`{name}`" not in named] == []
    assert [name for name in operations if f"{name}(" not in named and name not in {"session", "reply"}] == []


def test_both_pages_have_the_same_blocks_but_for_their_words() -> None:
    english, chinese = ([ast.dump(ast.parse(block)) for block in blocks(page)] for page in PAGES)
    words = re.compile(r"value='[^']*'")
    assert [words.sub("", one) for one in english] == [words.sub("", one) for one in chinese]
