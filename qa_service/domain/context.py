"""Whether a question stands alone: what leans on earlier turns or on one person is never cached. Rules, no model."""

import re

from qa_service.domain.text import normalise

# A question that opens with one of these continues an earlier one.
_CONTINUES_ZH = re.compile(
    r"^(那(么|就|个|些|种|这|要|如果|多久|怎|如|能|可|是|我|还|为|什|哪|谁|呢|几|大|需|会|不|没|有|请)?|这个|这种|这样|这些|它|他们|她|"
    r"另一个|上面|前面|刚才|第[一二三四五\d]个|然后|接着|还有(?=[呢吗么?]|$)|如果(是)?这样|(?:然后|之后|接下来)(?:呢|怎么办)|"
    r"为什么呢?$|怎么办呢?$|多久呢?$|多少钱呢?$|在哪(里|儿)?呢?$|怎么(弄|操作|申请|做)呢?$|什么意思$)"
)
_CONTINUES_EN = re.compile(
    r"^((and|but|then|so)\b|(what|how) about\b|"
    r"(it|they|that|those|these|this one|the (first|second|third|other) one)\b|"
    r"(why|how long|how much|when|where|how|which one|really)$|why not$|"
    r"(can|does|do|is|will|would|could|should|did|has|are) (it|they|that|this|those|these)\b)"
)
_CONTINUES_WITHIN = re.compile(r"(这个呢|那个呢|那呢)$|\b(that one|the other one|the same one)\b")
_LONGEST_FOLLOW_UP = 24  # characters (Chinese); longer questions carry their own subject
_LONGEST_FOLLOW_UP_WORDS = 9
_PERSONAL = re.compile(
    r"(我的?|咱|俺)(的|这|那|个|笔|单)*(订单|快递|包裹|物流|账户|账号|余额|积分|会员|优惠券|发票|退款|货|东西|手机号)"
    r"($|(?=.*(到哪|在哪|多少|呢|状态|为什么|怎么还|还没|没到|没收)))|"
    r"\bmy (order|parcel|package|refund|account|balance|points|coupon|invoice|delivery)\b"
    r".*\b(where|status|late|still|yet|not|when|much|many)\b|"
    r"\b(where|when|what)('s| is| are| has| will)\b.*\bmy (order|parcel|package|refund|delivery|balance|points)\b"
)
_IDENTIFIER = re.compile(r"\d[\d\s-]{6,}\d|[\w.+-]+@[\w-]+\.\w+")  # order numbers, phones, cards, mail addresses


def leans_on_context(text: str) -> bool:
    """Whether a question cannot be understood without the turn before it ("那多久到账呢", "how about exchanges?")."""
    folded = normalise(text)
    if len(folded) > _LONGEST_FOLLOW_UP and (not folded.isascii() or len(folded.split()) > _LONGEST_FOLLOW_UP_WORDS):
        return False
    return any(rule.search(folded) for rule in (_CONTINUES_ZH, _CONTINUES_EN, _CONTINUES_WITHIN))


def is_personal(text: str) -> bool:
    """Whether a question is about one person's own things, or names an order, phone, card or mail address."""
    folded = normalise(text)
    return bool(_PERSONAL.search(folded) or _IDENTIFIER.search(folded))


def is_cacheable(text: str) -> bool:
    """Whether an answer to this text may be kept for, and served to, other callers."""
    return not leans_on_context(text) and not is_personal(text)
