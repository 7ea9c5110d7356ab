"""What a question means after the turns before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.answering.follow_up import names_a_choice, resolve
from qa_service.domain.question import Question, Turn

CHOICES = ("退款多久到账", "怎么申请退款", "退款进度在哪看")


def asked(text: str, *history: str) -> str:
    return resolve(Question(text=text, history=tuple(Turn(question=earlier) for earlier in history)))


def picked(text: str, choices: tuple[str, ...] = CHOICES) -> str:
    return resolve(Question(text=text, history=(Turn(question="你好"), Turn(question="退款", choices=choices))))


@pytest.mark.parametrize(
    ("history", "follow_up", "searched_for"),
    [
        (["怎么申请退款"], "那多久到账呢", "多久到账 申请退款"),
        (["怎么申请退款？"], "那么多久到账呢？", "多久到账 申请退款"),
        (["七天无理由退货怎么操作"], "那要运费吗？", "要运费 七天无理由退货 操作"),
        (["退货的运费谁出"], "那换货呢", "换货 退货的运费谁出"),
        (["退货的运费谁出"], "好的，那换货呢", "换货 退货的运费谁出"),
        (["洗衣机"], "它支持分期吗", "支持分期 洗衣机"),
        (["生鲜订单"], "这个可以用积分抵扣吗", "可以用积分抵扣 生鲜订单"),
        (["优惠券用不了"], "为什么", "为什么 优惠券用不了"),
        (["优惠券用不了"], "为什么呢？", "为什么 优惠券用不了"),
        (["换货"], "多久？", "多久 换货"),
        (["大件送货上楼"], "多少钱", "多少钱 大件送货上楼"),
        (["怎么开发票"], "在哪里", "在哪里 开发票"),
        (["发票抬头写错了怎么改"], "然后呢", "发票抬头写错了 改"),
        (["会员权益"], "还有呢？", "会员权益"),
        (["Can I return sale items?"], "How about exchanges?", "exchanges return sale items"),
        (["Can I return sale items?"], "what about shoes", "shoes return sale items"),
        (["How do I get a refund"], "How long?", "how long refund"),
        (["What is the shipping fee?"], "and for members?", "for members shipping fee"),
        (["Is there a warranty on phones?"], "does it cover batteries", "does it cover batteries warranty on phones"),
        (["Why was my coupon refused"], "why", "why was coupon refused"),
        # Chains: the topic is the last question that stands alone.
        (["怎么申请退款", "那多久到账呢"], "那么要手续费吗", "要手续费 申请退款"),
        (["怎么申请退款", "那多久到账呢", "为什么"], "那在哪看", "在哪看 申请退款"),
        (["怎么开发票", "那多久呢", "怎么申请退款", "那多久到账呢"], "那到哪看", "到哪看 申请退款"),
        (["Can I return shoes?", "how long?", "how about hats?"], "and socks?", "socks return shoes"),
    ],
)
def test_a_follow_up_is_joined_with_the_topic_of_the_last_question_that_stands_alone(
    history: list[str], follow_up: str, searched_for: str
) -> None:
    assert asked(follow_up, *history) == searched_for


@pytest.mark.parametrize(
    "text",
    [
        "怎么开发票",
        "怎么申请退款？",
        "优惠券怎么使用",
        "收到的商品有破损",
        "What is the shipping fee?",
        "How do I reset my password?",
        "这个商品收到以后发现颜色跟页面上的图片完全不一样怎么办",  # long enough to carry its own subject
    ],
)
def test_a_question_that_stands_alone_is_searched_for_as_it_is(text: str) -> None:
    assert asked(text, "怎么申请退货", "那要多久") == text


@pytest.mark.parametrize("history", [(), ("那呢",), ("那呢", "为什么")])
def test_a_follow_up_to_nothing_is_searched_for_as_it_is(history: tuple[str, ...]) -> None:
    assert asked("那多久到账呢", *history) == "那多久到账呢"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("第一个", 0),
        ("第二个", 1),
        ("第2个", 1),
        ("2", 1),
        ("２。", 1),
        ("二", 1),
        ("第二", 1),
        ("选第三个", 2),
        ("我要第一个", 0),
        ("我想问第二个问题", 1),
        ("就第二个吧", 1),
        ("最后一个", 2),
        ("the second one", 1),
        ("The first one, please", 0),
        ("Second", 1),
        ("3rd one", 2),
        ("option 2", 1),
        ("number 3", 2),
        ("the last one", 2),
    ],
)
def test_a_place_picks_from_the_did_you_mean_just_before_it(text: str, place: int) -> None:
    assert picked(text) == CHOICES[place]
    assert names_a_choice(text)


@pytest.mark.parametrize("text", ["2", "第二个", "the second one", "option 2", "最后一个"])
def test_without_choices_nothing_is_picked(text: str) -> None:
    assert asked(text, "退款多久到账").startswith(text)
    assert asked(text) == text


@pytest.mark.parametrize(("text", "choices"), [("第三个", CHOICES[:2]), ("3", CHOICES[:1])])
def test_a_place_beyond_the_choices_picks_nothing(text: str, choices: tuple[str, ...]) -> None:
    assert picked(text, choices) not in choices


@pytest.mark.parametrize(
    "text", ["两个", "4", "0", "22", "第二天", "二维码", "second hand", "2 天", "换一个", "first aid"]
)
def test_other_words_with_numbers_pick_nothing(text: str) -> None:
    assert picked(text) not in CHOICES
    assert not names_a_choice(text)


def test_choices_of_an_earlier_turn_are_no_longer_there_to_pick_from() -> None:
    history = (Turn(question="退款", choices=CHOICES), Turn(question="怎么开发票"))
    assert resolve(Question(text="2", history=history)) == "2"


@pytest.mark.parametrize("pick", ["2", "第二个", "the second one"])
def test_a_follow_up_to_a_picked_question_is_joined_with_what_was_picked(pick: str) -> None:
    history = (Turn(question="退款", choices=CHOICES), Turn(question=pick))
    assert resolve(Question(text="那多久到账呢", history=history)) == "多久到账 申请退款"


@given(text=st.text(min_size=1, max_size=500), history=st.lists(st.text(min_size=1, max_size=500), max_size=3))
def test_whatever_is_said_there_is_something_to_search_for_within_the_limit(text: str, history: list[str]) -> None:
    assert 1 <= len(asked(text, *history)) <= 500
