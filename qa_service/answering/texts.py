"""What the bot says when no entry speaks: Chinese first, English second. It knows no decision rule."""

from dataclasses import dataclass

from qa_service.domain.language import Language, language_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The bot's own sentences in one language."""

    clarify: str
    hand_off: str
    unknown: str
    thinking: str


TEXTS: dict[Language, Texts] = {
    "zh": Texts(
        clarify="您想问的是下面哪一个问题？",
        hand_off="好的，正在为您转接人工客服，请稍候。",
        unknown="抱歉，这个问题我还没有答案。您可以换个说法再问一次，或回复“转人工”联系人工客服。",
        thinking="正在思考中…",
    ),
    "en": Texts(
        clarify="Which of these do you mean?",
        hand_off="I am passing you on to a colleague. One moment, please.",
        unknown='Sorry, I have no answer to that yet. Try other words, or reply "agent" to reach a person.',
        thinking="Thinking…",
    ),
}


def texts_for(text: str, locale: str) -> Texts:
    """Give the sentences to reply to `text` with."""
    return TEXTS[language_of(text, locale)]
