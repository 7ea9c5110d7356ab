"""Grows a body's vocabulary: the characters that it lacks, and a dictionary's frequent words. It trains nothing.

A character becomes an entry of WordPiece. A word becomes a token that is found before WordPiece, the longest first:
`tokenizer.json` keeps it among its added tokens, so that whoever opens that file finds the same words. Where a gloss is
known, a new row starts as the mean of the base's rows for it; else it is drawn at random around the mean of all.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import AddedToken, Tokenizer

from qa_service.training.body import Body

MOST_WORDS = 8_000  # as many rows again are 3 MB of the file
LEAST_OCCURRENCES = 2
_MOST_CHARACTERS = 8_000
_LONGEST_WORD_CHARS = 8
_FEW_CHARACTERS = 1_000  # a base with fewer never learned Chinese: MiniLM has 244, the built-in encoder 5,010
_BATCH_TEXTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the vocabulary got. `renewed` are characters that it had, whose rows were begun anew from their glosses."""

    characters: tuple[str, ...]
    words: tuple[str, ...]
    renewed: tuple[str, ...]


def grow(
    body: Body,
    texts: Sequence[str],
    glosses: Mapping[str, str] | None = None,
    *,
    most_words: int = MOST_WORDS,
    least: int = LEAST_OCCURRENCES,
) -> Growth:
    """Give what occurs `least` times or more in the folded texts rows of the vocabulary, the commonest first."""
    glosses = glosses or {}
    known = body.tokenizer.get_vocab()
    counts = Counter(character for text in texts for character in text if is_ideograph(character))
    common = [character for character, count in counts.most_common() if count >= least]
    growth = Growth(
        characters=tuple([character for character in common if character not in known][:_MOST_CHARACTERS]),
        words=_frequent_words(body.tokenizer, texts, glosses, most_words, least),
        renewed=tuple(c for c in common if c in known and c in glosses) if _never_learned(known) else (),
    )
    if growth.characters or growth.words or growth.renewed:
        _add(body, growth, glosses)
    return growth


def is_ideograph(character: str) -> bool:
    """Tell whether it is one of Unicode's first block of Chinese characters, as the encoder's folding leaves them."""
    return "\u4e00" <= character <= "\u9fff"


def _never_learned(known: Iterable[str]) -> bool:
    return sum(len(token) == 1 and is_ideograph(token) for token in known) < _FEW_CHARACTERS


def _frequent_words(
    tokenizer: Tokenizer, texts: Sequence[str], glosses: Mapping[str, str], most: int, least: int
) -> tuple[str, ...]:
    """Count the dictionary's words as the grown tokenizer will find them: the longest first, none inside another."""
    known = tokenizer.get_vocab()
    candidates = [
        word
        for word in glosses
        if 1 < len(word) <= _LONGEST_WORD_CHARS and all(map(is_ideograph, word)) and word not in known
    ]
    counting = Tokenizer.from_str(tokenizer.to_str())
    counting.no_truncation()
    counting.add_tokens([AddedToken(word, normalized=True) for word in candidates])
    word_of = {counting.token_to_id(word): word for word in candidates}
    counts: Counter[str] = Counter()
    for start in range(0, len(texts), _BATCH_TEXTS):
        for encoding in counting.encode_batch(texts[start : start + _BATCH_TEXTS], add_special_tokens=False):
            counts.update(word_of[token] for token in encoding.ids if token in word_of)
    return tuple([word for word, count in counts.most_common() if count >= least][:most])


def _add(body: Body, growth: Growth, glosses: Mapping[str, str]) -> None:
    """Characters go to the end of WordPiece's part, words to the end of all.

    A tokenizer that is opened again numbers its added tokens on from WordPiece's last: words that were there before
    move up by as many rows as there are new characters.
    """
    pieces, total = (body.tokenizer.get_vocab_size(with_added_tokens=also) for also in (False, True))
    rows = body.rows.detach().clone()
    new = _starts(body, [*growth.characters, *growth.words], glosses)
    known = body.tokenizer.get_vocab()
    renewed = [known[character] for character in growth.renewed]
    rows[renewed] = _starts(body, growth.renewed, glosses)
    more = len(growth.characters)
    grown = torch.cat([rows[:pieces], new[:more], rows[pieces:total], new[more:]])
    body.tokenizer = _grown(body, growth, pieces)
    body.model.embeddings.word_embeddings = torch.nn.Embedding(len(grown), grown.shape[1], _weight=grown)
    body.model.config.vocab_size = len(grown)
    body.new_rows = (*renewed, *range(pieces, pieces + more), *range(total + more, len(grown)))


def _starts(body: Body, tokens: Sequence[str], glosses: Mapping[str, str]) -> torch.Tensor:
    """Give the rows to start from: float32 (tokens, width)."""
    rows = body.rows.detach()
    noise = torch.randn(len(tokens), rows.shape[1], generator=torch.Generator().manual_seed(0))
    starts = rows.mean(0) + noise * rows.std(0)
    unknown = body.tokenizer.token_to_id("[UNK]")
    for place, token in enumerate(tokens):
        ids = body.tokenizer.encode(glosses.get(token, ""), add_special_tokens=False).ids
        if known := [row for row in ids if row != unknown]:
            starts[place] = rows[known].mean(0)
    return starts


def _grown(body: Body, growth: Growth, pieces: int) -> Tokenizer:
    settings = json.loads(body.tokenizer.to_str())
    vocabulary = settings["model"]["vocab"]
    vocabulary |= {character: pieces + place for place, character in enumerate(growth.characters)}
    for token in settings["added_tokens"]:
        token["id"] += len(growth.characters) if token["id"] >= pieces else 0
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.add_tokens([AddedToken(word, normalized=True) for word in growth.words])
    return tokenizer
