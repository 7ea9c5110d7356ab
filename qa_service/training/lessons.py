"""What a body is taught in one step, each lesson with its own loss. They know no optimiser, no files and no time.

Every lesson draws some of its texts, encodes them with gradients, and gives a loss; the losses of a step are summed.
Texts are folded.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from qa_service.training.body import Body
from qa_service.training.teacher import Opinion

_GROUPS_A_STEP = 32
_CONFUSABLE_A_STEP = 16
_NEIGHBOURHOODS, _NEIGHBOURS = 8, 8  # unlike texts say little about likeness: each batch holds near ones
_SHARPNESS = 20.0  # MiniLM was trained at this
_APART = 0.6  # confusable texts of a higher cosine are pushed apart
_KEEPING = 0.3  # weight of the base's own vectors

Draw = random.Random


class Lesson(Protocol):
    """One kind of loss."""

    def loss(self, body: Body, draw: Draw, *, bfloat16: bool) -> torch.Tensor:
        """Give the loss of some texts that `draw` chose."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """Texts of one meaning are drawn together and away from the rest; those that the `base` reads stay near it."""

    base: Body
    groups: Sequence[Sequence[str]]

    def loss(self, body: Body, draw: Draw, *, bfloat16: bool) -> torch.Tensor:
        """Give the cross entropy (nats) of finding a text's partner, and what those that were known moved (cosine)."""
        drawn = draw.sample(self.groups, min(_GROUPS_A_STEP, len(self.groups)))
        pairs = [draw.sample(group, 2) for group in drawn]
        texts = [one for one, _ in pairs] + [other for _, other in pairs]
        vectors = body.vectors(texts, bfloat16=bfloat16)
        scores = vectors[: len(pairs)] @ vectors[len(pairs) :].T * _SHARPNESS
        right = torch.arange(len(pairs))
        loss = torch.stack([cross_entropy(each, right) for each in (scores, scores.T)]).mean()
        kept = [place for place, known in enumerate(self.base.reads(texts)) if known]
        if not kept:
            return loss
        anchors = torch.from_numpy(self.base.encode([texts[place] for place in kept], bfloat16=bfloat16))
        return loss + _KEEPING * len(kept) / len(texts) * (1 - (vectors[kept] * anchors).sum(1)).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Texts that only look alike are pushed apart."""

    confusable: Sequence[tuple[str, str]]

    def loss(self, body: Body, draw: Draw, *, bfloat16: bool) -> torch.Tensor:
        """Give how far (cosine) the pairs are nearer than they may be."""
        drawn = draw.sample(self.confusable, min(_CONFUSABLE_A_STEP, len(self.confusable)))
        texts = [one for one, _ in drawn] + [other for _, other in drawn]
        vectors = body.vectors(texts, bfloat16=bfloat16)
        cosines = (vectors[: len(drawn)] * vectors[len(drawn) :]).sum(1)
        return torch.relu(cosines - _APART).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A text is drawn to the base's vector of another: a Chinese text to its English, a word to its gloss."""

    base: Body
    pairs: Sequence[tuple[str, str]]
    a_step: int = 32

    def loss(self, body: Body, draw: Draw, *, bfloat16: bool) -> torch.Tensor:
        """Give 1 less the cosine, 0 to 2."""
        drawn = draw.sample(self.pairs, min(self.a_step, len(self.pairs)))
        vectors = body.vectors([text for text, _ in drawn], bfloat16=bfloat16)
        places = torch.from_numpy(self.base.encode([other for _, other in drawn], bfloat16=bfloat16))
        return (1 - (vectors * places).sum(1)).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """Texts are drawn to where the teacher puts them, and to the teacher's opinion of how alike they are."""

    opinion: Opinion

    def loss(self, body: Body, draw: Draw, *, bfloat16: bool) -> torch.Tensor:
        """Give 1 less the cosine to the places, and the divergence (nats) of the likenesses."""
        chosen = self._choose(draw)
        vectors = body.vectors([self.opinion.texts[place] for place in chosen], bfloat16=bfloat16)
        places = torch.from_numpy(self.opinion.place[chosen])
        told = torch.from_numpy(self.opinion.told[chosen])
        return (1 - (vectors * places).sum(1)).mean() + _divergence(vectors, told)

    def _choose(self, draw: Draw) -> list[int]:
        """Give some texts, each with those that the teacher holds nearest."""
        told = self.opinion.told
        first = draw.sample(range(len(told)), min(_NEIGHBOURHOODS, len(told)))
        near = np.argsort(-(told[first] @ told.T), axis=1, kind="stable")[:, : _NEIGHBOURS + 1]
        return list(dict.fromkeys(near.ravel().tolist()))


def _divergence(vectors: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Give how far (KL, nats a text) the likeness of the texts to each other is from what the teacher told of it."""
    itself = torch.eye(len(vectors), dtype=torch.bool)
    ours, theirs = ((each @ each.T * _SHARPNESS).masked_fill(itself, -1e4) for each in (vectors, told))
    return kl_div(log_softmax(ours, 1), softmax(theirs, 1), reduction="batchmean")
