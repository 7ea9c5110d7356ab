"""Server-Timing: where an answer's milliseconds went."""

from collections.abc import Mapping


def server_timing(timings_ms: Mapping[str, float]) -> str:
    """Give the header's value: each stage with its duration in milliseconds."""
    return ", ".join(f"{stage};dur={elapsed_ms:.2f}" for stage, elapsed_ms in timings_ms.items())
