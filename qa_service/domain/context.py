"""Whether a question stands alone: what leans on earlier turns or on one person is never cached. Rules, no model.

Only what clearly leans counts: it opens with a pronoun or a continuation, ends in a pronoun, or is a bare
interrogative. A complete question ("怎么退货", "How do I return an item?") stands alone, however short.
"""

import re

from qa_service.domain.redaction import findings
from qa_service.domain.text import normalise

_LONGEST_FOLLOW_UP = 24  # characters (Chinese); longer questions carry their own subject
_LONGEST_FOLLOW_UP_WORDS = 9


def _rules(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


# What is said before the question itself and changes nothing of it.
_OPENER = re.compile(
    r"^(?:(?:请问|您好|你好|谢谢|明白了?|知道了?|了解|好的?|行|嗯+|哦+|噢|啊|额|hi|hello|thanks|thank you|ok|okay)"
    r"(?:[,，。!、~ ]+|(?=那)))+"
)

_LEANING_ZH = _rules(
    # "那运费呢", "那个怎么弄"; but no name (那曲), no time (那天, 那些年), and no 那里 typed for 哪里.
    r"^那(?!曲|英|不勒斯|拉提|[几一两]?[年天次]|时|里|些[年天])",
    # "这要多少钱", "这个呢"; but neither this shop, nor this month, nor 这么.
    r"^这(?!里|儿|边|么|时|期|[几一两]?[年天次周]|个?(?:月|周末|星期|季|时候|店|平台|网站|app)|家店?)",
    r"^(?:它|他们|她|他(?!人)|前者|后者|其中|上述|刚才|刚刚|同样|也(?!门)|另外?一?[个种]|[上前]一个(?!月|星期|季))",
    r"^(?:但是|可是|所以|而且|然后|接着|接下来|除此之外|不过(?=[,，我你那这还])|(?:如果|要是)?[这那]样)",
    r"^(?:第[一二三四五六七八九十\d]+|最后一?)[个种条项款](?=$|[呢吧吗怎多可能要是的有行好,，])",
    r"^还有(?:别的|其他的?|什么|吗|呢|$)",
    r"(?:[这那][个些]|它们?|前者|后者)(?:呢|吗|的话)?$",
    r"^[^怎什多哪谁几何为我]{1,8}呢$",  # "换货呢", "周末呢"
    r"^(?:没听懂|没看懂|不明白|不懂|继续|再说一遍|说?(?:详细|具体|清楚)一?(?:点|些|说说)?|举个?例子?|解释一?下)$",
)
_LEADS_ZH = re.compile(r"^(?:我们?)?(?:应?该|得|想|需要|要)?(?=怎|多|几|如何|什么|钱)")
_PARTICLES_ZH = "吗呢呀啊吧了"
_BARE_ZH = _rules(
    r"为(?:什么|啥)(?:不行|不能|不可以|没有)?",
    r"(?:怎么|咋|如何)(?:办|弄|做|用|查|样|选|填|操作|申请|办理|设置|回事)?",
    r"多久|多长时间|多少钱?|几天|(?:什么|啥)时候|何时",
    r"[在去]?哪[里儿]?|谁|哪[个种款]|什么(?:意思)?",
    r"可以|能|行|是|对|好的?|有|要|真的|确定|贵|钱|要?收费|免费",
    r"可不可以|能不能|行不行|不(?:是|对|要|行|能|可以)|没有|嗯+",
)

_PLACE_EN = r"(?:site|website|shop|store|app|page|company|service|week|month|year|weekend|season|time)\b"
_LEANING_EN = _rules(
    r"^(?:and|but|then|so|or|also|otherwise|(?:what|how) about|what if (?:it|they|that|this))\b",
    r"^(?:same|likewise)(?: (?:for|with|to|here|thing)\b|$)",
    rf"^(?:it|its|they|them|that|those|these|this)\b(?! {_PLACE_EN}| days\b)",
    r"^(?:the )?(?:first|second|third|last|latter|former|other|next) (?:one|option)\b",
    r"\b(?:that|the other|the same|the first|the second) one$",
    r"^(?:can|do|did|should)(?: i| you| we) (?:it|that|this|those|these)\b",
    rf"^(?:can|does|do|will|would|could|did|has|have|are|is|was|were) (?:they|that|this|those|these)\b(?! {_PLACE_EN})",
    r"^(?:can|could|should|did|has|was) it\b",
    # "Is it possible to …" and "does it cost extra to …" are complete; "does it cost extra" is not.
    r"^is it\b(?! \w+ (?:to|if|that|\w+ing)\b)",
    r"^(?:does|will|would) it\b(?! (?:cost|take|matter|help|count)(?: \w+)? (?:to|if|that)\b)",
    # "How do I use it", but not "my voucher ran out before I used it", which names what it means.
    r"^(?!.*\b(?:my|and|before|after|when|if|because)\b)"
    r".*\b(?:it|them|that|this|those|these)(?: (?:cost|take|mean|work|then|too|instead|again|now))?$",
)
_BARE_EN = frozenset({
    *("why", "why not", "how", "how long", "how much", "how many", "how come", "how so", "how often", "for how long"),
    *("when", "where", "who", "what", "what else", "anything else", "which", "which one", "really", "what do you mean"),
    *("yes", "yeah", "yep", "no", "nope", "sure", "right", "correct", "ok", "okay", "go on", "continue", "explain"),
    *("tell me more", "more details"),
})  # fmt: skip

_THINGS_ZH = r"(?:订单|快递|包裹|物流|账户|账号|余额|积分|会员|优惠券|发票|退款|货|东西|手机号|红包)"
_STATUS_ZH = r"(?:到哪|在哪|多少|呢|状态|为什么|什么时候|多久|怎么[还没]|还没|没[到收]|到[了账][吗了没]|到期|过期)"
_THINGS_EN = (
    r"(?:orders?|parcel|package|shipment|refund|account|balance|points|coupons?|invoice|delivery|payment|items?)\b"
)
_STATUS_EN = r"(?:n't|\b(?:where|status|late|still|yet|not|never|when|much|many|missing|lost|stuck|arrived?)\b)"
_PERSONAL = _rules(
    rf"(?:我|咱|俺)(?:的|这|那|个|笔|单|上次|昨天|刚才?|买)*{_THINGS_ZH}(?:$|.*{_STATUS_ZH})",
    rf"我.{{0,4}}[有剩欠].{{0,2}}[多几].{{0,3}}{_THINGS_ZH}",
    r"我.{0,6}(?:买|订|拍|下单|付款)的?.{0,8}(?:到哪|到了[吗没]|还没|怎么还|没收到|什么时候[到发])",
    r"^(?:请|麻烦)?[帮给替]我[查看取改催退找]",
    rf"^(?!how (?:do|can|to|should)\b|can i\b).*\bmy {_THINGS_EN}.*{_STATUS_EN}",
    rf"\b(?:where|when|what|why)(?:'s| is| are| has| have| was| were| will| did)\b.*\bmy {_THINGS_EN}",
    rf"\bhow (?:many|much)\b.*\b{_THINGS_EN}.*\b(?:do i (?:still )?have|i have|i've)\b",
    rf"\bhow (?:many|much)\b.*\bmy {_THINGS_EN}",
    # Order numbers, phones and cards, the last digits of one, mail addresses.
    r"\d[\d\s-]{6,}\d|尾号\D{0,2}\d{4}|[\w.+-]+@[\w-]+\.\w+",
)
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def leans_on_context(text: str) -> bool:
    """Whether a question cannot be understood without the turn before it ("那多久到账呢", "how about exchanges?")."""
    folded = _folded(text)
    asked = _OPENER.sub("", folded) or folded
    if _CHINESE.search(asked):
        bare = _LEADS_ZH.sub("", asked).rstrip(_PARTICLES_ZH)
        leans = any(rule.fullmatch(bare) for rule in _BARE_ZH) or any(rule.search(asked) for rule in _LEANING_ZH)
        return leans and len(asked) <= _LONGEST_FOLLOW_UP
    leans = asked.removesuffix(" please") in _BARE_EN or any(rule.search(asked) for rule in _LEANING_EN)
    return leans and len(asked.split()) <= _LONGEST_FOLLOW_UP_WORDS


def is_personal(text: str) -> bool:
    """Whether a question is about one person's own things, or names an order, phone, id, card or mail address."""
    folded = _folded(text)
    return any(rule.search(folded) for rule in _PERSONAL) or bool(findings(text))


def is_cacheable(text: str) -> bool:
    """Whether an answer to this text may be kept for, and served to, other callers."""
    return not leans_on_context(text) and not is_personal(text)


def _folded(text: str) -> str:
    return normalise(text).replace("’", "'")
