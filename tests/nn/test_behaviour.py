"""Where modules are used, and what they do there that torch's do."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad
import torch.nn.utils.prune
from torch import Tensor
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import register_parametrization
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from rnnreport import nn

MODULES = ("RNN", "GRU", "LSTM")
CELLS = ("RNNCell", "GRUCell", "LSTMCell")
ALL = (*MODULES, *CELLS)
T, N, D, H = 5, 3, 4, 6


def twins(name: str, **options: Any) -> tuple[Any, Any]:
    """Ours and torch's, with the same parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours = getattr(nn, name)(D, H, **options)
    theirs = getattr(torch.nn, name)(D, H, **options)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def inputs(name: str = "RNN", seed: int = 0, *batch: int) -> Tensor:
    shape = (N, D) if name in CELLS else (T, N, D)
    return torch.randn(*batch, *shape, generator=torch.Generator().manual_seed(seed))


def first(returned: Any) -> Tensor:
    """The output, or the hidden state of a cell."""
    out = returned[0] if isinstance(returned, tuple) else returned
    assert isinstance(out, Tensor)
    return out


def close(actual: Any, expected: Any) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def gradients(module: Any, x: Tensor) -> list[Tensor]:
    loss = first(module(x)).sin().sum()
    wanted = [each for each in module.parameters() if each.requires_grad]
    return list(torch.autograd.grad(loss, wanted))


# What belongs to whom


@pytest.mark.parametrize("name", ALL)
def test_outputs_and_states_may_be_written_over(name: str) -> None:
    ours, _ = twins(name)
    x = inputs(name)
    expected = gradients(ours, x)
    returned = ours(x)
    loss = first(returned).clone().sin().sum()
    with torch.no_grad():
        for each in tree_leaves(returned):
            each.mul_(2)
    close(list(torch.autograd.grad(loss, list(ours.parameters()))), expected)


@pytest.mark.parametrize("name", MODULES)
def test_states_own_their_memory(name: str) -> None:
    ours, _ = twins(name)
    output, state = ours(inputs())
    before = output.detach().clone()
    states = state if isinstance(state, tuple) else (state,)
    for each in states:
        assert each.untyped_storage().nbytes() == each.nbytes
        each.detach_().zero_()
    assert torch.equal(output, before)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_laid_out_as_those_of_torch_and_share_nothing(name: str) -> None:
    ours, _ = twins(name)
    found = gradients(ours, inputs(name))
    assert all(each.is_contiguous() for each in found)
    assert len({each.untyped_storage().data_ptr() for each in found}) == len(found)


@pytest.mark.parametrize("name", ALL)
def test_a_parametrization_is_computed_once_a_call(name: str) -> None:
    called = []

    class Counting(torch.nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            called.append(weight.shape)
            return weight

    ours, _ = twins(name)
    weight = "weight_ih" if name in CELLS else "weight_ih_l0"
    register_parametrization(ours, weight, Counting())
    called.clear()
    ours(inputs(name))
    assert len(called) == 1


@pytest.mark.parametrize("name", ALL)
def test_frozen_weights_get_no_gradient_and_no_product(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = twins(name)
    x = inputs(name)
    expected = dict(zip(dict(ours.named_parameters()), gradients(ours, x), strict=True))
    for parameter_name, parameter in ours.named_parameters():
        parameter.requires_grad_("ih" in parameter_name)
    if name in MODULES:  # a step forms all products at once

        def unwanted(*_: Any) -> Tensor:
            raise AssertionError

        monkeypatch.setattr("rnnreport.nn._recurrences.state_weights_gradient", unwanted)
    found = gradients(ours, x)
    close(found, [each for key, each in expected.items() if "ih" in key])


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch_has_empty_outputs(name: str) -> None:
    for module in twins(name):
        x = inputs(name)[..., :0, :].requires_grad_()
        out = first(module(x))
        assert out.shape == (*x.shape[:-1], H)
        out.sum().backward()  # type: ignore[no-untyped-call]
        assert all(not bool(each.grad.any()) for each in module.parameters())


@pytest.mark.parametrize("sizes", [(0, H), (D, 0), (0, 0)])
@pytest.mark.parametrize("name", CELLS)
def test_cells_without_features_or_without_state(name: str, sizes: tuple[int, int]) -> None:
    results = []
    for package in (nn, torch.nn):
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of parameters without elements
            torch.manual_seed(0)
            cell = getattr(package, name)(*sizes)
        out = first(cell(torch.ones(N, sizes[0])))
        results.append([out, *torch.autograd.grad(out.sum(), list(cell.parameters()))])
    close(*results)


@pytest.mark.parametrize("name", ALL)
def test_meta_tensors_show_shapes(name: str) -> None:
    returned = [
        tree_leaves(getattr(package, name)(D, H, device="meta")(inputs(name).to("meta")))
        for package in (nn, torch.nn)
    ]
    for mine, other in zip(*returned, strict=True):
        assert mine.is_meta
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
    first(tuple(returned[0])).sum().backward()  # type: ignore[no-untyped-call]


# Numbers


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_autocast_computes_in_float32_and_returns_what_torch_does(
    name: str, dtype: torch.dtype
) -> None:
    ours, theirs = twins(name)
    x = inputs(name)
    exact = gradients(ours, x)
    with torch.autocast("cpu", dtype=dtype):
        out = first(ours(x))
        inside = torch.autograd.grad(out.float().sin().sum(), list(ours.parameters()))
        if (name, dtype) != ("LSTM", torch.float16):  # torch has no kernel for it
            other = first(theirs(x))
            assert out.dtype == other.dtype
            torch.testing.assert_close(out, other, rtol=0.02, atol=0.02)
        assert first(ours.double()(x.double())).dtype == torch.float64
    # The result is rounded, and so is the gradient that comes back through the rounding.
    for rounded, right in zip(inside, exact, strict=True):
        assert (rounded - right).norm() <= 0.01 * right.norm()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("state", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in ALL), ("LSTM", {"proj_size": 2})]
)
def test_dtypes_under_autocast_are_those_of_torch(
    name: str, options: dict[str, int], state: torch.dtype | None, packed: bool
) -> None:
    if packed and name in CELLS:
        return
    x: Any = inputs(name)
    lead = (N,) if name in CELLS else (1, N)
    h = torch.zeros(*lead, options.get("proj_size", H), dtype=state)
    hx = (h, torch.zeros(*lead, H, dtype=state)) if "LSTM" in name else h
    if packed:
        x = pack_padded_sequence(x, [T, T, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        returned = [module(x, None if state is None else hx) for module in twins(name, **options)]
    dtypes = [[getattr(each, "dtype", None) for each in tree_leaves(r)] for r in returned]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_low_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    ours, _ = twins(name)
    ours = ours.to(dtype)
    x = inputs(name).to(dtype)
    out = first(ours(x))
    wide = first(ours.float()(x.float()))
    assert out.dtype == dtype
    assert torch.equal(out, wide.to(dtype))
    ours.to(dtype)
    assert all(each.dtype == dtype for each in gradients(ours, x))


@pytest.mark.parametrize("name", ALL)
def test_complex_numbers_are_refused(name: str) -> None:
    module = getattr(nn, name)(D, H, dtype=torch.complex64)
    with pytest.raises(ValueError, match=f"{name} computes with real numbers"):
        module(inputs(name).to(torch.complex64))


# Transforms


@pytest.mark.parametrize("name", ALL)
def test_func_differentiates(name: str) -> None:
    ours, theirs = twins(name)
    x, parameters = inputs(name), {k: v.detach() for k, v in ours.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return first(functional_call(ours, parameters, (x,))).sin().sum()

    close(list(grad(loss)(parameters, x).values()), gradients(theirs, x))
    samples = inputs(name, 1, 2)
    each = vmap(grad(loss), (None, 0))(parameters, samples)
    for k in range(2):
        close([value[k] for value in each.values()], gradients(theirs, samples[k]))


@pytest.mark.parametrize("name", MODULES)
def test_func_goes_through_dropout(name: str) -> None:
    ours, theirs = twins(name, num_layers=2, dropout=0.5)
    found = []
    for module in (ours, theirs):
        parameters = {k: v.detach() for k, v in module.named_parameters()}

        def loss(parameters: dict[str, Tensor], module: Any = module) -> Tensor:
            return first(functional_call(module, parameters, (inputs(),))).sin().sum()

        torch.manual_seed(0)
        found.append(list(grad(loss)(parameters).values()))
    close(*found)
    out = vmap(lambda x: first(ours(x)), randomness="different")(
        inputs()[None].expand(2, -1, -1, -1)
    )
    assert not torch.equal(out[0], out[1])


@pytest.mark.parametrize("name", ALL)
def test_jacobians_are_those_of_torch(name: str) -> None:
    ours, theirs = twins(name)
    x = inputs(name)

    def last(module: Any) -> Callable[[Tensor], Tensor]:
        return lambda x: first(module(x)).reshape(-1, H)[-1]

    expected = torch.autograd.functional.jacobian(last(theirs), x)  # type: ignore[no-untyped-call]
    close(jacrev(last(ours))(x), expected)
    close(torch.autograd.functional.jacobian(last(ours), x), expected)  # type: ignore[no-untyped-call]
    if name in MODULES:
        with pytest.raises(RuntimeError, match=r"no batch of gradients.*torch\.func\.vmap"):
            torch.autograd.functional.jacobian(last(ours), x, vectorize=True)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ALL)
def test_vmap_goes_through_inputs_and_through_an_ensemble(name: str) -> None:
    modules = [getattr(nn, name)(D, H) for _ in range(3)]
    xs = inputs(name, 0, 2)
    close(vmap(lambda x: first(modules[0](x)))(xs)[1], first(modules[0](xs[1])))
    stacked, _ = stack_module_state(modules)
    x = xs[0]
    out = vmap(lambda each: first(functional_call(modules[0], each, (x,))))(stacked)
    close(out[2], first(modules[2](x)))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, of jvp
@pytest.mark.parametrize("name", ALL)
def test_what_cannot_work_says_so(name: str) -> None:
    ours, _ = twins(name)
    x = inputs(name).requires_grad_()
    (gradient,) = torch.autograd.grad(first(ours(x)).sin().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=f"nn.{name} is derived by hand.*second derivatives"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]
    x = x.detach()
    with pytest.raises(NotImplementedError, match=f"nn.{name} has no forward-mode derivative"):
        jvp(lambda x: first(ours(x)), (x,), (x,))
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(NotImplementedError, match=f"nn.{name} has no forward-mode derivative"),
    ):
        ours(torch.autograd.forward_ad.make_dual(x, x))  # type: ignore[no-untyped-call]


# Around modules


@pytest.mark.parametrize("name", ALL)
def test_without_a_graph(name: str) -> None:
    ours, theirs = twins(name)
    x = inputs(name)
    with torch.no_grad():
        out = first(ours(x))
    assert not out.requires_grad
    close(out, first(theirs(x)).detach())
    with torch.inference_mode():
        close(first(ours(x)), first(theirs(x)))


@pytest.mark.parametrize("name", ALL)
def test_weight_norm_and_pruning(name: str) -> None:
    weight = "weight_hh" if name in CELLS else "weight_hh_l0"
    x = inputs(name)
    for change in (
        lambda module: weight_norm(module, weight),
        lambda module: torch.nn.utils.prune.random_unstructured(module, weight, 5),  # type: ignore[no-untyped-call]
    ):
        pair = twins(name)
        with torch.random.fork_rng(devices=[]):
            for module in pair:
                torch.manual_seed(0)
                change(module)  # type: ignore[no-untyped-call]
        close(*(gradients(module, x) for module in pair))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_checkpointing(name: str, reentrant: bool) -> None:
    ours, _ = twins(name, num_layers=2, dropout=0.5)
    x = inputs().requires_grad_()
    found = []
    for run in (ours, lambda x: checkpoint(ours, x, use_reentrant=reentrant)):
        ours.zero_grad()
        torch.manual_seed(0)
        output, _ = run(x)
        output.sin().sum().backward()
        found.append([each.grad.clone() for each in ours.parameters()])
    close(*found)


@pytest.mark.parametrize("name", ALL)
def test_hooks(name: str) -> None:
    ours, _ = twins(name)
    called = []
    ours.register_forward_hook(lambda *_: called.append("forward"))
    ours.register_full_backward_hook(lambda *_: called.append("backward"))
    first(ours(inputs(name).requires_grad_())).sum().backward()  # type: ignore[no-untyped-call]
    assert called == ["forward", "backward"]


def test_data_parallel_on_one_device() -> None:
    ours, theirs = twins("LSTM")
    close(torch.nn.DataParallel(ours)(inputs())[0], theirs(inputs())[0])


def _trained(name: str) -> list[Tensor]:
    ours, _ = twins(name)
    return [each.detach() for each in gradients(ours, inputs(name))]


def test_a_forked_process_computes() -> None:
    expected = _trained("LSTM")
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        close(pool.submit(_trained, "LSTM").result(60), expected)


# Compilers


@pytest.fixture
def compiled() -> Iterator[Callable[..., Any]]:
    """Compile in one piece; recurrent modules have to be allowed, torch's own too."""
    import torch._dynamo

    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        yield lambda module: torch.compile(module, backend="aot_eager", fullgraph=True)


@pytest.mark.parametrize("name", ALL)
def test_a_compiled_module_is_one_graph(name: str, compiled: Callable[..., Any]) -> None:
    ours, _ = twins(name)
    x = inputs(name)
    module = compiled(ours)
    loss = first(module(x)).sin().sum()
    close(list(torch.autograd.grad(loss, list(ours.parameters()))), gradients(ours, x))


def test_a_compiled_module_with_attention_is_one_graph(compiled: Callable[..., Any]) -> None:
    ours = nn.AttentionLSTM(D, H)
    arguments = inputs(), torch.ones(N, 2, H)
    found = []
    for module in (ours, compiled(ours)):
        loss = module(*arguments)[0].sin().sum()
        found.append(list(torch.autograd.grad(loss, list(ours.parameters()))))
    close(*found)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("name", MODULES)
def test_a_compiled_module_breaks_the_graph_as_torch_does(name: str) -> None:
    ours, theirs = twins(name, bidirectional=True)
    packed = pack_padded_sequence(inputs(), torch.tensor([5, 3, 2]))
    for given in (inputs(), packed):
        output, _ = torch.compile(ours, backend="aot_eager")(given)  # type: ignore[no-untyped-call]
        expected, _ = theirs(given)
        close(*(each if isinstance(each, Tensor) else each.data for each in (output, expected)))


@pytest.mark.parametrize("name", MODULES)
def test_an_exported_module_takes_other_sizes(name: str) -> None:
    ours, theirs = twins(name, num_layers=2)
    auto = torch.export.Dim.AUTO
    program = torch.export.export(ours, (inputs(),), dynamic_shapes=({0: auto, 1: auto},))
    x = torch.randn(7, 2, D, generator=torch.Generator().manual_seed(0))
    close(program.module()(x)[0], theirs(x)[0])


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:Converting a tensor")  # torch's own too
@pytest.mark.parametrize("name", ALL)
def test_a_traced_module_takes_other_sizes(name: str) -> None:
    ours, _ = twins(name)
    x = inputs(name)
    traced = torch.jit.trace(ours, (x,))  # type: ignore[no-untyped-call]
    more = torch.cat([x, x], -2)
    close(first(traced(more)), first(ours(more)))
    close(gradients(traced, more), gradients(ours, more))


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_scripted_says_so(name: str) -> None:
    ours, _ = twins(name)
    for module in (ours, torch.nn.Sequential(ours)):
        with pytest.raises(NotImplementedError, match=f"nn.{name} cannot be scripted: use"):
            torch.jit.script(module)


@pytest.mark.parametrize("name", ALL)
def test_fx_takes_a_module_for_a_leaf(name: str) -> None:
    class Model(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            first_step: Tensor = self.inner(x * 2, hx=None)[0]
            return first_step

    ours, _ = twins(name)
    graph = torch.fx.symbolic_trace(Model(ours))
    assert "call_module" in [node.op for node in graph.graph.nodes]
    close(graph(inputs(name)), Model(ours)(inputs(name)))

    class Changed(type(ours)):  # type: ignore[misc]
        def forward(self, x: Tensor, hx: Any = None) -> Any:
            return super().forward(x * 2, hx)

    with pytest.raises(TypeError, match="got Proxy"):
        torch.fx.symbolic_trace(Model(Changed(D, H)))


# Devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ALL)
def test_modules_compute_on_cuda(name: str) -> None:
    ours, theirs = (module.double() for module in twins(name))
    x = inputs(name).double()
    expected = gradients(theirs, x)
    found = gradients(ours.cuda(), x.cuda())
    close([each.cpu() for each in found], expected)
