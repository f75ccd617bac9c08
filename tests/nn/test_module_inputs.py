"""The modules on the inputs with which torch tests its own."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from rnnreport import nn

NAMES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


@pytest.fixture(scope="module")
def infos() -> dict[str, Any]:
    """What torch lists for each module; to import the list takes seconds."""
    from torch.testing._internal.common_modules import module_db

    return {
        info.module_cls.__name__: info for info in module_db if info.module_cls.__name__ in NAMES
    }


def pickled(module: torch.nn.Module) -> Any:
    """Save a module whole and load it, by a loader that makes nothing but what is named here."""
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    with torch.serialization.safe_globals([type(module), set]):
        return torch.load(buffer, weights_only=True)


def run(module: Any, given: Any) -> list[Tensor | None]:
    """Outputs, and gradients of inputs and parameters."""

    def fresh(value: Any) -> Any:
        return value.detach().clone().requires_grad_() if isinstance(value, Tensor) else value

    arguments, keywords = tree_map(fresh, (given.args, given.kwargs))
    torch.manual_seed(0)
    returned = tree_leaves(module(*arguments, **keywords))
    outputs = [each for each in returned if isinstance(each, Tensor) and each.requires_grad]
    torch.stack([each.sin().sum() for each in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    inputs = [each for each in tree_leaves((arguments, keywords)) if isinstance(each, Tensor)]
    return [*outputs, *(each.grad for each in (*inputs, *module.parameters()))]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_torch(
    infos: dict[str, Any], name: str, training: bool, dtype: torch.dtype
) -> None:
    info = infos[name]
    samples = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=training
    )
    assert samples
    # In float32 two layers of 24 units differ by rounding, torch's from float64 as much as ours.
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    for sample in samples:
        made = sample.constructor_input
        theirs = info.module_cls(*made.args, **made.kwargs, dtype=dtype)
        ours = getattr(nn, name)(*made.args, **made.kwargs, dtype=dtype)
        ours.load_state_dict(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict())
        assert repr(ours) == repr(theirs)
        ours = pickled(copy.deepcopy(ours))
        if hasattr(ours, "flatten_parameters"):
            ours.flatten_parameters()
        found = [run(module.train(training), sample.forward_input) for module in (ours, theirs)]
        for mine, other in zip(*found, strict=True):
            assert (mine is None) == (other is None)
            if mine is not None:
                torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
