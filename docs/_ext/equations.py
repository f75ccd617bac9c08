"""Equations whose label decides their number, and a look at them wherever they are referred to.

The label ``eq-17`` is equation (17) on every page, ``eq-T1`` is (T1) and ``eq-17b`` is (17b). The
label ``eq-17-28`` is one formula that stands for (17) to (28). What is referred to by one of these
numbers is the equation on the same page that has its label, written out, or else the formula. Their
TeX goes into one small script, with the names of the functions that implement them. From it the
pages show an equation beside a reference to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar, cast

from docutils import nodes
from equation_code import add_line, implementations, members
from page_notes import PageNotes
from sphinx.application import Sphinx
from sphinx.domains import ObjType
from sphinx.domains.math import MathDomain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

LABEL = re.compile(r"eq-([A-Z]?\d+[a-z]?)")
SCRIPT = "equations.js"

logger = logging.getLogger(__name__)


class FixedMathDomain(MathDomain):
    """The mathematics domain, with numbers taken from the labels and not counted."""

    def note_equation(self, docname: str, labelid: str, location: Any = None) -> None:
        """Take up one labelled equation."""
        super().note_equation(docname, labelid, location)
        span = members(labelid) or [labelid]
        ends = [LABEL.fullmatch(label) for label in dict.fromkeys((span[0], span[-1]))]
        if None in ends:
            logger.warning(
                "the label of an equation must read eq-17, eq-T1, eq-17b or eq-17-28, got %r",
                labelid,
                location=location,
            )
        else:
            # Sphinx counts here; it only ever formats what it gets back, between parentheses.
            number = ")–(".join(end[1] for end in ends if end)
            self.data["objects"][labelid] = (docname, number)

    object_types: ClassVar = {"equation": ObjType("equation")}

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Name the equations to the search, which finds (33) by its number."""
        for label, (docname, number) in self.data["objects"].items():
            if LABEL.fullmatch(label):
                name = f"({number})"
                yield name, name, "equation", docname, _anchor(label), 1


class Equations(PageNotes):
    """The TeX of each labelled equation: for each page, by label."""

    name = "rnnreport_equations"

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Note a page's equations, and find a place for the numbers that a formula stands for."""
        equations = _equations(doctree)
        tex = {label: _tex(equation.astext()) for label, equation in equations.items()}
        for label, equation in equations.items():
            for alias in members(label):
                if alias not in equations:
                    domain = app.env.get_domain("math")
                    cast("MathDomain", domain).note_equation(app.env.docname, alias, equation)
                    equation["ids"].append(_anchor(alias))
                    tex[alias] = tex[label]
        if tex:
            self.of(app.env)[app.env.docname] = tex


def _equations(doctree: nodes.document) -> dict[str, nodes.math_block]:
    return {
        equation["label"]: equation
        for equation in doctree.findall(nodes.math_block)
        if equation.get("label")
    }


def _anchor(label: str) -> str:
    return str(nodes.make_id(f"equation-{label}"))


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
        _anchor(label): {
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


def _add_numbers(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Under a formula that stands for several, link to each of them that is written out."""
    equations = _equations(doctree)
    for label, equation in equations.items():
        links = [
            make_refnode(app.builder, docname, docname, _anchor(each), nodes.Text(f"({each[3:]})"))
            for each in members(label)
            if each in equations
        ]
        if links:
            add_line(equation, "One by one: ", links)


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
    app.connect("doctree-resolved", _add_numbers)
    app.connect("html-page-context", _need_mathjax, priority=400)
    for script in (SCRIPT, "equations-ui.js"):
        app.add_js_file(script, loading_method="defer")
    return {
        "version": "1",
        "env_version": 3,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
