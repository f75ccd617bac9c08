"""The definitions of this package that decide a result: those that its experiment reaches.

The code is read, not executed. From a function on, every name is followed to the definition that
it stands for, through imports and into other modules, and on from there. Whatever is not reached
may change without touching the result. Comments, formatting and docstrings do not count at all.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple

__all__ = ["code_fingerprint", "definitions", "definitions_of_code", "hash_of"]

_PACKAGE = "rnnreport"
_ROOT = Path(__file__).parents[1]

# They move results about, and show how far a run is; what a result holds, they do not decide.
# Which files an experiment runs on stands in the fingerprint of its data.
_PLUMBING = frozenset(
    f"{_PACKAGE}.{name}"
    for name in (
        "_files",
        "data.assets",
        "progress",
        "runs.checkpoints",
        "runs.definitions",
        "runs.engine",
        "runs.store",
    )
)
_ALL = "*"


def definitions(module: str, name: str = _ALL) -> dict[str, str]:
    """Find what a definition of this package rests on, itself included.

    Parameters
    ----------
    module
        The full name of a module of this package.
    name
        What is defined there; all of the module if not given.

    Returns
    -------
    dict of str to str
        For each definition, named ``module:name``, a hash of what it says; sorted. What stands in
        a module outside any definition is its ``module:``.

    Raises
    ------
    ValueError
        If there is no such module, or no such definition in it.
    """
    _look_again()
    if _path_of(module) is None:
        raise ValueError(f"module must be a module of {_PACKAGE}, got {module!r}")
    parsed = _module(module)
    if name not in (_ALL, *parsed.names, *parsed.imports):
        raise ValueError(f"name must be defined in {module}, got {name!r}")
    return dict(_definitions(module, name))


def definitions_of_code(code: str) -> dict[str, str]:
    """Find what some lines of Python use of this package, all of it.

    Parameters
    ----------
    code
        The lines, such as those of a page's cells.

    Returns
    -------
    dict of str to str
        As from :func:`definitions`.

    Raises
    ------
    SyntaxError
        If it is not Python.
    """
    _look_again()
    tree = ast.parse(code)
    imports = dict(_imported(ast.walk(tree), package=""))
    return _reached(_references(tree, imports, frozenset()), left_out=frozenset())


def code_fingerprint(module: str, name: str = _ALL) -> str:
    """Return a hash of what a definition does, with all that it rests on.

    Parameters
    ----------
    module, name
        As :func:`definitions` takes them.

    Raises
    ------
    ValueError
        If there is no such module, or no such definition in it.
    """
    return hash_of(definitions(module, name))


def hash_of(parts: object) -> str:
    """Hash something that JSON can hold.

    Parameters
    ----------
    parts
        What; the order of a dictionary's names does not count.

    Returns
    -------
    str
        The SHA-256 in hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _look_again() -> None:
    """Forget the code that was read, if it has changed since."""
    state = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py")):
        state.update(hashlib.sha256(str(path).encode() + path.read_bytes()).digest())
    if [state.digest()] != _SEEN:
        for cached in (_definitions, _path_of, _module, _uses_of):
            cached.cache_clear()
        _SEEN[:] = [state.digest()]


_SEEN: list[bytes] = []  # a hash of the code that is remembered


class _Target(NamedTuple):
    """Something that a name may stand for: a definition in a module, or all of the module."""

    module: str
    name: str


class _Module(NamedTuple):
    """The code of a module, taken apart."""

    names: Mapping[str, tuple[ast.stmt, ...]]  # the statements that give each name its value
    imports: Mapping[str, _Target]
    bare: tuple[ast.stmt, ...]  # statements that define nothing, and are executed all the same


@functools.cache
def _definitions(module: str, name: str) -> Mapping[str, str]:
    return _reached([(module, name)], left_out=_PLUMBING)


def _reached(roots: Iterable[tuple[str, str]], left_out: Set[str]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    pending = [_Target(*root) for root in roots]
    seen: set[_Target] = set()
    while pending:
        target = pending.pop()
        if target in seen:
            continue
        seen.add(target)
        for module, name in _resolved(target):
            if module in left_out:
                continue
            parsed = _module(module)
            if f"{module}:" not in hashes:
                hashes[f"{module}:"] = _meaning(parsed.bare)
                pending += _uses(module, parsed.bare)
            if name == _ALL:
                pending += [_Target(module, each) for each in (*parsed.names, *parsed.imports)]
            elif name in parsed.names:
                statements = parsed.names[name]
                hashes[f"{module}:{name}"] = _meaning(statements)
                pending += _uses(module, statements)
            elif name in parsed.imports:
                pending.append(parsed.imports[name])
            elif not name.startswith("__"):  # __name__ and the like belong to every module
                pending.append(_Target(module, _ALL))
    return dict(sorted(hashes.items()))


def _resolved(target: _Target) -> Iterator[_Target]:
    """Yield what a target is: a definition, or a module if the name is that of one."""
    module, name = target
    if _path_of(module) is None:
        return
    submodule = f"{module}.{name}"
    if name != _ALL and name not in _module(module).names and _path_of(submodule) is not None:
        yield _Target(submodule, _ALL)
    else:
        yield target


def _uses(module: str, statements: Iterable[ast.stmt]) -> list[_Target]:
    """Return what some statements of a module refer to."""
    targets = [target for statement in statements for target in _uses_of(module, statement)]
    return [target if target.module else _Target(module, target.name) for target in targets]


@functools.cache
def _uses_of(module: str, statement: ast.stmt) -> tuple[_Target, ...]:
    package = module if _is_package(module) else module.rpartition(".")[0]
    parsed = _module(module)
    local = dict(_imported(ast.walk(statement), package))
    own = frozenset(parsed.names)
    return tuple(dict.fromkeys(_references(statement, {**parsed.imports, **local}, own)))


def _references(
    node: ast.AST, imports: Mapping[str, _Target], own: frozenset[str]
) -> Iterator[_Target]:
    """Yield what the names below a node stand for; a module's own have no module yet."""
    if isinstance(node, ast.Attribute):
        chain: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            chain.append(base.attr)
            base = base.value
        if isinstance(base, ast.Name) and base.id in imports:
            yield _member(imports[base.id], chain[::-1])
            return
    if isinstance(node, ast.Name):
        if node.id in imports:
            yield imports[node.id]
        elif node.id in own:
            yield _Target("", node.id)
    for child in ast.iter_child_nodes(node):
        yield from _references(child, imports, own)


def _member(target: _Target, chain: list[str]) -> _Target:
    """Follow the attributes of a module as far as they lead to a definition."""
    for attribute in chain:
        module, name = target
        inner = module if name == _ALL else f"{module}.{name}"
        if _path_of(inner) is None or (name != _ALL and name in _module(module).names):
            break
        target = _Target(inner, attribute)
    return target


def _imported(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, _Target]]:
    """Yield the names that import statements bind to something of this package."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                if alias.name.partition(".")[0] == _PACKAGE:
                    yield alias.asname or bound, _Target(bound, _ALL)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            if origin.partition(".")[0] == _PACKAGE:
                for alias in node.names:
                    yield alias.asname or alias.name, _Target(origin, alias.name)


@functools.cache
def _path_of(module: str) -> Path | None:
    """Return the file of a module of this package, None for anything else."""
    first, *rest = module.split(".")
    if first != _PACKAGE:
        return None
    base = _ROOT.joinpath(*rest)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _is_package(module: str) -> bool:
    path = _path_of(module)
    return path is not None and path.name == "__init__.py"


@functools.cache  # a page asks for dozens of results of the same modules
def _module(module: str) -> _Module:
    path = _path_of(module)
    assert path is not None, module  # noqa: S101
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: dict[str, tuple[ast.stmt, ...]] = {}
    imports: dict[str, _Target] = {}
    bare: list[ast.stmt] = []
    for statement in tree.body:
        bound = _bound(statement)
        for name in bound:
            if name != "__all__":
                names[name] = (*names.get(name, ()), statement)
        imports |= dict(_imported(_outside_definitions(statement), package))
        if not bound and not _says_nothing(statement):
            bare.append(statement)
    return _Module(names, imports, tuple(bare))


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    return {
        node.id
        for node in _outside_definitions(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _outside_definitions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what is below it, but for the inside of functions and classes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_definitions(child)


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is an import, a docstring, or a block of imports for type checkers."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    if isinstance(statement, ast.If):
        return all(_says_nothing(inner) for inner in (*statement.body, *statement.orelse))
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _meaning(statements: Iterable[ast.stmt]) -> str:
    """Hash what statements do."""
    return hash_of([_dump(statement) for statement in statements])


@functools.cache
def _dump(statement: ast.stmt) -> str:
    """Return the syntax tree as text, without docstrings."""
    for node in ast.walk(statement):
        if isinstance(
            node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(statement).encode()).hexdigest()
