"""Two plots as SVG text: recall@1 by set and system, and the risk of answering against the share answered."""

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks._quality_metrics import RiskPoint

# Okabe and Ito's palette, told apart by the colour-blind too, and two greys.
_COLOURS = [
    "#999999",
    "#555555",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#56b4e9",
    "#cc79a7",
    "#e69f00",
    "#000000",
    "#f0e442",
]
_LEFT, _TOP, _WIDTH, _ROW = 190, 50, 520, 28
_LEGEND = 150
_RISK_HEIGHT = 300
_SPREAD = 14  # systems lie a little above each other, so that equal ones are all seen


def draw_recalls(recalls: Mapping[str, Mapping[str, float]], systems: Sequence[str]) -> str:
    """Draw one row a set and one dot a system; `recalls` are 0 to 1."""
    height = _ROW * len(recalls)
    parts = _frame(height, "recall@1")
    for place, (name, of_systems) in enumerate(recalls.items()):
        y = _TOP + _ROW * (place + 0.5)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<path d="M{_LEFT} {y:.0f}h{_WIDTH}" stroke="#eee"/>')
        for number, system in enumerate(systems):
            if system in of_systems:
                x, above = _LEFT + _WIDTH * of_systems[system], _SPREAD * ((number + 0.5) / len(systems) - 0.5)
                parts.append(_dot(x, y + above, _colour(systems, system), f"{system} {of_systems[system]:.3f}"))
    shown = [system for system in systems if any(system in of_systems for of_systems in recalls.values())]
    return _drawing([*parts, *_legend(systems, shown)], max(height, _ROW * len(shown)))


def draw_risk(curves: Mapping[str, Sequence[RiskPoint]], systems: Sequence[str], name: str) -> str:
    """Draw the share of wrong answers over the share of in-scope questions answered; 5 % is marked.

    `systems` give the colours, as in the other plot; those without a curve are left out.
    """
    parts = _frame(_RISK_HEIGHT, f"{name}: share of in-scope questions answered")
    for tick in range(6):
        risk = tick / 5
        parts.append(f'<text x="{_LEFT - 8}" y="{_risk_y(risk) + 4:.0f}" text-anchor="end">{risk:.1f}</text>')
    parts.append(f'<text x="{_LEFT - 60}" y="{_TOP - 20}" text-anchor="middle">share of answers wrong</text>')
    parts.append(f'<path d="M{_LEFT} {_risk_y(0.05):.0f}h{_WIDTH}" stroke="#c00" stroke-dasharray="4"/>')
    for system, curve in curves.items():
        dots = " ".join(f"{_LEFT + _WIDTH * one.coverage:.1f},{_risk_y(1 - one.precision):.1f}" for one in curve)
        look = f'fill="none" stroke="{_colour(systems, system)}" stroke-width="2"'
        parts.append(f'<polyline points="{dots}" {look}><title>{escape(system)}</title></polyline>')
    return _drawing([*parts, *_legend(systems, list(curves))], _RISK_HEIGHT)


def _risk_y(risk: float) -> float:
    return _TOP + _RISK_HEIGHT * (1 - risk)


def _frame(height: int, title: str) -> list[str]:
    """Draw the axes, 0 to 1 across, and what is across."""
    parts = [f'<path d="M{_LEFT} {_TOP}v{height}h{_WIDTH}" fill="none" stroke="#333"/>']
    parts.append(f'<text x="{_LEFT + _WIDTH / 2:.0f}" y="{_TOP - 20}" text-anchor="middle">{escape(title)}</text>')
    for tick in range(6):
        x = _LEFT + _WIDTH * tick / 5
        parts.append(f'<text x="{x:.0f}" y="{_TOP + height + 18}" text-anchor="middle">{tick / 5:.1f}</text>')
    return parts


def _legend(systems: Sequence[str], shown: Sequence[str]) -> list[str]:
    x = _LEFT + _WIDTH + 24
    parts = []
    for place, system in enumerate(shown):
        y = _TOP + 12 + _ROW * place
        parts.append(_dot(x, y, _colour(systems, system), system))
        parts.append(f'<text x="{x + 12}" y="{y + 4}">{escape(system)}</text>')
    return parts


def _dot(x: float, y: float, colour: str, title: str) -> str:
    told = f"<title>{escape(title)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.85">{told}</circle>'


def _colour(systems: Sequence[str], system: str) -> str:
    return _COLOURS[systems.index(system) % len(_COLOURS)]


def _drawing(parts: Sequence[str], height: int) -> str:
    width, tall = _LEFT + _WIDTH + _LEGEND, _TOP + height + 40
    shape = f'viewBox="0 0 {width} {tall}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {shape}>'
    return "\n".join([head, f'<rect width="{width}" height="{tall}" fill="#fff"/>', *parts, "</svg>"]) + "\n"
