"""Files of weights: the parameters of a network, by name."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from rnnreport.data.assets import DataFormatError, check_file
from rnnreport.data.foreign import content_of

__all__ = ["check_finite", "load_into", "load_torchvision", "read_weights"]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the parameters of a network.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a state dict as ``torch.save`` writes it, under any other
        suffix. It is read without executing anything that it holds.

    Returns
    -------
    dict of str to Tensor
        The parameters by name, on the CPU, in the dtypes that the file has.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file cannot be read, or holds something else than tensors by name, or a number that
        is not finite.
    """
    check_file(path, "a file of weights")
    state: object
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken file does to a reader cannot be foreseen
        cause = content_of(path) or str(error)
        if path.suffix != ".safetensors" and cause.startswith("it is a zip archive"):
            cause = f"a zip archive, and not as torch.save writes it: {error}"
        raise DataFormatError(f"{path}: not a file of weights ({cause})") from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise DataFormatError(f"{path}: not a file of weights (expected tensors by name)")
    check_finite(state, str(path))
    return dict(state)


def check_finite(tensors: Mapping[str, Tensor], place: str) -> None:
    """Refuse tensors with NaN or infinity: what is computed with them means nothing.

    Parameters
    ----------
    tensors
        By name.
    place
        Where they come from, for the message.

    Raises
    ------
    DataFormatError
        If one of them holds such a number; the message names it.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        numbers = tensor if tensor.element_size() > 1 else tensor.float()  # some lack isfinite
        count = int((~numbers.isfinite()).sum())
        if count:
            raise DataFormatError(
                f"{place}: {name} holds NaN or infinity in {count:,} of {tensor.numel():,} numbers"
            )


def load_into(network: nn.Module, path: Path, name: str) -> None:
    """Give a network the weights of a file.

    Parameters
    ----------
    network
        The network; changed in place.
    path
        As :func:`read_weights` takes it.
    name
        What the network is called in the message of an error.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file cannot be read, or does not hold exactly the network's parameters.
    """
    state = read_weights(path)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise DataFormatError(f"{path}: not the weights of {name} ({error})") from error


def load_torchvision(name: str, path: Path) -> nn.Module:
    """Build one of torchvision's networks and load its weights.

    Parameters
    ----------
    name
        As ``torchvision.models`` calls it, such as ``"mobilenet_v2"``.
    path
        Its parameters under torchvision's names, as :func:`read_weights` takes them.

    Returns
    -------
    torch.nn.Module
        On the CPU, in evaluation mode and without gradients.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file cannot be read, or does not hold exactly the network's parameters.
    """
    from rnnreport._torchvision import torchvision

    with torch.random.fork_rng(devices=[]):  # first weights, which are overwritten
        network: nn.Module = getattr(torchvision.models, name)()
    load_into(network, path, name)
    return network.eval().requires_grad_(False)
