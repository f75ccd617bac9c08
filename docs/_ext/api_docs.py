"""The API reference: a page per package with everything public in it, and links to equations.

``.. api-package:: rnnreport.layers`` in reStructuredText gives the package's docstring, a table of
its public names and their entries, in the order of the code, tuples of values last; then each of
its modules likewise, in a section of its own. A name that a package takes from one of its public
modules stands there and not twice. The option ``order`` names submodules whose content comes first.

The pages are made by autosummary, from the list in ``api/index.md`` and a template that holds this
directive.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parsing import nested_parse_to_nodes
from sphinx.util.typing import ExtensionMetadata

_NUMBER = r"\([A-Z]?\d+[a-z]?\)"
_EQUATIONS = re.compile(rf"\b[Ee]quations?\s+{_NUMBER}(?:\s*(?:[-–,]|and|to)\s*{_NUMBER})*")


class ApiPackage(SphinxDirective):
    """The directive ``api-package``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {"order": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Hand the entries to autodoc."""
        package = importlib.import_module(self.arguments[0])
        lines = _entries(package, (self.options.get("order") or "").split())
        for module in modules_of(package):
            title = module.__name__.rpartition(".")[2]
            lines += [title, "-" * len(title), "", *_entries(module, [])]
        return nested_parse_to_nodes(
            self.state, StringList(lines, source=package.__name__), offset=self.content_offset
        )


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Return the public modules of a package, but not the packages in it."""
    return [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(getattr(package, "__path__", ()))
        if not module.ispkg and not module.name.startswith("_")
    ]


def _entries(module: ModuleType, order: list[str]) -> list[str]:
    name = module.__name__
    entries = public(module, order)
    lines = [f".. automodule:: {name}", ""]
    if len(entries) > 1:
        lines += [f".. currentmodule:: {name}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {entry}" for entry in entries] + [""]
    for entry, value in entries.items():
        lines.append(f".. auto{'class' if inspect.isclass(value) else 'function'}:: {entry}")
        if inspect.isclass(value) and not _is_record(value):
            lines.append("   :members:")
        lines.append("")
    for constant in _constants(module):
        lines += [f".. autodata:: {constant}", "   :no-value:", ""]
    return lines


def public(module: ModuleType, order: Sequence[str] = ()) -> dict[str, Any]:
    """Functions and classes of ``__all__``, or what the module defines without underscore."""

    def place(item: tuple[str, Any]) -> tuple[int, str, bool, int]:
        home = item[1].__module__
        last = home.rpartition(".")[2]
        rank = order.index(last) if last in order else len(order)
        return rank, home, _is_record(item[1]), inspect.getsourcelines(item[1])[1]

    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    values = {name: getattr(module, name) for name in names}
    objects = [
        (name, value)
        for name, value in values.items()
        if (inspect.isroutine(value) or inspect.isclass(value))
        and (value.__module__ == module.__name__ or "._" in value.__module__)
    ]
    return dict(sorted(objects, key=place))


def _constants(module: ModuleType) -> list[str]:
    """Return the names of ``__all__`` that a docstring below them describes."""
    documented = {name for _, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs()}
    return [name for name in getattr(module, "__all__", []) if name in documented]


def _is_record(value: Any) -> bool:
    """Whether a class is a NamedTuple: its docstring and signature say everything."""
    return inspect.isclass(value) and issubclass(value, tuple) and hasattr(value, "_fields")


def _forget(app: Sphinx) -> None:
    """Remove pages of packages that are no longer listed."""
    folder = Path(app.srcdir, "api")
    listed = (folder / "index.md").read_text("utf-8").split()
    for page in folder.glob("*.rst"):
        if page.stem not in listed:
            page.unlink()


def _improve(
    app: Sphinx,  # noqa: ARG001
    what: str,  # noqa: ARG001
    name: str,
    obj: Any,  # noqa: ARG001
    options: Any,  # noqa: ARG001
    lines: list[str],
) -> None:
    if not name.startswith("rnnreport"):
        return
    # "equations (1)-(5)" becomes links; in the code it stays easy to read.
    text = _EQUATIONS.sub(
        lambda match: re.sub(r"\((\w+)\)", r":eq:`eq-\1`", match[0]), "\n".join(lines)
    )
    # In a type like "Tensor, shape (T, N, D)" the letters are no names to look up.
    text = re.sub(r"^(:type \w+:) (.*\bshape\b.*)$", r"\1 *\2*", text, flags=re.MULTILINE)
    lines[:] = text.split("\n")


def _own_code_only(_app: Sphinx, env: BuildEnvironment) -> None:
    """Keep viewcode from listing modules of Python that it takes our cached properties for."""
    modules: dict[str, Any] = getattr(env, "_viewcode_modules", {})
    for name in [name for name in modules if not name.startswith("rnnreport")]:
        del modules[name]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_directive("api-package", ApiPackage)
    app.connect("builder-inited", _forget, priority=400)  # before autosummary looks at them
    # After napoleon has turned the sections into fields.
    app.connect("autodoc-process-docstring", _improve, priority=600)
    app.connect("env-updated", _own_code_only)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
