"""Tokens per second as bars: one group for each number of clients, one bar for each server."""

from html import escape

from tools.bench_inference.result import Sides

COLOURS = ("#1f6feb", "#79b8ff", "#d97706", "#8b949e", "#2da44e")
"""Ours first, in blue; told apart without colours by their order and the figure above each bar."""
WIDTH, HEIGHT = 760, 380
_LEFT, _TOP, _BOTTOM = 20, 84, 40
_FONT = 'font-family="sans-serif" font-size="13"'


def draw(title: str, sides: Sides) -> str:
    """Draw it as SVG, on a white ground so that it can be read on a dark page too."""
    most = max(sides.tokens_per_s(name, clients) for (name, clients), found in sides.samples.items() if found)
    groups = sides.clients
    width = (WIDTH - 2 * _LEFT) / len(groups)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="26" {_FONT} font-weight="bold" fill="#1f2328">{escape(title)}</text>',
        *_legend(sides.names),
    ]
    for number, clients in enumerate(groups):
        parts += _group(sides, clients, most, _LEFT + number * width, width)
    base = HEIGHT - _BOTTOM
    parts.append(f'<line x1="{_LEFT}" y1="{base}" x2="{WIDTH - _LEFT}" y2="{base}" stroke="#8b949e"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: list[str]) -> list[str]:
    parts, x = [], float(_LEFT)
    for name, colour in zip(names, COLOURS, strict=False):
        parts.append(f'<rect x="{x:.0f}" y="44" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18:.0f}" y="55" {_FONT} fill="#1f2328">{escape(name)}</text>')
        x += 18 + 7.5 * len(name) + 20
    return parts


def _group(sides: Sides, clients: int, most: float, left: float, width: float) -> list[str]:
    names = [name for name in sides.names if sides.samples.get((name, clients))]
    bar = width * 0.8 / max(len(names), 1)
    base, parts = HEIGHT - _BOTTOM, []
    for number, name in enumerate(names):
        figure = sides.tokens_per_s(name, clients)
        height = (base - _TOP) * figure / most
        x, y = left + width * 0.1 + number * bar, base - height
        colour = COLOURS[sides.names.index(name) % len(COLOURS)]
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{bar - 4:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )
        parts.append(
            f'<text x="{x + bar / 2:.1f}" y="{y - 5:.1f}" {_FONT} text-anchor="middle" fill="#1f2328">'
            f"{figure:.0f}</text>"
        )
    parts.append(
        f'<text x="{left + width / 2:.1f}" y="{HEIGHT - 15}" {_FONT} text-anchor="middle" fill="#1f2328">'
        f"{clients} at once</text>"
    )
    return parts
