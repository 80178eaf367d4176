"""Coverage by exchange and product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markupsafe import Markup

from gateway.control import ProductCoverage
from runbook.web.charts.markup import element, picture, text

_WIDTH: Final = 720
_LEFT: Final = 64
_CELL_W, _CELL_H = 54, 34
_GAP: Final = 4
_ACROSS: Final = (_WIDTH - _LEFT) // _CELL_W
_SIGNS: Final = {"critical": "✕", "warning": "!", "good": "✓", "neutral": "·"}


def heat(products: Iterable[ProductCoverage], words: str) -> Markup:
    """Rows by exchange, a cell for each product: covered of wanted contracts, a sign beside the colour."""
    rows: dict[str, list[ProductCoverage]] = {}
    for product in products:
        rows.setdefault(product.exchange, []).append(product)
    parts: list[Markup] = []
    y = 0
    for exchange, found in sorted(rows.items()):
        parts.append(text(exchange, 0, y + _CELL_H / 2 + 4, class_="ink"))
        for place, product in enumerate(sorted(found, key=lambda one: one.product)):
            row, column = divmod(place, _ACROSS)
            parts += _cell(product, _LEFT + column * _CELL_W, y + row * (_CELL_H + _GAP))
        y += (1 + (len(found) - 1) // _ACROSS) * (_CELL_H + _GAP) + _GAP
    return picture(_WIDTH, max(y, 1), words, parts)


def verdict(product: ProductCoverage) -> str:
    """As the coverage card: missing is critical below 99.5 %, else a warning; stalled is a warning."""
    if not product.wanted:
        return "neutral"
    if product.missing:
        return "critical" if product.missing / product.wanted > 0.005 else "warning"  # noqa: PLR2004 - contract §4
    return "warning" if product.stalled else "good"


def _cell(product: ProductCoverage, x: int, y: int) -> list[Markup]:
    kind = verdict(product)
    covered = product.wanted - product.missing
    hint = (
        f"{product.exchange} {product.product}: {covered}/{product.wanted}, ticking {product.ticking}, "
        f"quiet {product.quiet}, stalled {product.stalled}, missing {product.missing}"
    )
    return [
        element(
            "g",
            [
                element("title", hint),
                element("rect", x=x, y=y, width=_CELL_W - _GAP, height=_CELL_H, rx=4, class_="cell"),
                element("rect", x=x, y=y + _CELL_H - 5, width=_CELL_W - _GAP, height=5, rx=2, class_=kind),
                text(
                    f"{product.product} {_SIGNS[kind]}", x + (_CELL_W - _GAP) / 2, y + 13, anchor="middle", class_="ink"
                ),
                text(f"{covered}/{product.wanted}", x + (_CELL_W - _GAP) / 2, y + 25, anchor="middle"),
            ],
        )
    ]
