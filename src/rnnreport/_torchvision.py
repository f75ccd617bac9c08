"""The one place that imports torchvision.

The package index's torchvision wheel carries a compiled extension that needs the CUDA build of
torch. Beside a CPU build of torch it cannot be loaded, and ``import torchvision`` then fails with
"operator torchvision::nms does not exist": the import attaches shape functions to two operators
that only the extension declares. The models and transforms need neither the extension nor the
operators, so it is enough to declare the two before the import, without an implementation. Where
the extension loads, it declares them itself and nothing is declared here.

Import it as ``from rnnreport._torchvision import torchvision``, inside the function that needs
it: it takes seconds.
"""

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder

import torch

__all__ = ["torchvision"]

_OPERATORS = ("nms", "qnms")
_SCHEMA = "{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _load_extension() -> bool:
    """Load torchvision's compiled extension, as its own import will; say whether it loaded."""
    package = importlib.util.find_spec("torchvision")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("rnnreport needs torchvision, which is not installed")
    finder = FileFinder(
        package.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
    extension = finder.find_spec("_C")
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


def _declare_operators() -> "torch.library.Library | None":
    """Declare the operators that the import needs and nobody has declared."""
    missing = [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if not missing:
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in missing:
        library.define(_SCHEMA.format(name=name))  # type: ignore[no-untyped-call]
    return library


# The declarations live as long as the library object, hence the name at module level.
_library = None if _load_extension() else _declare_operators()

import torchvision  # noqa: E402
