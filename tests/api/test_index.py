"""The index comes late, changes while questions are asked, or is damaged: the service says so, or serves on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from api.service import BOT, ROOT, Service, Talk, build_demo_index, eventually, qa, refusal, serving

FOLLOWED_WITHIN_S = 3.0
BASE = ROOT / "data" / "shop" / "faq.en.jsonl"


def build_index(indexes: Path, *more: str) -> str:
    """Build a small part of the demo base: it is built four times."""
    few = indexes.parent / BASE.name
    few.write_text("".join(BASE.read_text(encoding="utf-8").splitlines(keepends=True)[:10]), encoding="utf-8")
    return build_demo_index(indexes, *more, source=str(few))


@contextmanager
def bare_service(folder: Path, port: int) -> Iterator[tuple[Service, httpx.Client]]:
    """A service whose index folder is empty."""
    with (
        serving(folder, folder / "indexes", port=port) as service,
        httpx.Client(base_url=service.url, timeout=20, headers=service.bearer) as client,
    ):
        yield service, client


def version_of(client: httpx.Client) -> str:
    """The version that an answer names; a refusal fails the test."""
    answered = client.post(f"{BOT}/answers", json={"text": "怎么退货"})
    assert answered.status_code == 200, answered.text
    return str(answered.json()["data"]["attributes"]["index_version"])


# One service lives through it all: starting one takes seconds.
def test_an_index_may_come_late_be_exchanged_and_be_damaged_without_a_restart(tmp_path: Path, free_port: int) -> None:
    with bare_service(tmp_path, free_port) as (service, client):
        assert eventually(lambda: client.post(f"{BOT}/sessions").status_code == 201, 10)
        check_no_index(client)
        first = check_a_late_index_answers(tmp_path, client)
        second = check_a_new_version_is_followed(tmp_path, client, first)
        check_a_damaged_version_is_refused(tmp_path, service, client, second)
        check_a_damaged_pointer_stops_nothing(tmp_path, client, second)


def check_no_index(client: httpx.Client) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.headers["retry-after"]
    assert ready.json()["data"]["attributes"]["checks"]["store"] == "ok"
    assert ready.json()["data"]["attributes"]["checks"]["index"].startswith("none")
    talk = Talk(client)
    for refused in (talk.ask("怎么退货"), client.post(f"{BOT}/answers", json={"text": "怎么退货"})):
        assert refused.status_code == 503
        assert refusal(refused)["code"] == "index-unavailable"
        assert int(refused.headers["retry-after"]) >= 1
    assert talk.pull().json()["data"] == []
    assert talk.ask("").status_code == 422  # what is wrong with a question is told first


def check_a_late_index_answers(folder: Path, client: httpx.Client) -> str:
    version = build_index(folder / "indexes")
    assert eventually(lambda: client.get("/readyz").status_code == 200, 10)
    assert version_of(client) == version
    return version


def check_a_new_version_is_followed(folder: Path, client: httpx.Client, old: str) -> str:
    new = build_index(folder / "indexes", "--no-activate")
    assert version_of(client) == old
    qa("index", "activate", new, indexes=folder / "indexes")
    started = time.monotonic()
    while (version := version_of(client)) == old:
        assert time.monotonic() - started < FOLLOWED_WITHIN_S
    assert version == new
    assert {version_of(client) for _ in range(20)} == {new}  # and never the old one again
    return new


def check_a_damaged_version_is_refused(folder: Path, service: Service, client: httpx.Client, serving: str) -> None:
    indexes = folder / "indexes"
    damaged = build_index(indexes, "--no-activate")
    victim = max((indexes / "shop" / damaged).rglob("*.npy"), key=lambda file: file.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.chmod(0o644)
    victim.write_bytes(content)
    refused = qa("index", "activate", damaged, indexes=indexes, check=False)
    assert refused.returncode == 2
    assert victim.name in refused.stderr
    # Somebody points to it all the same.
    (indexes / "shop" / "ACTIVE").write_text(f"{damaged}\n")
    assert eventually(lambda: bool(service.log("index refused")), 3)
    assert service.log("index refused")[-1]["version"] == damaged
    assert version_of(client) == serving
    assert client.get("/readyz").status_code == 200


def check_a_damaged_pointer_stops_nothing(folder: Path, client: httpx.Client, serving: str) -> None:
    pointer = folder / "indexes" / "shop" / "ACTIVE"
    pointer.write_bytes(b"\xff../..\n")
    time.sleep(0.6)
    assert version_of(client) == serving
    newest = build_index(folder / "indexes", "--no-activate")
    pointer.write_text(f"{newest}\n")
    assert eventually(lambda: version_of(client) == newest, FOLLOWED_WITHIN_S + 1)
