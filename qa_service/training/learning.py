"""The learning itself: lessons, an optimiser, averaged weights, and looks at held-out groups. It knows no files."""

import copy
import functools
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
import torch

from qa_service.training.body import Body
from qa_service.training.lessons import Lesson
from qa_service.training.material import Material

_ROW_RATE = 1e-3  # new rows of the vocabulary start from little
_WARM_SHARE = 0.05
_AVERAGED_STEPS = 50
_LOOKS = 10  # at the held-out groups
_PATIENCE = 3  # looks without a better one, and it ends

Weights = dict[str, torch.Tensor]

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When it ends, how fast the body learns (AdamW's rate at its height), and from which numbers it draws.

    Each of the `seeds` trainings has these minutes or steps.
    """

    minutes: float = 10.0
    steps: int | None = None
    rate: float = 3e-5
    seed: int = 1
    seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """`at_first` are the lessons of the first share of the time, when only new rows of the vocabulary learn."""

    at_first: Sequence[Lesson]
    then: Sequence[Lesson]
    first_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The loss of each step with `then`'s lessons, all steps, and the weights that were kept with their recall."""

    losses: tuple[float, ...]
    steps: int
    weights: Weights
    recall: float


def learn(body: Body, course: Course, held: Material, budget: Budget) -> Learned:
    """Teach a copy of the body, `seeds` times; give the best of what came of it and of the average of all."""
    runs = [_Run(copy.deepcopy(body), course, held, budget, budget.seed + more).learn() for more in range(budget.seeds)]
    best = max(runs, key=lambda run: run.recall)
    if len(runs) == 1:
        return best
    weights = {
        name: torch.stack([run.weights[name] for run in runs]).mean(0) if value.is_floating_point() else value
        for name, value in best.weights.items()
    }
    found = _recall_of(copy.deepcopy(body), weights, held)
    _LOG.info("encoder-averaged", recall=round(found, 4), of=[round(run.recall, 4) for run in runs])
    return Learned(
        losses=best.losses,
        steps=sum(run.steps for run in runs),
        weights=weights if found >= best.recall else best.weights,
        recall=max(found, best.recall),
    )


def recall(body: Body, material: Material) -> float:
    """Give how many of the texts have one of their own group nearest (0 to 1)."""
    texts = [text for group in material.groups for text in group]
    group_of = np.repeat(np.arange(len(material.groups)), [len(group) for group in material.groups])
    vectors = body.encode(texts, bfloat16=_bfloat16_is_faster())
    cosines = vectors @ vectors.T - 2 * np.eye(len(texts), dtype=np.float32)
    return float((group_of[cosines.argmax(1)] == group_of).mean())


class _Run:
    """One training: the body learns in place."""

    def __init__(self, body: Body, course: Course, held: Material, budget: Budget, seed: int) -> None:
        self._body, self._course, self._held, self._budget = body, course, held, budget
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self._bfloat16 = _bfloat16_is_faster()
        self._rows = body.rows
        self._others = [weight for weight in body.model.parameters() if weight is not self._rows]
        self._rates = (budget.rate, _ROW_RATE if body.new_rows else budget.rate)
        groups = [{"params": self._others, "weight_decay": 0.01}, {"params": [self._rows], "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=budget.rate)
        self._learning_rows = torch.zeros(len(self._rows), 1)
        self._learning_rows[list(body.new_rows) or slice(None)] = 1

    def learn(self) -> Learned:
        losses: list[float] = []
        average = _copied(self._body)
        best, best_weights, worse = recall(self._body, self._held), _copied(self._body), 0
        steps, next_look = 0, 1 / _LOOKS
        for done in self._progress():
            at_first = done < self._course.first_share
            loss = self._step(done, self._course.at_first if at_first else self._course.then, rows_only=at_first)
            if self._course.at_first is self._course.then or not at_first:
                losses.append(loss)
            steps += 1
            _average(average, self._body, min(1 - 1 / _AVERAGED_STEPS, steps / (steps + 10)))
            if done < next_look:
                continue
            next_look += 1 / _LOOKS
            found = _recall_of(self._body, average, self._held)
            _LOG.info("encoder-training", done=round(done, 2), steps=steps, loss=round(loss, 4), recall=round(found, 4))
            worse = worse + 1 if found < best and not at_first else 0
            if found >= best:
                best, best_weights = found, {name: value.clone() for name, value in average.items()}
            if worse >= _PATIENCE:
                break
        return Learned(losses=tuple(losses), steps=steps, weights=best_weights, recall=best)

    def _progress(self) -> Iterator[float]:
        """Give the share that is done (0 to 1) before each step, and at last 1."""
        begun_s = time.monotonic()
        for step in itertools.count():
            by_time = (time.monotonic() - begun_s) / (self._budget.minutes * 60)
            done = max(by_time, step / self._budget.steps if self._budget.steps else 0.0)
            yield min(done, 1.0)
            if done >= 1:
                return

    def _step(self, done: float, lessons: Sequence[Lesson], *, rows_only: bool) -> float:
        factor = min(1.0, (done + 0.01) / _WARM_SHARE) * (0.02 + 0.49 * (1 + np.cos(np.pi * done)))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        for weight in self._others:
            weight.requires_grad = not rows_only
        self._optimiser.zero_grad()
        total = 0.0
        for lesson in lessons:  # one after the other: the step needs the memory of one
            loss = lesson.loss(self._body, self._draw, bfloat16=self._bfloat16)
            torch.autograd.backward(loss)
            total += float(loss.detach())
        assert self._rows.grad is not None
        self._rows.grad *= self._learning_rows
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        self._optimiser.step()
        return total


def _recall_of(body: Body, weights: Weights, held: Material) -> float:
    present = _copied(body)
    body.model.load_state_dict(weights)
    found = recall(body, held)
    body.model.load_state_dict(present)
    return found


def _copied(body: Body) -> Weights:
    return {name: value.clone() for name, value in body.model.state_dict().items()}


def _average(average: Weights, body: Body, keep: float) -> None:
    for name, value in body.model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)


@functools.cache
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
