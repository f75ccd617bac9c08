"""Files that packages hold which pip has installed: weights and photographs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["packaged_file", "pip_command"]


def packaged_file(module: str, path: str) -> Path | None:
    """Return a file of an installed package, none of whose code is executed.

    Parameters
    ----------
    module
        The package's name in an import; not one inside another.
    path
        The file's path in the package's folder.

    Returns
    -------
    Path or None
        Where it is; None if the package is not installed, or has no such file.
    """
    spec = find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    places = (Path(folder, path) for folder in folders or ())
    return next((place for place in places if place.exists()), None)


def pip_command(requirement: str) -> str:
    """Return the command that installs a package.

    Parameters
    ----------
    requirement
        As pip takes it, such as ``"name==1.0"``.
    """
    return f"python -m pip install {requirement}"
