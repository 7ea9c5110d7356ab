"""A knowledge base small enough to be built for a test, with the real build, encoder and snapshot."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from qa_service.domain.entry import Entry, EntryKind
from qa_service.knowledge.build import Built, Recipe, build
from qa_service.knowledge.report import Reading
from qa_service.knowledge.versions import Versions
from qa_service.retrieval.builtin_encoder import BuiltinEncoder
from qa_service.retrieval.snapshot import Snapshot, open_snapshot


def faq(entry_id: str, answer: str | None, *wordings: str, not_for: tuple[str, ...] = ()) -> Entry:
    return Entry(id=entry_id, question=wordings[0], answer=answer, similar=wordings[1:], not_for=not_for)


def passage(entry_id: str, heading: str, text: str) -> Entry:
    return Entry(id=entry_id, question=heading, answer=text, kind=EntryKind.PASSAGE)


FAQ = (
    faq("return", "签收后七天内可以退货。", "怎么申请退货", "收到的东西不想要了", "七天无理由怎么操作"),
    faq("refund-time", "退款 1-3 个工作日到账。", "退款多久到账", "钱什么时候退回来", "申请退款后几天收到钱"),
    faq("invoice", "在订单详情页申请电子发票。", "怎么开发票", "电子发票在哪里下载", "能开专票吗"),
    faq("invoice-title", "开票后七天内可以改抬头。", "发票抬头写错了怎么改", "修改发票的公司名称"),
    faq("coupon", "结算时选择优惠券。", "优惠券怎么使用", "券用不了是什么原因", not_for=("优惠券过期了能补吗",)),
    faq("points", "积分一年有效。", "积分有效期是多长时间", "积分会过期吗"),
    faq("address", "发货前可以改地址。", "下单后修改收货地址", "地址填错了"),
    faq("silent", None, "企业采购对公转账的流程", "对公付款"),
    faq("en-shipping", "Shipping is free above 20 dollars.", "What is the shipping fee?", "How much is postage"),
    faq("en-password", "Use the reset link.", "How do I reset my password?", "I forgot my login"),
    faq("en-warranty", "One year.", "Is there a warranty on phones?", "phone repair guarantee"),
)
PASSAGES = (
    passage("furniture#1", "大件商品 > 配送", "沙发和床垫由专车配送。上楼每层加收二十元搬运费！请提前预约时间。"),
    passage("customs#1", "跨境商品 > 关税", "跨境包裹的关税由平台代缴。退货以后关税在三十天内退还。"),
    passage(
        "trade#1",
        "Trade-in > Phones",
        "Bring the old phone to a store. We pay by battery condition. Broken screens halve it.",
    ),
)


@cache
def encoder() -> BuiltinEncoder:
    """One for all tests: it has no state."""
    return BuiltinEncoder()


def build_small(
    root: Path, entries: Sequence[Entry] = (*FAQ, *PASSAGES), *, kb: str = "shop"
) -> tuple[Versions, Built]:
    """Build a version below `root` without activating it."""
    source = root / "entries.jsonl"
    source.write_text("{}\n")
    versions = Versions(root / "indexes", kb)
    return versions, build(Reading(entries=tuple(entries), problems=()), [source], versions, Recipe(encoder=encoder()))


def open_small(root: Path, entries: Sequence[Entry] = (*FAQ, *PASSAGES)) -> Snapshot:
    """Build and open a version."""
    versions, built = build_small(root, entries)
    return open_snapshot(versions.path(built.version), encoder())
