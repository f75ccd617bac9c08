"""Small repairs of the HTML: for readers who hear the page, and for those with a narrow one."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

REPAIRS = (
    # A folded cell's summary has a text of its own, and needs no other name.
    ('<summary aria-label="Toggle hidden content">', "<summary>"),
    # The role "list" wants list items for children; entries of a bibliography stand by themselves.
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
    (' role="doc-biblioentry"', ""),
)
# A browser may begin a line with the comma after a formula, which it takes for a picture.
FORMULA = re.compile(r'(<span class="math notranslate nohighlight">[^<]*</span>[,.;:!?)]+)')


def _repair(
    app: Sphinx,  # noqa: ARG001
    pagename: str,  # noqa: ARG001
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if doctree is not None:
        for old, new in REPAIRS:
            context["body"] = context["body"].replace(old, new)
        context["body"] = FORMULA.sub(r'<span class="unbroken">\1</span>', context["body"])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("html-page-context", _repair)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
