"""Indexes exchanged and damaged while questions are asked."""

import asyncio
import itertools
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from api.service import BOT, ROOT

from faults.base import Bases, clone
from faults.conftest import Build
from faults.figures import Book, count
from faults.house import House, eventually
from faults.load import Customer, Reply, customers
from qa_service.retrieval.manifest import read_manifest

FOLLOWED_WITHIN_S = 30.0


@dataclass(slots=True)
class Witness:
    """What was answered while something was done to the indexes."""

    letters: dict[str, str]  # version -> the letter its answers begin with
    answers: int = 0
    errors: int = 0
    mixed: int = 0
    versions: Counter[str] = field(default_factory=Counter)

    def see(self, reply: Reply) -> None:
        """Compare an answer's text with the version it names."""
        if reply.status not in {200, 201}:
            self.errors += 1
            return
        attributes = reply.body["data"]["attributes"]
        version = attributes["index_version"]
        self.answers += 1
        self.versions[version] += 1
        self.mixed += not attributes["text"].startswith(self.letters.get(version, "?"))


@asynccontextmanager
async def witnessed(house: House, bases: Bases, crowd: list[Customer]) -> AsyncIterator[Witness]:
    """Ask without a pause, in sessions and without one, and look at every answer."""
    witness, stop = Witness(bases.letters), asyncio.Event()

    async def ask_on(customer: Customer, texts: "itertools.cycle[str]") -> None:
        while not stop.is_set():
            if len(customer.session.replies) >= 50:
                await customer.open()
            witness.see(await customer.ask_once(next(texts)))
            body = {"text": next(texts)}
            witness.see(await customer.send("POST", f"{BOT}/answers", json=body, headers=house.bearer))
            await asyncio.sleep(0.02)

    questions = list(bases.questions)
    shuffled = [random.sample(questions, len(questions)) for _ in crowd]
    tasks = [asyncio.create_task(ask_on(one, itertools.cycle(own))) for one, own in zip(crowd, shuffled, strict=True)]
    try:
        yield witness
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


async def command(house: House, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run one `qa-service` command for this house."""
    line = [sys.executable, "-m", "qa_service.cli", *words]
    return await asyncio.to_thread(
        subprocess.run, line, env=house.environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


async def answers_from(house: House, customer: Customer, version: str) -> bool:
    """Whether a question is answered from this version now."""
    reply = await customer.send("POST", f"{BOT}/answers", json={"text": "怎么退货"}, headers=house.bearer)
    return bool(reply.status == 200 and reply.body["data"]["attributes"]["index_version"] == version)


async def test_activations_under_load_make_no_error_and_no_answer_of_mixed_versions(
    indexes_of_its_own: Bases, build: Build, book: Book
) -> None:
    bases, activations = indexes_of_its_own, count(small=8, full=50)
    house = await build(bases.indexes)
    api, _ = await house.api_and_workers(2)
    followed = 0
    async with (
        customers(8, api.url) as crowd,
        customers(1, api.url) as [watcher],
        witnessed(house, bases, crowd) as witness,
    ):
        for version in itertools.islice(itertools.cycle(reversed(bases.versions)), activations):
            activated = await command(house, "index", "activate", version)
            assert activated.returncode == 0, activated.stderr
            followed += await eventually(partial(answers_from, house, watcher, version), FOLLOWED_WITHIN_S)
    book.note(
        "index activations under load, 2 workers",
        "no error, and no answer whose text is not of the version it names",
        activations=activations,
        came_into_force=followed,
        answers=witness.answers,
        errors=witness.errors,
        mixed=witness.mixed,
        answers_by_letter=by_letter(witness),
    )
    assert followed == activations
    assert (witness.errors, witness.mixed) == (0, 0)
    assert len(witness.versions) == 2


def by_letter(witness: Witness) -> dict[str, int]:
    """How many answers came from which knowledge base."""
    return {witness.letters[version]: number for version, number in sorted(witness.versions.items())}


async def test_damaged_and_foreign_snapshots_are_refused_before_the_swap_and_the_old_one_serves_on(
    indexes_of_its_own: Bases, build: Build, book: Book
) -> None:
    bases, damages = indexes_of_its_own, count(small=8, full=40)
    house = await build(bases.indexes)
    api, _ = await house.api_and_workers(1)
    refused: Counter[str] = Counter()
    let_through: list[str] = []
    async with customers(4, api.url) as crowd, customers(1, api.url) as [watcher]:
        async with witnessed(house, bases, crowd) as witness:
            for number, (kind, damage) in enumerate(itertools.islice(itertools.cycle(DAMAGES.items()), damages)):
                name = f"damaged-{number}"
                damage(bases, name)
                activated = await command(house, "index", "activate", name)
                if activated.returncode == 2 and "Traceback" not in activated.stderr:
                    refused[kind] += 1
                else:
                    let_through.append(f"{kind}: {activated.returncode} {activated.stderr[-500:]}")
        served = set(witness.versions)
        # A whole copy passes: what was refused was refused for its damage.
        clone(bases, "whole")
        whole = await command(house, "index", "activate", "whole")
        assert whole.returncode == 0, whole.stderr
        assert await eventually(lambda: answers_from(house, watcher, "whole"), FOLLOWED_WITHIN_S)
    book.note(
        "damaged and foreign snapshots activated under load",
        "all refused before the swap; the old one serves on",
        damages=damages,
        refused=dict(refused),
        let_through=len(let_through),
        answers=witness.answers,
        errors=witness.errors,
        mixed=witness.mixed,
    )
    assert let_through == []
    assert (witness.errors, witness.mixed) == (0, 0)
    assert served == {bases.versions[0]}


def _some_file(folder: Path, least_bytes: int = 1) -> Path:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return random.choice([path for path in files if path.stat().st_size >= least_bytes])


def _flip(bases: Bases, name: str) -> None:
    file = _some_file(clone(bases, name))
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def _truncate(bases: Bases, name: str) -> None:
    file = _some_file(clone(bases, name))
    content = file.read_bytes()
    file.write_bytes(content[: random.randrange(len(content))])


def _zero(bases: Bases, name: str) -> None:
    """A hole of 4 KB, as a file system may leave after a power cut, where there was something else before."""
    file = _some_file(clone(bases, name), 8192)
    content = file.read_bytes()
    starts = [at for at in range(0, len(content) - 4096, 512) if any(content[at : at + 4096])]
    at = random.choice(starts)
    file.write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])


def _foreign_encoder(bases: Bases, name: str) -> None:
    mark = read_manifest(bases.indexes / "shop" / bases.versions[0]).encoder
    clone(bases, name, encoder=replace(mark, fingerprint="0" * len(mark.fingerprint)))


def _foreign_base(bases: Bases, name: str) -> None:
    clone(bases, name, kb="bank")


def _no_manifest(bases: Bases, name: str) -> None:
    (clone(bases, name) / "manifest.json").unlink()


def _missing_file(bases: Bases, name: str) -> None:
    _some_file(clone(bases, name)).unlink()


def _other_name(bases: Bases, name: str) -> None:
    shutil.copytree(bases.indexes / "shop" / bases.versions[0], bases.indexes / "shop" / name)


DAMAGES: dict[str, Callable[[Bases, str], None]] = {
    "a bit flipped": _flip,
    "a file cut short": _truncate,
    "4 KB zeroed": _zero,
    "another encoder": _foreign_encoder,
    "another knowledge base": _foreign_base,
    "no manifest": _no_manifest,
    "a file missing": _missing_file,
    "another version's name": _other_name,
}
