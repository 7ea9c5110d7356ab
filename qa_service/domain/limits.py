"""Limits: how often somebody may do something in a minute, and what is left of it. It knows no store and no HTTP."""

from dataclasses import dataclass

WINDOW_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `quota` times in any 60 seconds, for one `subject`.

    `name` says what is limited ("uid", "ip"); a subject is counted for each name by itself. Where `counts` is False it
    is only looked whether there is room.
    """

    name: str
    subject: str
    quota: int
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a limit leaves: how many times at least, and in how many seconds the next one is given back."""

    name: str
    quota: int
    left: int
    more_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether every limit had room; only then did each of them count."""

    admitted: bool
    rooms: tuple[Room, ...] = ()

    @property
    def retry_after_s(self) -> float:
        """Seconds until all limits have room again."""
        return max((room.more_in_s for room in self.rooms if not room.left), default=0.0)


UNLIMITED = Verdict(admitted=True)
