"""How the pages are built: every cell is executed, no warning is let through, no request leaves."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "src" / "rnnreport"
RECORDED = DOCS / "recorded"
BUILD = DOCS / "_build"
ONLY = os.environ.get("RNNREPORT_ONLY", "").split()
sys.path[:0] = [str(DOCS / "_ext"), str(PACKAGE.parent)]

from rnnreport.data import assets  # noqa: E402

# -- The project -------------------------------------------------------------------------------

project = "Recurrent networks, derived and proven"
author = "the rnnreport authors"
copyright = "2026, the rnnreport authors"  # noqa: A001
release = version = installed("rnnreport")
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "accessible",
    "api_docs",
    "drawings",
    "equations",
    "execution",
    "local_mathjax",
    "page_info",
]
exclude_patterns = ["_build", "_ext", "_static", "_templates", "recorded"]
exclude_patterns += [".*", "**/.*"]  # what file managers and editors leave behind
if ONLY:
    # Some pages by themselves, for whoever works on them: links to the others lead nowhere.
    exclude_patterns += [page.name for page in DOCS.glob("*.md") if page.stem not in ONLY]
    exclude_patterns += [] if "api" in ONLY else ["api"]
    root_doc = "api/index" if ONLY[0] == "api" else ONLY[0]
    suppress_warnings = ["myst.xref_missing", "ref", "toc"]
templates_path = ["_templates"]
nitpicky = True
default_role = "py:obj"  # in docstrings, a name in single backticks is one of ours, or code

# -- Execution ---------------------------------------------------------------------------------


def execution_key() -> str:
    """Hash what all pages depend on; the extension `execution` adds the code that each uses."""
    key = hashlib.sha256()
    for path in (*sorted(PACKAGE.rglob("[!.]*.safetensors")), *sorted(RECORDED.glob("[!.]*"))):
        key.update(hashlib.sha256(path.read_bytes()).digest())
    settings = {
        "data": {name: assets.stamp(name) for name in assets.ASSETS},
        "folders": [str(folder) for folder in assets.search_folders()],
        "profile": os.environ.get("RNNREPORT_PROFILE", ""),
        "python": sys.version_info[:3],
        "versions": {name: installed(name) for name in ("matplotlib", "numpy", "torch")},
    }
    key.update(repr(settings).encode())
    return key.hexdigest()[:16]


def execution_cache() -> Path:
    """Return the folder of executed pages for the present key; keep the last few keys' folders."""
    caches = BUILD / "cells"
    cache = caches / execution_key()
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    old = sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[4:]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    # Pages are executed side by side, and two of them must not both create the database.
    database = get_cache(cache)
    database.list_cache_records()
    database.list_project_records()
    return cache


def prepare_kernels() -> None:
    """Give the kernels settings of their own: no warning of theirs, no reader's start-up files."""
    home = BUILD / "ipython"
    profile = home / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")
    os.environ["IPYTHONDIR"] = str(home)
    # The kernel is this Python, whatever kernels a reader has installed elsewhere.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH")))
    )
    os.environ.setdefault("MPLBACKEND", "Agg")
    # Pages run side by side and compute little: more threads only stand in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


prepare_kernels()
# The execution cache notes times without a zone, and reads them as local ones.
os.environ["TZ"] = "UTC"
if hasattr(time, "tzset"):
    time.tzset()

nb_execution_mode = "cache"
nb_execution_cache_path = str(execution_cache())
nb_execution_timeout = 20 * 60
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_ipywidgets_js: dict[str, Any] = {}
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

# -- Text and mathematics ----------------------------------------------------------------------

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
mathjax3_config = {
    "tex": {
        "macros": {
            # \pd{L}{h_t}, \new{\pd{L}{h_t}}, W\T, a \had b
            "pd": [r"\frac{\partial #1}{\partial #2}", 2],
            "new": [r"\left[#1\right]_{\mathrm{new}}", 1],
            "T": r"^{\mathsf{T}}",
            "had": r"\odot",
            "R": r"\mathbb{R}",
        }
    },
    # A glyph that is stored once a page is lost when an equation is cut out of it.
    "svg": {"fontCache": "local"},
    # Hundreds of formulas are no place for the tab key to stop; their text stays readable.
    "options": {"menuOptions": {"settings": {"inTabOrder": False}}},
}
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

# -- The API reference -------------------------------------------------------------------------

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
autosummary_generate = True  # the pages that docs/api/index.md lists
autosummary_context = {
    "order": {  # modules in the order in which they are to be read
        "rnnreport.layers": "_rnn _lstm _gru _projected _packed _temporal _attention _dropout"
        " _jacobians _pooling _style",
        "rnnreport.equations": "_ledger _table _entry",
        "rnnreport.check": "_api _report _known",
    }
}
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
nitpick_ignore_regex = [
    # Types of torch, NumPy and the standard library have no page here, and shapes are no types.
    (r"py:.*", r"(?!rnnreport\b).*"),
    (r"py:class", r"rnnreport\..*\.(_?[A-Z]|Data|Name)"),  # type variables
    (r"py:class", r"rnnreport\.proof\._\w+\.(Bounds|Dual|Residues)"),  # the machinery of the proof
]

# -- HTML --------------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["custom.css", "print.css"]
html_show_search_summary = False  # it would be fetched, which a page from a file may not
html_use_index = False
# The navigation is laid out anew for each page; that of the 80 pages of code took half a minute.
html_sidebars = {"_modules/**": ["navbar-logo.html", "search-button-field.html"]}
html_domain_indices = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "max_navbar_depth": 1,  # the API's packages stand on its first page
    "navbar_persistent": [],
    "pygments_dark_style": "a11y-dark",
    "pygments_light_style": "a11y-high-contrast-light",
    "show_toc_level": 2,
    "use_fullscreen_button": False,
}
copybutton_exclude = ".linenos, .gp, .go"
