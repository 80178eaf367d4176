"""Elements of SVG as text. Every value is escaped, so that names of contracts and lines may be anything."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, content: Iterable[Markup] | str = (), /, **attributes: object) -> Markup:
    """``element("rect", x=1, class_="good")``; ``_`` at the end of a name falls away, others become ``-``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = escape(content) if isinstance(content, str) else Markup().join(content)
    return Markup(f"<{name}{written}>{inner}</{name}>")  # noqa: S704 - every part was escaped above


def picture(width: int, height: int, words: str, parts: Iterable[Markup]) -> Markup:
    """The whole drawing; ``words`` say what it shows."""
    inner = [element("title", words), *parts]
    return element("svg", inner, class_="chart", viewBox=f"0 0 {width} {height}", role="img", aria_label=words)


def text(words: str, x: float, y: float, *, anchor: str = "start", class_: str | None = None) -> Markup:
    """Words at a place."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def _short(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
