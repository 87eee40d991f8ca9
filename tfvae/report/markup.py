"""HTML and SVG that cannot be broken by what is put into them: text is escaped unless it was made here."""

import html
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """`<name attributes>children</name>`.

    Args:
      name: of the element.
      *children: `Markup` as it is, other text escaped; None is left out.
      **attributes: escaped; `class_` stands for `class`, `stroke_width` for `stroke-width`; None is left out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ("br", "img", "meta"):  # of HTML, which close themselves
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(*children)}</{name}>")


def join(*children: Any) -> Markup:
    """Children one after the other; None is left out."""
    return Markup("".join(_escape(child) for child in children if child is not None))


def _escape(value: Any) -> str:
    if isinstance(value, Markup):
        return value
    # A name from the command line may hold bytes that are no UTF-8, which no file could be written with.
    return html.escape(str(value).encode("utf-8", "replace").decode())
