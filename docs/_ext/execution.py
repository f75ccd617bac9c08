"""What a page's cells rest on: a page runs again when a definition changes that its cells reach.

Sphinx reads a page again when its text has changed, and the cache of executed pages knows their
cells alone. So the definitions of the package that the cells use are hashed into the page's
metadata, which the cache looks at too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path

from page_notes import PageNotes
from sphinx import builders
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import parallel
from sphinx.util.typing import ExtensionMetadata

from rnnreport.runs.definitions import definitions_of_code, hash_of

# A cell, after its options: lines that begin with a colon, or YAML between dashes.
_CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[^\n]*\n)*)(.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_KERNEL = "kernelspec:\n  name: python3\n"


def code_of(page: str) -> str:
    """Return the code of a page's cells."""
    return "\n".join(_CELL.findall(page))


def _hash(page: str) -> str:
    return hash_of(definitions_of_code(code_of(page)))


class Definitions(PageNotes):
    """For each page a hash of the definitions that its cells rest on."""

    name = "rnnreport_sources"


def _outdated(
    _app: Sphinx,
    env: BuildEnvironment,
    added: Set[str],
    changed: Set[str],
    removed: Set[str],
) -> Iterable[str]:
    """Name the pages whose cells rest on other code than when they were read."""
    hashes = Definitions.of(env)
    return [
        name
        for name in hashes.keys() - added - changed - removed
        if _hash(_text(env, name)) != hashes[name]
    ]


def _note(app: Sphinx, docname: str, content: list[str]) -> None:
    """Hash what a page's cells rest on into its metadata."""
    if _KERNEL in content[0]:
        digest = Definitions.of(app.env)[docname] = _hash(content[0])
        content[0] = content[0].replace(_KERNEL, f"{_KERNEL}  definitions: {digest}\n", 1)


def _deal(app: Sphinx) -> None:
    """Give each page that computes to whichever process is free; Sphinx would deal out tens.

    The others stay together: each process that reads API pages loads the package anew.
    """

    def chunks(names: list[str], _processes: int) -> list[list[str]]:
        computing = [name for name in names if _KERNEL in _text(app.env, name)]
        others = [name for name in names if name not in computing]
        return [*parallel.make_chunks(others, 2), *([name] for name in computing)]

    setattr(builders, "make_chunks", chunks)  # noqa: B010


def _text(env: BuildEnvironment, name: str) -> str:
    return Path(env.doc2path(name)).read_text(encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("builder-inited", _deal)
    app.connect("env-get-outdated", _outdated)
    app.add_env_collector(Definitions)
    app.connect("source-read", _note)
    return {
        "version": "1",
        "env_version": 2,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
