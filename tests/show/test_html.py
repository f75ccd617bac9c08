"""HTML: text is escaped, what is HTML already is not."""

from __future__ import annotations

from rnnreport.show.html import Html, Markup, joined, tag


def test_text_is_escaped_and_elements_are_not() -> None:
    cell = tag("td", "a < b", tag("small", '"c" & d'), Html("<i>e</i>", "e"))
    assert cell == "<td>a &lt; b<small>&quot;c&quot; &amp; d</small><i>e</i></td>"
    assert tag("tr", cell, cell) == f"<tr>{cell}{cell}</tr>"
    assert joined("<", Markup("<br>")) == "&lt;<br>"
    assert tag("p", str(cell)).startswith("<p>&lt;td&gt;")


def test_attributes() -> None:
    image = tag("img", class_="a b", alt='"x" & y', hidden=True, src=None, draggable=False)
    assert image == '<img class="a b" alt="&quot;x&quot; &amp; y" hidden>'
    named = tag("input", name="n", value=0, aria_label="what", viewBox="0 0 1 1")
    assert named == '<input name="n" value="0" aria-label="what" viewBox="0 0 1 1">'
