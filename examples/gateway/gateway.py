"""网关示例：宿主产品的后端，校验自己的用户，替他提问；3 秒内必有回话，没答完先给占位，再回补。用法见同目录 README。"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from aiohttp import web

from qa_service.client import (
    BotClient,
    BotError,
    ClientCredentials,
    FixedKey,
    NotFound,
    RateLimited,
    Reply,
    Unavailable,
)

BOT = web.AppKey("bot", BotClient)
LOGINS = {"demo-login-zhang": "zhang", "demo-login-li": "li"}  # 换成您自己的登录校验
SIDS: dict[str, str] = {}  # uid -> sid；换成您自己的库
respond = partial(web.json_response, dumps=partial(json.dumps, ensure_ascii=False))
TASKS: dict[tuple[str, str], asyncio.Task[Reply]] = {}  # （用户, lid）：连点两次也只问一次


async def converse(bot: BotClient, uid: str, text: str, lid: str) -> Reply:
    """问到有答案为止；服务一时不在也等，同一个 lid 不会问成两次。"""
    sid = SIDS.get(uid) or await opened(bot, uid)
    try:
        return await bot.wait_for_reply(await bot.ask(sid, text, key=lid, placeholder=True))
    except NotFound:  # 会话 24 小时不用就没了：开一个新的
        sid = await opened(bot, uid)
        return await bot.wait_for_reply(await bot.ask(sid, text, key=lid, placeholder=True))


async def opened(bot: BotClient, uid: str) -> str:
    """替用户开一个会话；服务一时不在就再试，一分钟为限。"""
    for _ in range(60):
        with suppress(Unavailable):
            SIDS[uid] = (await bot.open_session(uid=uid)).id
            return SIDS[uid]
        await asyncio.sleep(1)
    raise Unavailable("一分钟没有开成会话")


async def ask(request: web.Request) -> web.Response:
    """POST /chat，正文 {"text": …, "lid": …}。"""
    uid = uid_of(request)
    try:
        body = await request.json()
        text, lid = body["text"].strip(), body["lid"].strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        text = lid = ""
    if not text or not lid:
        return respond({"code": "invalid-body", "detail": "要有文字 text 和自己编的消息号 lid"}, status=400)
    name = (uid, lid)
    if name not in TASKS:
        TASKS[name] = asyncio.create_task(converse(request.app[BOT], uid, text, name[1]))
        asyncio.get_running_loop().call_later(300, TASKS.pop, name, None)
    return await answered(TASKS[name], within_s=2.9)


async def back_fill(request: web.Request) -> web.Response:
    """GET /chat/{lid}：长轮询，取刚才没等到的答案。"""
    task = TASKS.get((uid_of(request), request.match_info["lid"]))
    return await answered(task, within_s=20) if task else respond({"code": "not-found"}, status=404)


def uid_of(request: web.Request) -> str:
    """这是谁：只认自己的登录态，不认请求里写的 uid。"""
    if request.cookies.get("login") not in LOGINS:
        raise web.HTTPUnauthorized
    return LOGINS[request.cookies["login"]]


async def answered(task: "asyncio.Task[Reply]", *, within_s: float) -> web.Response:
    """到时有什么给什么；有人断开，任务照旧。"""
    await asyncio.wait({task}, timeout=within_s)
    try:
        reply = task.result() if task.done() else None
    except RateLimited as error:
        return respond({"code": error.code, "text": "问得太快了，请稍候"}, status=429)
    except BotError as error:
        return respond({"code": error.code, "request_id": error.request_id}, status=502)
    if reply is None or reply.is_pending:
        return respond({"state": "pending", "text": "正在思考中…"}, status=202)
    choices = [choice.question for choice in reply.choices]
    return respond({"state": reply.state, "text": reply.text, "choices": choices})


async def with_bot(app: web.Application) -> AsyncIterator[None]:
    """一个进程一个 BotClient；QA_KEY，或 QA_CLIENT_ID 与 QA_CLIENT_SECRET，是问答服务给网关的凭证。"""
    env = os.environ
    own = ClientCredentials(client_id=env.get("QA_CLIENT_ID", ""), secret=env.get("QA_CLIENT_SECRET", ""))
    key = FixedKey(key=env["QA_KEY"]) if "QA_KEY" in env else own
    async with BotClient(env.get("QA_URL", "http://127.0.0.1:8000"), credentials=key) as app[BOT]:
        yield


if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(with_bot)
    app.add_routes([web.post("/chat", ask), web.get("/chat/{lid}", back_fill)])
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
