"""A thousand dialogues full of personal numbers: none of them in a log, an error, or the name of a key in Redis."""

import json
from pathlib import Path
from urllib.parse import quote

import httpx
from api.service import BOT, Service, Talk, eventually
from redis import Redis

from security.figures import Book, count
from security.pii_corpus import dialogues

_MOST_CHARS = 500
_SEED = 20_261_123


def key_names(state: Path) -> list[str]:
    """The names of all keys in the Redis of a state folder."""
    short = state / "redis.sock-folder"  # where a path is too long for a socket
    folder = Path(short.read_text().strip()) if short.exists() else state
    with Redis(unix_socket_path=str(folder / "redis.sock"), decode_responses=True) as redis:
        return list(redis.scan_iter(count=10_000))


def test_no_number_of_a_thousand_dialogues_is_told(service: Service, book: Book) -> None:
    number = count(small=30, full=1_000)
    secrets: set[str] = set()
    turns = 0
    with httpx.Client(base_url=service.url, timeout=40, headers=service.bearer) as gateway:
        for text, named in dialogues(_SEED, number):
            secrets.update(named)
            turns += tell_everywhere(gateway, text, named)
        assert eventually(lambda: _is_idle(gateway), 30)
    said = service.log_file.read_text(encoding="utf-8")
    told = "".join(_texts(json.loads(line)) for line in said.splitlines() if line.startswith("{"))
    keys = "\n".join(key_names(service.log_file.parent / "state"))
    in_log = sorted(secret for secret in secrets if secret in said or secret in told)
    in_keys = sorted(secret for secret in secrets if secret in keys)
    book.note(
        "personal numbers",
        "no raw phone, id, card or mail address in logs or names of keys",
        broken=len(in_log) + len(in_keys),
        dialogues=number,
        requests=turns,
        secrets=len(secrets),
        log_lines=said.count("\n"),
        keys=keys.count("\n") + 1,
    )
    assert (in_log, in_keys) == ([], [])


def tell_everywhere(gateway: httpx.Client, text: str, named: list[str]) -> int:
    """Tell a dialogue in a session, and its secrets wherever a request has room for them; how many requests it took."""
    secret = named[0]
    talk = Talk(gateway, device_id=secret[:128].replace("\t", " "))
    sent = 1
    for turn in text.split("\n"):
        answer = talk.ask(turn[:_MOST_CHARS], Prefer="respond-async")
        assert answer.status_code in {201, 202, 429}, answer.text
        sent += 1
    plain = secret.encode("ascii", "ignore").decode().strip() or "x"
    calls = (
        gateway.post(f"{BOT}/answers", json={"text": text[:_MOST_CHARS]}),
        gateway.post(f"{BOT}/answers", json={"text": secret, secret: secret}),
        gateway.get(
            f"/{quote(secret, safe='')}",
            params={secret: secret},
            headers={"User-Agent": plain, "Referer": f"http://a/{plain}"},
        ),
        gateway.get(f"{BOT}/sessions/{quote(secret, safe='')}/messages/{quote(secret, safe='')}"),
        gateway.post(f"{BOT}/sessions", json={"uid": secret.replace("\t", " ")}),
        gateway.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": secret}),
        talk.ask(secret, Prefer="respond-async", Idempotency_Key=plain),
    )
    assert {call.status_code for call in calls} <= {200, 201, 202, 400, 401, 404, 422, 429}, [c.text for c in calls]
    return sent + len(calls)


def _is_idle(gateway: httpx.Client) -> bool:
    return gateway.post(f"{BOT}/answers", json={"text": "怎么退货"}).status_code == 200


def _texts(value: object) -> str:
    """All texts within a line of the log, unescaped."""
    if isinstance(value, dict):
        return "".join(_texts(one) for pair in value.items() for one in pair)
    return "".join(map(_texts, value)) if isinstance(value, list) else f"{value}\n"
