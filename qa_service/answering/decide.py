"""From calibrated candidates to a decision, at thresholds and never on raw scores. It knows no text and no index."""

import re
from dataclasses import dataclass

from qa_service.domain.answer import Decision
from qa_service.domain.hit import Hit, Ranking
from qa_service.domain.text import normalise

MAX_CHOICES = 3  # "did you mean" questions
_CLOSE = 0.7  # a choice scores at least this share of the best one
_TOO_CLOSE = 0.2  # of two entries that could both answer, the first must be so much likelier
_ASKS_FOR_HUMAN = re.compile(
    r"^(?:请|帮我|帮忙|麻烦|我要|我想|给我|能不能|可以|直接)*(?:转接?|找|接|联系|叫|换|要)(?:一?下|一个|个)?"
    r"(?:人工|真人|活人)(?:客服|服务|坐席)?(?:吧|吗|啊|[,，。 ]*谢谢)*$|"
    r"^人工(?:客服|服务|坐席)?$|"
    r"^(?:(?:please|i want|i need|i'd like|can i|could i|let me|to|get me|give me|"
    r"connect me|transfer me|put me through) )*"
    r"(?:(?:talk|speak|chat) )?(?:(?:to|with) )?(?:an? |the )?(?:real |live |human )?"
    r"(?:agent|human|person|representative)(?:,? (?:please|thanks))?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Chances (0 to 1) at which the bot answers (this entry does), asks back (some entry does) or quotes passages."""

    answer: float
    clarify: float
    passage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, the hits it rests on (best first), and the reason in words."""

    decision: Decision
    hits: tuple[Hit, ...]
    reason: str


def asks_for_human(text: str) -> bool:
    """Whether the customer asks for a person and nothing else."""
    return bool(_ASKS_FOR_HUMAN.match(normalise(text)))


def decide(ranking: Ranking, policy: Policy) -> Verdict:
    """Decide on the FAQ's candidates alone; NONE leaves the question to the passages."""
    best = ranking.best
    if best is None:
        return Verdict(decision=Decision.NONE, hits=(), reason="no candidate")
    rival = ranking.hits[1] if len(ranking.hits) > 1 else best
    if rival is not best and rival.probability >= max(policy.answer, best.probability - _TOO_CLOSE):
        reason = f"two entries are likely: {best.probability:.2f} and {rival.probability:.2f}"
        return Verdict(decision=Decision.CLARIFY, hits=_choices(ranking), reason=reason)
    if best.probability >= policy.answer:
        reason = f"probability {best.probability:.2f} reaches {policy.answer:.2f}"
        return Verdict(decision=Decision.ANSWER, hits=(best,), reason=reason)
    if ranking.in_scope >= policy.clarify:
        reason = f"some entry answers with {ranking.in_scope:.2f}, this one with {best.probability:.2f}"
        return Verdict(decision=Decision.CLARIFY, hits=_choices(ranking), reason=reason)
    reason = f"that any entry answers has a chance of {ranking.in_scope:.2f}, below {policy.clarify:.2f}"
    return Verdict(decision=Decision.NONE, hits=(), reason=reason)


def _choices(ranking: Ranking) -> tuple[Hit, ...]:
    """Give the best candidate and up to two that score nearly as high."""
    best, *others = ranking.hits[:MAX_CHOICES]
    return (best, *(hit for hit in others if hit.reranked >= _CLOSE * best.reranked))
