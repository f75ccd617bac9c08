"""Serve MathJax from the pages' own folder: one file, out of the installed wheel."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

NAME = "tex-svg-full.js"


def _source() -> Path:
    # The wheel's package has a dash in its name and cannot be imported.
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError("sphinx-mathjax-offline is not installed: there is no MathJax to copy")
    return Path(spec.origin).parent / "static" / "mathjax" / NAME


def _copy(app: Sphinx) -> None:
    if app.builder.format == "html":
        folder = app.outdir / "_static" / "mathjax"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_source(), folder / NAME)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.mathjax")
    app.config.mathjax_path = f"mathjax/{NAME}"
    # Before the pages are written, which take a checksum of it into its address.
    app.connect("builder-inited", _copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
