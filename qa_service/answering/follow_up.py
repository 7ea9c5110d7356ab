"""What a question means after the turns before it: rules, no model. It knows no index.

"那多久到账呢" after "怎么申请退款" becomes "多久到账 申请退款", and "第二个" after a "did you mean" becomes the second
question of it.
"""

import re
from collections.abc import Sequence

from qa_service.domain.context import leans_on_context
from qa_service.domain.question import Question, Turn
from qa_service.domain.text import normalise

_OPENING = re.compile(
    r"^(?:(?:请问|您好|你好|谢谢|明白了?|知道了?|了解|好的?|行|嗯+|哦+|hi|hello|thanks|ok|okay)(?:[\s,，。!、~]+|(?=那)))*"
    r"(?:(?:那么|那个?|然后|接着|还有|这个|它|and|but|then|so|what about|how about|what if)(?=\W|[一-鿿]|$))?"
    r"[\s,，:：]*"
)
_ENDING = re.compile(r"(呢|呀|啊|吧|哦|嘛|(?<![什怎])么|吗)+$")
# What makes a sentence a question says nothing about its topic.
_ASKING = re.compile(
    r"请问一下|请问|想问一下|问一下|我想|我要|我该|应该|该怎么|怎么办|怎么样|怎么|如何|怎样|为什么|"
    r"什么时候|多长时间|多久|多少钱|多少|哪里|哪儿|"
    r"能不能|可不可以|可以|能否|是不是|有没有|什么|吗|呢|么|"
    r"\b(?:how (?:do|can|long|much|many|to)|what(?:'s| is| are)?|when|where|why|which|who|can|could|may|do|does|did|"
    r"is|are|there|will|would|should|i|you|we|my|your|the|a|an|please|want to|need to|to|get|have)\b"
)
_NTH_ZH = re.compile(
    r"^(?:就|我?(?:选|要|问的?是|是|想问))*(?:第?([一二三1-3])|(最后一))(?:个|条|种|项)?(?:问题)?(?:吧|呢|啊)?$"
)
_NTH_EN = re.compile(
    r"^(?:the |number |option )?(first|second|third|last|[1-3](?:st|nd|rd)?)(?: one| question| option)?(?:,? please)?$"
)
_NUMBER = {"一": 0, "二": 1, "三": 2, "first": 0, "second": 1, "third": 2, "最后一": -1, "last": -1}
_MAX_CHARS = 500


def resolve(question: Question) -> str:
    """Give the text to search for: the question's own, or joined with what it leans on."""
    chosen = _chosen(question.text, question.history)
    if chosen:
        return chosen
    topic = _topic(question.history) if leans_on_context(question.text) else ""
    if not topic:
        return question.text
    body = _ENDING.sub("", _OPENING.sub("", normalise(question.text))).strip()
    return f"{body} {topic}".strip()[:_MAX_CHARS]


def names_a_choice(text: str) -> bool:
    """Whether a text may pick from a "did you mean" ("2", "第二个"): it means nothing without the turn before it."""
    return _nth(text) is not None


def _chosen(text: str, history: Sequence[Turn]) -> str | None:
    """Give the question that "第二个" picks from the "did you mean" just before it."""
    choices = history[-1].choices if history else ()
    nth = _nth(text) if choices else None
    return choices[nth] if nth is not None and nth < len(choices) else None


def _nth(text: str) -> int | None:
    """Give the place that a text names, from 0; -1 is the last."""
    folded = normalise(text)
    match = _NTH_ZH.match(folded) or _NTH_EN.match(folded)
    if match is None:
        return None
    word = match[match.lastindex or 0]
    return int(word[0]) - 1 if word[0].isdigit() else _NUMBER[word]


def _topic(history: Sequence[Turn]) -> str:
    """Give what the last turn was about: the entry that answered it, or else the question, if it stood alone."""
    for place in reversed(range(len(history))):
        asked = history[place].question
        alone = "" if leans_on_context(asked) else asked
        about = history[place].topic or _chosen(asked, history[:place]) or alone
        if about:
            folded = normalise(about)
            return " ".join(_ASKING.sub(" ", folded).split()) or folded
    return ""
