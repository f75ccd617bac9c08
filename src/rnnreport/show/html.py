"""HTML for the pages: tags that escape what they hold, and pieces that show themselves."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

__all__ = ["Html", "Markup", "joined", "tag"]

_EMPTY = ("img", "input", "link")  # elements without an end tag


class Markup(str):
    """Text that is HTML already; any other string is escaped where it stands in a tag."""

    __slots__ = ()


@dataclass(frozen=True, repr=False)
class Html:
    """A piece of a page that shows itself; `label` is what it says in plain text."""

    html: str
    label: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"


def joined(*content: str | Html) -> Markup:
    """Join pieces of HTML and text, which is escaped.

    Parameters
    ----------
    *content
        Markup and Html as they are, any other string as text.
    """
    return Markup("".join(map(_escaped, content)))


def tag(name: str, /, *content: str | Html, **attributes: object) -> Markup:
    """Write an element.

    Parameters
    ----------
    name
        Of the element.
    *content
        As :func:`joined` takes it.
    **attributes
        ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``. One that is ``True`` has
        no value, one that is ``False`` or ``None`` is left out.
    """
    start = [name]
    for key, value in attributes.items():
        attribute = key.removesuffix("_").replace("_", "-")
        if value is True:
            start.append(attribute)
        elif value is not None and value is not False:
            start.append(f'{attribute}="{html.escape(str(value))}"')
    end = "" if name in _EMPTY else f"</{name}>"
    return Markup(f"<{' '.join(start)}>{joined(*content)}{end}")


def _escaped(content: str | Html) -> str:
    """Write text as HTML; a number and its per cent stay in one line."""
    if isinstance(content, Html):
        return content.html
    if isinstance(content, Markup):
        return content
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", html.escape(content))
