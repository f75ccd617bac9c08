"""Under a page's title: when its code last ran, for how long, and the executed notebook to take."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def _add(
    app: Sphinx,
    pagename: str,
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if doctree is None or pagename not in app.env.all_docs:
        return
    run = NbMetadataCollector.get_exec_data(cast("Any", app.env), pagename)
    if not run:
        return
    notebook = Path(app.env.mystnb_config.output_folder, f"{pagename}.ipynb")  # type: ignore[attr-defined]
    if notebook.is_file():
        copy = app.outdir / "_sources" / f"{pagename}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebook, copy)
        context["ipynb_source"] = f"{pagename}.ipynb"  # the theme's download button looks for it
    when = datetime.fromtimestamp(run["mtime"], UTC)
    line = app.builder.templates.render(
        "page-info.html",
        {
            "iso": when.isoformat(timespec="seconds"),
            "when": when.strftime("%Y-%m-%d %H:%M UTC"),
            "seconds": f"{run['runtime']:.1f}" if run["runtime"] else None,
            "notebook": context.get("ipynb_source")
            and f"{context['pathto']('_sources', 1)}/{context['ipynb_source']}",
        },
    )
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{line}", 1)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("html-page-context", _add, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
