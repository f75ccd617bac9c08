"""Equations whose label decides their number, and a look at them wherever they are referred to.

The label ``eq-17`` is equation (17) on every page, ``eq-T1`` is (T1) and ``eq-17b`` is (17b). Their
TeX goes into one small script, with the names of the functions that implement them. From it the
pages show an equation beside a reference to it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from docutils import nodes
from equation_code import implementations
from page_notes import PageNotes
from sphinx.application import Sphinx
from sphinx.domains.math import MathDomain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

LABEL = re.compile(r"eq-([A-Z]?\d+[a-z]?)")
SCRIPT = "equations.js"

logger = logging.getLogger(__name__)


class FixedMathDomain(MathDomain):
    """The mathematics domain, with numbers taken from the labels and not counted."""

    def note_equation(self, docname: str, labelid: str, location: Any = None) -> None:
        """Take up one labelled equation."""
        super().note_equation(docname, labelid, location)
        match = LABEL.fullmatch(labelid)
        if match is None:
            logger.warning(
                "the label of an equation must read eq-17, eq-T1 or eq-17b, got %r",
                labelid,
                location=location,
            )
        else:
            # Sphinx counts here; it only ever formats what it gets back.
            self.data["objects"][labelid] = (docname, match[1])


class Equations(PageNotes):
    """The TeX of each labelled equation: for each page, by label."""

    name = "rnnreport_equations"

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Note a page's equations."""
        labelled = [node for node in doctree.findall(nodes.math_block) if node.get("label")]
        if labelled:
            self.of(app.env)[app.env.docname] = {
                node["label"]: _tex(node.astext()) for node in labelled
            }


def _tex(text: str) -> str:
    # As Sphinx sets a display: paragraphs are lines, a line break splits.
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    parts = [rf"\begin{{split}}{part}\end{{split}}" if r"\\" in part else part for part in parts]
    if len(parts) == 1:
        return parts[0]
    return r"\begin{aligned}" + r"\\ ".join(parts) + r"\end{aligned}"


def _write(app: Sphinx, env: BuildEnvironment) -> None:
    if app.builder.format != "html":
        return
    equations = {label: tex for page in Equations.of(env).values() for label, tex in page.items()}
    entries = {
        f"equation-{label.lower()}": {
            "tex": tex,
            "code": [mention.name for mention in implementations(env, label)],
        }
        for label, tex in sorted(equations.items())
    }
    folder = app.outdir / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(
        f"window.rnnreportEquations = {json.dumps(entries, indent=0)};\n", encoding="utf-8"
    )


def _need_mathjax(
    app: Sphinx,  # noqa: ARG001
    pagename: str,  # noqa: ARG001
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Load MathJax where a page only refers to equations, or has mathematics in a cell's output."""
    if doctree is not None and re.search(r"#equation-|class=\"math", context["body"]):
        context["has_maths_elements"] = True


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.setup_extension("equation_code")
    app.add_domain(FixedMathDomain, override=True)
    app.add_env_collector(Equations)
    app.connect("env-updated", _write)
    app.connect("html-page-context", _need_mathjax, priority=400)
    for script in (SCRIPT, "equations-ui.js"):
        app.add_js_file(script, loading_method="defer")
    return {
        "version": "1",
        "env_version": 2,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
