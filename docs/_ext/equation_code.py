"""Under an equation with a number: the functions whose docstrings say that they implement it.

The API reference says "equations (13)-(31)" and links there. This is the way back, collected from
those words and nowhere written down. A function that names an equation in its first paragraph comes
before one that mentions it further down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from docutils import nodes
from page_notes import PageNotes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

LABEL = re.compile(r"eq-([A-Z]?)(\d+)")
SPAN = re.compile(r"eq-([A-Z]?)(\d+)-(\d+)")  # eq-17-28: one formula for (17) to (28)
RANGE = ("-", "–", "to")  # what stands between the ends of a range
MOST = 3


class Mention(NamedTuple):
    """A place in the API reference that names an equation."""

    first: bool
    """Whether it stands in the entry's first paragraph."""
    docname: str
    anchor: str
    name: str


class Mentions(PageNotes):
    """Which entry of the API reference names which equation: for each page, by label."""

    name = "rnnreport_mentions"

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Note what a page's entries name."""
        mentions: dict[str, list[Mention]] = {}
        for entry in doctree.findall(addnodes.desc):
            signature = entry.next_node(addnodes.desc_signature)
            content = entry.next_node(addnodes.desc_content)
            if signature is None or content is None or not signature.get("ids"):
                continue
            anchor, name = signature["ids"][0], signature["fullname"].rpartition(".")[2]
            start = next(iter(content.findall(nodes.paragraph)), None)
            for paragraph in _paragraphs(content):
                for label in _named(paragraph):
                    mention = Mention(paragraph is start, app.env.docname, anchor, name)
                    mentions.setdefault(label, []).append(mention)
        if mentions:
            self.of(app.env)[app.env.docname] = mentions


def members(label: str) -> list[str]:
    """Return the labels that ``eq-17-28`` spans; none of a label that is one equation's."""
    span = SPAN.fullmatch(label)
    if span is None:
        return []
    return [f"eq-{span[1]}{number}" for number in range(int(span[2]), int(span[3]) + 1)]


def implementations(env: BuildEnvironment, label: str) -> list[Mention]:
    """Return the entries nearest to an equation, at most `MOST`, in the order of the reference."""
    notes = Mentions.of(env)
    order = env.toctree_includes.get("api/index", [])
    mentions: list[Mention] = [
        mention
        for page in order
        for each in members(label) or [label]
        for mention in notes.get(page, {}).get(each, [])
    ]
    nearest = [m for m in mentions if m.first] or mentions
    return list({m.anchor: m for m in nearest}.values())[:MOST]


def _paragraphs(content: nodes.Element) -> Iterator[nodes.Element]:
    """Go through an entry's paragraphs, but not those of the entries inside it."""
    for child in content.children:
        if isinstance(child, nodes.paragraph):
            yield child
        elif isinstance(child, nodes.Element) and not isinstance(child, addnodes.desc):
            yield from _paragraphs(child)


def _named(paragraph: nodes.Element) -> list[str]:
    """Return the labels of all equations that a paragraph names; of a range, all it spans."""
    labels: list[str] = []
    for link in paragraph.findall(addnodes.pending_xref):
        if link.get("reftype") != "eq":
            continue
        last = link["reftarget"]
        siblings = link.parent.children
        at = siblings.index(link)
        if labels and at >= 2 and siblings[at - 1].astext().strip() in RANGE:
            labels += _after(labels[-1], last)
        else:
            labels.append(last)
    return labels


def _after(first: str, last: str) -> list[str]:
    """Return the labels after `first`, up to `last`."""
    start, end = LABEL.fullmatch(first), LABEL.fullmatch(last)
    if start is None or end is None or start[1] != end[1]:
        return [last]
    return [f"eq-{end[1]}{number}" for number in range(int(start[2]) + 1, int(end[2]) + 1)]


def _changed(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Have the pages written again whose equations are now implemented elsewhere."""
    links: dict[str, list[tuple[str, list[Mention]]]] = {}
    for label, (docname, _) in sorted(app.env.get_domain("math").data["objects"].items()):
        links.setdefault(docname, []).append((label, implementations(env, label)))
    before = getattr(env, "rnnreport_equation_code", {})
    env.rnnreport_equation_code = links  # type: ignore[attr-defined]
    return [docname for docname, those in links.items() if before.get(docname) != those]


def _add(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    equations = {
        equation["label"]: equation
        for equation in doctree.findall(nodes.math_block)
        if equation.get("label")
    }
    said: dict[str, list[Mention]] = {}  # once, under the formula that stands for them
    for label in equations:
        said |= dict.fromkeys(members(label), implementations(app.env, label))
    for label, equation in equations.items():
        mentions = implementations(app.env, label)
        if not mentions or said.get(label) == mentions:
            continue
        links = [
            make_refnode(app.builder, docname, m.docname, m.anchor, nodes.literal("", m.name))
            for m in mentions
        ]
        add_line(equation, "In code: ", links)


def add_line(equation: nodes.math_block, title: str, links: Sequence[nodes.Node]) -> None:
    """Set a line of links under an equation, above those that are there."""
    line = nodes.paragraph("", title, classes=["equation-code"])
    for count, link in enumerate(links):
        if count:
            line += nodes.Text(", ")
        line += link
    equation.parent.insert(equation.parent.index(equation) + 1, line)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_env_collector(Mentions)
    app.connect("env-updated", _changed)
    app.connect("doctree-resolved", _add)
    return {
        "version": "1",
        "env_version": 2,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
