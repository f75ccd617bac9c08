"""Drawings: an SVG of our own, put into the page so that its style sheet colours it.

    ```{drawing} rnn-cell
    :alt: What it shows, for readers who do not see it.
    :name: rnn-cell

    The caption.
    ```

The file is ``docs/drawings/rnn-cell.svg``; where there is ``rnn-cell.narrow.svg`` too, phones show
that one. A file needs no colours, no arrow heads and no fonts. What it may use:

``class="box"``, ``"line"``, ``"arrow"``, each with ``"backward"`` for what belongs to the backward
pass or ``"faint"`` for what only continues. A path or line of the class ``arrow`` gets a head at
its end; its path is written with absolute M, L, C and Q.

``<text x="40" y="20">the state $h_{t-1}$</text>`` is centred at that point, with mathematics
between dollars: ``_`` and ``^`` with one letter or braces, ``\\tanh`` for upright words,
``\\delta`` for Greek ones, ``\\tilde c``. More classes of a text: ``small``, ``muted``,
``backward``, ``over`` for text over a line, ``start`` and ``end`` for where the point is.

``<g data-equation="5">`` belongs to equation (5), or to several with a space between: pointing at
one lights the other. ``<a href="#equation-eq-5"><text …>(5)</text></a>`` is a link to an equation,
on whichever page it stands.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

FOLDER = "drawings"
SVG = "http://www.w3.org/2000/svg"
LABEL = re.compile(r"#equation-eq-([\w-]+)")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TOKEN = re.compile(r"\\([a-zA-Z]+) ?|([_^])|([{}])|(.)")
LETTERS = {
    "alpha": "α", "beta": "β", "delta": "δ", "lambda": "λ", "phi": "φ", "sigma": "σ", "theta": "θ",
    "odot": "⊙", "cdot": "·", "partial": "∂", "sum": "Σ",
}  # fmt: skip
HEAD = (10, 4)  # length and half the width of an arrow's head
SCRIPT = 0.74  # size of an index
DOWN, UP = 0.24, -0.4  # where indices stand, in sizes of the letter that they are at

ET.register_namespace("", SVG)
logger = logging.getLogger(__name__)


class drawing(nodes.General, nodes.Element):  # type: ignore[misc]
    """A drawing; its child is what stands in for it where it cannot be shown."""


class Drawing(SphinxDirective):
    """The directive."""

    required_arguments = 1
    has_content = True
    option_spec = {  # noqa: RUF012
        "alt": directives.unchanged_required,
        "name": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        [name] = self.arguments
        alt = " ".join(self.options.get("alt", "").split())
        if not alt:
            raise self.error(f"the drawing {name} needs :alt:, a text that says what it shows")
        wide, narrow = (
            Path(self.env.srcdir, FOLDER, f"{name}{kind}.svg") for kind in ("", ".narrow")
        )
        if not wide.is_file():
            raise self.error(f"there is no drawing {FOLDER}/{wide.name}")
        files = [path for path in (wide, narrow) if path.is_file()]
        node = drawing("", nodes.paragraph("", alt), alt=alt, drawings=[])
        for path in files:
            self.env.note_dependency(str(path))
            try:
                root = finished(path.read_text(encoding="utf-8"))
            except (ET.ParseError, ValueError) as error:
                raise self.error(f"{FOLDER}/{path.name}: {error}") from error
            prefix = f"drawing-{self.env.new_serialno('drawing')}"
            node["drawings"].append(ET.tostring(_with_ids(root, prefix), encoding="unicode"))
        figure = nodes.figure("", node, classes=["drawing"])
        self.set_source_info(figure)
        caption = self.parse_content_to_nodes()
        if len(caption) != 1 or not isinstance(caption[0], nodes.paragraph):
            raise self.error(f"the drawing {name} needs a caption, of one paragraph")
        figure += nodes.caption("", "", *caption[0].children)
        self.add_name(figure)
        return [figure]


def finished(text: str) -> ET.Element:
    """Set the mathematics of a drawing, and give its arrows heads.

    Raises
    ------
    ValueError
        If an arrow or a formula cannot be read, or there is no ``viewBox``.
    """
    root = ET.fromstring(text)  # noqa: S314
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    box = NUMBER.findall(root.get("viewBox", ""))
    if len(box) != 4:
        raise ValueError("it needs a viewBox")
    root.set("width", box[2])  # a unit is a pixel, where there is room
    root.set("height", box[3])
    for element in root.iter():
        if element.tag == "text":
            if "dy" not in element.attrib:
                element.set("dy", "0.34em")
            _set_text(element)
        elif element.tag == "a" and (label := LABEL.search(element.get("href", ""))):
            numbers = label[1].upper().replace("-", ")–(")
            element.set("aria-label", f"equation ({numbers})")
            element.set("data-equation", element.get("data-equation", label[1].upper()))
    _hide(root)
    for parent in list(root.iter()):
        for place, element in reversed(list(enumerate(parent))):
            if "arrow" in element.get("class", "").split():
                parent[place : place + 1] = list(_arrow(element))
    return root


def _hide(element: ET.Element) -> None:
    """Hide text that is no link from readers who listen: they have the alternative text."""
    for child in element:
        if child.tag == "text":
            child.set("aria-hidden", "true")
        elif child.tag != "a":
            _hide(child)


def _arrow(element: ET.Element) -> Iterator[ET.Element]:
    """Yield an arrow's line, its head, and a broad line that nobody sees, to point at."""
    if element.tag == "line":
        ends = " ".join(element.attrib.pop(key, "0") for key in ("x1", "y1", "x2", "y2"))
        x1, y1, x2, y2 = ends.split()
        element.tag = "path"
        element.set("d", f"M{x1} {y1}L{x2} {y2}")
    way = element.get("d", "")
    if element.tag != "path" or re.search(r"[^MLCQ\d\s.,-]", way):
        raise ValueError(f"an arrow must be a line, or a path of absolute M, L, C, Q, got {way!r}")
    numbers = list(NUMBER.finditer(way))
    points = [float(number[0]) for number in numbers]
    if len(points) < 4 or points[-4:-2] == points[-2:]:
        raise ValueError(f"an arrow must have two ends, got {way!r}")
    x, y = points[-2:]
    dx, dy = x - points[-4], y - points[-3]
    dx, dy = dx / math.hypot(dx, dy), dy / math.hypot(dx, dy)
    length, half = HEAD
    corners = (
        (x, y),
        (x - length * dx - half * dy, y - length * dy + half * dx),
        (x - length * dx + half * dy, y - length * dy - half * dx),
    )
    kind = element.get("class", "")
    reach = ET.Element("path", {"class": "reach", "d": way})
    # The line ends inside the head, or its blunt end would stick out at the tip.
    end = f"{x - 0.6 * length * dx:.2f} {y - 0.6 * length * dy:.2f}"
    element.set("d", way[: numbers[-2].start()] + end)
    drawn = " ".join(f"{a:.2f},{b:.2f}" for a, b in corners)
    head = ET.Element("polygon", {"class": kind.replace("arrow", "head"), "points": drawn})
    reach.tail, element.tail, head.tail = None, None, element.tail
    yield from (element, head, reach)


# -- Mathematics ---------------------------------------------------------------------------------


def _set_text(element: ET.Element) -> None:
    """Set what stands between dollars in an element, and in the lines in it."""
    for child in list(element):
        _set_text(child)
        spans = _spans(child.tail or "")
        child.tail = None
        if spans:
            at = list(element).index(child) + 1
            element[at:at] = spans
    spans = _spans(element.text or "")
    if spans:
        element.text = None
        element[:0] = spans


def _spans(text: str) -> list[ET.Element]:
    """Return a text as elements, one for each change of letters or height."""
    parts = text.split("$")
    if len(parts) % 2 == 0:
        raise ValueError(f"a dollar is missing in {text!r}")
    runs: list[tuple[str, str, float]] = []
    for place, part in enumerate(parts):
        runs += _runs(part) if place % 2 else [(part, "", 0.0)]
    spans: list[ET.Element] = []
    height = 0.0
    above, width = 0.0, 0.0  # how wide two indices of one letter are: a browser alone knows exactly
    for letters, kind, shift in runs:
        if not letters:
            continue
        size = SCRIPT if shift else 1.0
        span = ET.Element("tspan", {"class": f"{kind} script".strip() if shift else kind})
        span.text = letters
        if shift != height:
            span.set("dy", f"{(shift - height) / size:.3f}em")
        if shift and height and shift != height:  # the second stands at the first one's place
            span.set("dx", f"{-width:.2f}em")
            above, width = width, 0.0
        elif not shift:
            if above > width:
                span.set("dx", f"{SCRIPT * (above - width):.2f}em")
            above, width = 0.0, 0.0
        height = shift
        width += sum(0.36 if letter in "fijlrt" else 0.58 for letter in letters) if shift else 0.0
        spans.append(span)
    return spans


def _runs(tex: str) -> Iterator[tuple[str, str, float]]:
    """Split a formula into letters, their kind (italic or upright) and how far they are shifted."""
    shift, braces, accent = 0.0, False, ""
    last: tuple[str, str, float] = ("", "", 0.0)
    for word, index, brace, sign in TOKEN.findall(tex):
        if index:
            shift = DOWN if index == "_" else UP
            continue
        if brace:
            braces = brace == "{"
            shift = shift if braces else 0.0
            continue
        if word == "tilde":
            accent = "\u0303"
            continue
        letters = LETTERS.get(word, word) or sign.replace("-", "−")
        kind = "italic" if len(letters) == 1 and letters.isalpha() else "upright"
        run = (letters + accent, kind, shift)
        if last[1:] == run[1:]:
            last = (last[0] + run[0], *run[1:])
        else:
            yield last
            last = run
        accent = ""
        if not braces:
            shift = 0.0
    if braces or shift:
        raise ValueError(f"an index is missing in ${tex}$")
    yield last


def _with_ids(root: ET.Element, prefix: str) -> ET.Element:
    """Make the ids of a drawing its own, so that a page may hold several."""
    ids = {element.get("id") for element in root.iter()} - {None}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key == "href" and value[1:] in ids:
                element.set(key, f"#{prefix}-{value[1:]}")
            else:
                element.set(key, re.sub(r"url\(#", f"url(#{prefix}-", value))
    return root


# -- HTML ----------------------------------------------------------------------------------------


def _visit(self: Any, node: drawing) -> None:
    kinds = ("wide", "narrow") if len(node["drawings"]) > 1 else ("",)
    for kind, text in zip(kinds, node["drawings"], strict=True):
        root = ET.fromstring(text)  # noqa: S314
        linked = _aim(self, node, root)
        root.set("xmlns", SVG)
        # What is an image has no links in it, for readers who listen.
        root.set("role", "group" if linked else "img")
        root.set("aria-label", node["alt"])
        root.set("class", kind)
        self.body.append(ET.tostring(root, encoding="unicode"))
    raise nodes.SkipNode


def _aim(self: Any, node: drawing, root: ET.Element) -> bool:
    """Lead the links of a drawing to their equations; return whether there are any."""
    equations = self.builder.env.get_domain("math").data["objects"]
    page = self.builder.current_docname
    numbers = {n for e in root.iter() for n in e.get("data-equation", "").split()}
    for number in sorted(numbers):
        if f"eq-{number}" not in equations:
            logger.warning(
                "a drawing names the equation (%s), which is not there",
                number,
                location=node.parent,
                type="ref",
                subtype="equation",
            )
    linked = False
    for link in root.iter("a"):
        label = LABEL.search(link.get("href", ""))
        if label is None:
            continue
        there = equations.get(f"eq-{label[1]}") or equations.get(f"eq-{label[1].upper()}")
        if there is None:
            del link.attrib["href"]  # no page has it where some are built by themselves
            continue
        linked = True
        uri = "" if there[0] == page else self.builder.get_relative_uri(page, there[0])
        link.set("href", f"{uri}#equation-eq-{label[1].lower()}")  # an id has no capitals
    return linked


def _pass(self: Any, node: drawing) -> None:
    """Show the alternative text, which is the node's child."""


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    others = dict.fromkeys(("latex", "man", "texinfo", "text"), (_pass, _pass))
    app.add_node(drawing, html=(_visit, None), **others)  # type: ignore[arg-type]
    app.add_directive("drawing", Drawing)
    app.add_css_file("drawings.css")
    app.add_js_file("drawings.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
