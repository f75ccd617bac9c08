"""What a page's cells rest on: a page runs again when a definition changes that its cells reach.

Sphinx reads a page again when its text has changed, and the cache of executed pages knows their
cells alone. So the definitions of the package that the cells use are hashed into the page's
metadata, which the cache looks at too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

from rnnreport.experiments.source import definitions_of_code, hash_of

_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```", re.MULTILINE | re.DOTALL)
_KERNEL = "kernelspec:\n  name: python3\n"


def code_of(page: str) -> str:
    """Return the code of a page's cells."""
    return "\n".join(_CELL.findall(page))


def _hash(page: str) -> str:
    return hash_of(definitions_of_code(code_of(page)))


def _pages(env: BuildEnvironment) -> dict[str, str]:
    if not hasattr(env, "rnnreport_sources"):
        env.rnnreport_sources = {}  # type: ignore[attr-defined]
    found: dict[str, str] = env.rnnreport_sources  # type: ignore[attr-defined]
    return found


def _outdated(
    _app: Sphinx,
    env: BuildEnvironment,
    added: Set[str],
    changed: Set[str],
    removed: Set[str],
) -> Iterable[str]:
    """Name the pages whose cells rest on other code than when they were read."""
    known = _pages(env)
    return [
        name
        for name in known.keys() - added - changed - removed
        if _hash(Path(env.doc2path(name)).read_text(encoding="utf-8")) != known[name]
    ]


def _note(app: Sphinx, docname: str, content: list[str]) -> None:
    """Hash what a page's cells rest on into its metadata."""
    if _KERNEL in content[0]:
        known = _pages(app.env)[docname] = _hash(content[0])
        content[0] = content[0].replace(_KERNEL, f"{_KERNEL}  definitions: {known}\n", 1)


def _forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _pages(env).pop(docname, None)


def _merge(
    _app: Sphinx, env: BuildEnvironment, docnames: Set[str], other: BuildEnvironment
) -> None:
    """Take over what another process has read."""
    _pages(env).update({name: k for name, k in _pages(other).items() if name in docnames})


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("env-get-outdated", _outdated)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("source-read", _note)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
