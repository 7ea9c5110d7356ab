"""Which file of words lies beside the knowledge. It knows no such file's content."""

from collections.abc import Sequence
from pathlib import Path

from qa_service.domain.errors import KnowledgeError


def word_file(sources: Sequence[Path], name: str) -> Path | None:
    """Give the file of that name in a source folder itself (not in a folder below); None when there is none.

    Raises:
        KnowledgeError: two source folders hold one.
    """
    found = {path.resolve(): path for source in sources if (path := source / name).is_file()}
    if len(found) > 1:
        one, other, *_ = found.values()
        raise KnowledgeError(f"{one} and {other}: one {name} is expected for a knowledge base; join them into one file")
    return next(iter(found.values()), None)
