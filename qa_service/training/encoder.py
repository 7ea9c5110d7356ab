"""Trains an encoder on groups of wordings, until the time is up or held-out groups are no longer found better.

Texts of one meaning are drawn together and away from the rest of their batch; pairs that only look alike are kept
apart; and the base's own vectors hold the whole back, so that what it knew outside these texts is kept. It knows no
knowledge base and no index.
"""

import copy
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from torch.nn.functional import cross_entropy

from qa_service.training.body import BUILTIN, Body, add_characters, folded, open_base, save
from qa_service.training.material import Material, hold_out, read_material

_GROUPS_A_STEP = 32
_PAIRS_A_STEP = 16
_SHARPNESS = 20.0  # MiniLM was trained at this
_APART = 0.6  # confusable texts of a higher cosine are pushed apart
_KEEPING = 0.3  # weight of the base's own vectors
_ROW_RATE = 1e-3  # new rows of the vocabulary start from nothing
_ROWS_FIRST_SHARE = 0.3  # of the time: only the new rows learn, so that noise does not reach the body
_WARM_SHARE = 0.05
_AVERAGED_STEPS = 50
_LOOKS = 10  # at the held-out groups
_PATIENCE = 3  # looks without a better one, and it ends

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What came of it. Recalls (0 to 1): of held-out texts, how many have one of their own group nearest."""

    folder: Path
    steps: int
    first_loss: float
    last_loss: float
    recall_before: float
    recall_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When it ends, how fast the body learns (AdamW's rate at its height), and from which numbers it draws."""

    minutes: float = 10.0
    steps: int | None = None
    rate: float = 3e-5
    seed: int = 1


def train_encoder(
    pairs: Sequence[Path], *, out: Path, base: str = BUILTIN, dev: Path | None = None, budget: Budget | None = None
) -> Training:
    """Adapt `base` ("builtin", a folder or a downloaded name) to the texts in `pairs` and write it to `out`.

    `out` is then an encoder for serving and a sentence-transformers model. `dev` holds groups for early stopping;
    without it a tenth of the groups is held out. The better of base and trained is kept.

    Raises:
        KnowledgeError: a file cannot be read, or the texts cannot teach anything; the message says what is missing.
        ModelError: there is no such base, or it cannot be trained.
    """
    budget = budget or Budget()
    material = read_material(pairs)
    train, held = (material, read_material([dev])) if dev else hold_out(material, seed=budget.seed)
    train, held = _fold(train), _fold(held)
    torch.manual_seed(budget.seed)
    body = open_base(base)
    add_characters(body, [text for group in train.groups for text in group])
    before = recall(body, held)
    losses, after = _Run(body, train, held, budget).learn(before)
    save(body, out)
    first, last = (float(np.mean(part)) for part in (losses[:5], losses[-5:]))
    return Training(
        folder=out, steps=len(losses), first_loss=first, last_loss=last, recall_before=before, recall_after=after
    )


def recall(body: Body, material: Material) -> float:
    """Give how many of the texts have one of their own group nearest (0 to 1)."""
    texts = [text for group in material.groups for text in group]
    group_of = np.repeat(np.arange(len(material.groups)), [len(group) for group in material.groups])
    vectors = body.encode(texts)
    cosines = vectors @ vectors.T - 2 * np.eye(len(texts), dtype=np.float32)
    return float((group_of[cosines.argmax(1)] == group_of).mean())


def _fold(material: Material) -> Material:
    return Material(
        groups=tuple(tuple(folded(group)) for group in material.groups),
        confusable=tuple((one, other) for one, other in map(folded, material.confusable)),
    )


class _Run:
    """One training: the body learns in place."""

    def __init__(self, body: Body, train: Material, held: Material, budget: Budget) -> None:
        self._body, self._train, self._held, self._budget = body, train, held, budget
        self._random = random.Random(budget.seed)  # noqa: S311 - no secret
        self._base = copy.deepcopy(body)
        self._bfloat16 = _bfloat16_is_faster()
        self._rows = body.rows
        self._others = [weight for weight in body.model.parameters() if weight is not self._rows]
        self._rates = (budget.rate, _ROW_RATE if body.new_rows else budget.rate)
        groups = [{"params": self._others, "weight_decay": 0.01}, {"params": [self._rows], "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=budget.rate)
        self._learning_rows = torch.zeros(len(self._rows), 1)
        self._learning_rows[list(body.new_rows) or slice(None)] = 1

    def learn(self, before: float) -> tuple[list[float], float]:
        """Give the loss of each step and the recall of what was kept."""
        losses: list[float] = []
        average = _copied(self._body)
        best, best_weights, worse = before, _copied(self._body), 0
        next_look = 1 / _LOOKS
        for done in self._progress():
            losses.append(self._step(done))
            _average(average, self._body, min(1 - 1 / _AVERAGED_STEPS, len(losses) / (len(losses) + 10)))
            if done < next_look:
                continue
            next_look += 1 / _LOOKS
            found = self._recall_of(average)
            _LOG.info("encoder-training", done=round(done, 2), loss=round(losses[-1], 4), recall=round(found, 4))
            worse = worse + 1 if found < best else 0
            if found >= best:
                best, best_weights = found, {name: value.clone() for name, value in average.items()}
            if worse >= _PATIENCE:
                break
        self._body.model.load_state_dict(best_weights)
        return losses, best

    def _progress(self) -> Iterator[float]:
        """Give the share that is done (0 to 1) before each step, and at last 1."""
        begun_s = time.monotonic()
        for step in itertools.count():
            by_time = (time.monotonic() - begun_s) / (self._budget.minutes * 60)
            done = max(by_time, step / self._budget.steps if self._budget.steps else 0.0)
            yield min(done, 1.0)
            if done >= 1:
                return

    def _step(self, done: float) -> float:
        rows_only = bool(self._body.new_rows) and done < _ROWS_FIRST_SHARE
        factor = min(1.0, (done + 0.01) / _WARM_SHARE) * (0.02 + 0.49 * (1 + np.cos(np.pi * done)))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        for weight in self._others:
            weight.requires_grad = not rows_only
        self._optimiser.zero_grad()
        loss = self._loss()
        torch.autograd.backward(loss)
        assert self._rows.grad is not None
        self._rows.grad *= self._learning_rows
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        self._optimiser.step()
        return float(loss.detach())

    def _loss(self) -> torch.Tensor:
        drawn = self._random.sample(self._train.groups, min(_GROUPS_A_STEP, len(self._train.groups)))
        pairs = [self._random.sample(group, 2) for group in drawn]
        texts = [one for one, _ in pairs] + [other for _, other in pairs]
        vectors = self._body.vectors(texts, bfloat16=self._bfloat16)
        scores = vectors[: len(pairs)] @ vectors[len(pairs) :].T * _SHARPNESS
        right = torch.arange(len(pairs))
        loss = torch.stack([cross_entropy(each, right) for each in (scores, scores.T)]).mean()
        if not self._body.new_rows:  # a base that cannot read the texts has nothing to keep about them
            kept = torch.from_numpy(self._base.encode(texts))
            loss = loss + _KEEPING * (1 - (vectors * kept).sum(1)).mean()
        return loss + self._apart()

    def _apart(self) -> torch.Tensor:
        if not self._train.confusable:
            return torch.zeros(())
        drawn = self._random.sample(self._train.confusable, min(_PAIRS_A_STEP, len(self._train.confusable)))
        texts = [one for one, _ in drawn] + [other for _, other in drawn]
        vectors = self._body.vectors(texts, bfloat16=self._bfloat16)
        cosines = (vectors[: len(drawn)] * vectors[len(drawn) :]).sum(1)
        return torch.relu(cosines - _APART).mean()

    def _recall_of(self, weights: dict[str, torch.Tensor]) -> float:
        present = _copied(self._body)
        self._body.model.load_state_dict(weights)
        found = recall(self._body, self._held)
        self._body.model.load_state_dict(present)
        return found


def _copied(body: Body) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in body.model.state_dict().items()}


def _average(average: dict[str, torch.Tensor], body: Body, keep: float) -> None:
    for name, value in body.model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)


def _bfloat16_is_faster() -> bool:
    """Time one product in both: 4 to 7 times faster where the processor has matrix units for it, slower elsewhere."""
    times_s = []
    for kind in (torch.float32, torch.bfloat16):
        one, other = torch.ones(512, 512, dtype=kind), torch.ones(512, 512, dtype=kind)
        begun_s = time.perf_counter()
        for _ in range(5):
            one @ other
        times_s.append(time.perf_counter() - begun_s)
    return times_s[1] < times_s[0]
