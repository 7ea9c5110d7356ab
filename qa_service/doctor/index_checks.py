"""Can questions be answered: the tokeniser, the encoder and the active index. It knows no Redis."""

import numpy as np

from qa_service.doctor.finding import Finding, Level
from qa_service.domain.errors import QaError, SnapshotError
from qa_service.main import LIGHT, encoder_named, open_version, versions_of
from qa_service.retrieval.tokens import Tokeniser
from qa_service.settings import Settings

_PROBE = "怎么退货 How do I return an item?"


def check_tokeniser(settings: Settings) -> Finding:
    """Open it with the custom words of the settings, and cut a sentence."""
    name = "tokeniser"
    try:
        tokeniser = Tokeniser(settings.custom_words)
    except QaError as error:
        return Finding(name=name, level=Level.ERROR, found=error.detail, advice="mend QA_CUSTOM_WORDS")
    if not tokeniser.tokens(_PROBE):
        advice = "install the service again: its dictionary is damaged"
        return Finding(name=name, level=Level.ERROR, found="finds no word in a sentence", advice=advice)
    words = f" with the words of {settings.custom_words}" if settings.custom_words else ""
    return Finding(name=name, found=f"opens{words}")


def check_encoder(settings: Settings) -> Finding:
    """Open the encoder that the next index is built with, and encode a sentence."""
    name = "encoder"
    try:
        encoder = encoder_named(settings.encoder)
    except QaError as error:
        return Finding(name=name, level=Level.ERROR, found=error.detail, advice="mend QA_ENCODER")
    length = float(np.linalg.norm(encoder.encode([_PROBE])[0]))
    if not 0.99 < length < 1.01:
        found = f"{encoder.name} gives a vector of length {length:.3g}, not 1"
        return Finding(name=name, level=Level.ERROR, found=found, advice="choose another QA_ENCODER")
    return Finding(name=name, found=f"{encoder.name} opens, {encoder.dimension} dimensions")


def check_index(settings: Settings) -> Finding:
    """Verify the active version, open it with its encoder, and ask it its canary questions."""
    name, versions = "index", versions_of(settings)
    try:
        active = versions.active()
        if active is None:
            found = f"no version of {versions.kb} is active in {settings.indexes_dir}"
            return Finding(name=name, level=Level.ERROR, found=found, advice="qa-service index build SOURCES")
        state = next((state for state in versions.list() if state.active), None)
        if state and state.problem:
            raise SnapshotError(state.problem)  # told like any other damage
        snapshot = open_version(settings, active)
    except QaError as error:
        advice = "qa-service index rollback goes back to the version before; or build it again"
        return Finding(name=name, level=Level.ERROR, found=error.detail, advice=advice)
    if snapshot.manifest.quick and not snapshot.quick and settings.reranker == LIGHT:
        found = f"{active} has a quick look by another built-in encoder: {snapshot.encoder.name} is asked every time"
        return Finding(name=name, level=Level.WARNING, found=found, advice="qa-service index build SOURCES")
    size = f"{state.entries:,} entries, {state.bytes / 1e6:.1f} MB" if state else ""
    return Finding(name=name, found=f"{active} is whole, opens and finds its canaries ({size})")
