"""How long the service is asked to wait, from the seconds that a call has left. It knows no call."""

_LONGEST_ANSWER_S = 3  # the service's most
_ON_THE_WAY_S = 0.25  # of the half second that the service keeps in hand, what may be lost before it is asked


def preference(left_s: float) -> dict[str, str]:
    """Give the header of a question: the placeholder comes half a second before the time that it names."""
    whole_s = min(int(left_s + _ON_THE_WAY_S), _LONGEST_ANSWER_S)
    return {"Prefer": f"wait={whole_s}" if whole_s else "respond-async"}


def poll(left_s: float, *, in_hand_s: float) -> dict[str, str]:
    """Give the parameter of a long poll that ends `in_hand_s` before its call does."""
    return {"wait": str(max(0, round(left_s - in_hand_s)))}
