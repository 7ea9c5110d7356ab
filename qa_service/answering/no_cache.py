"""The answer cache of somebody who measures answering itself: it keeps nothing."""

from collections.abc import Sequence

from qa_service.domain.answer import Answer


class NoCache:
    """Misses always."""

    async def get_many(self, asked: Sequence[tuple[str, str]]) -> list[Answer | None]:
        """Miss."""
        return [None] * len(asked)

    async def put_many(self, kept: Sequence[tuple[str, str, Answer]]) -> None:
        """Forget."""
