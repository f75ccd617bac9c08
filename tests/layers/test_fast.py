"""The compiled loops against the plain ones, and where they run: threads, forks, long sequences."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from fresh_python import output_of
from hypothesis import given
from hypothesis import strategies as st
from problems import Problem, assert_close, make_problem, seeds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rnnreport.layers import LSTMCache, _fast, lstm_forward
from rnnreport.layers._gru import gru_through_time
from rnnreport.layers._lstm import lstm_through_time

pytest.importorskip("numba", reason="the compiled loops need numba")

CELLS = ("lstm", "gru")
ROUNDING = 2e-6
"""Of float32, for a few steps with gates that are not at their limits."""


@contextmanager
def plain() -> Iterator[None]:
    with mock.patch.object(_fast, "_available", return_value=False):
        yield


@contextmanager
def only_compiled() -> Iterator[None]:
    """Fail where a plain loop runs."""
    with ExitStack() as stack:
        for cell in CELLS:
            for way in ("forward", "backward"):
                loop = f"rnnreport.layers._{cell}._steps_{way}"
                stack.enter_context(mock.patch(loop, side_effect=AssertionError))
        yield


def all_results(problem: Problem) -> dict[str, Tensor]:
    """What goes forward, what is kept, and every gradient."""
    h, cache = problem.forward()
    kept = {f"cache.{name}": value for name, value in cache._asdict().items()}
    return {"h": h, **kept, **problem.backward(cache)}


def close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        assert value.shape == expected[name].shape, name
        assert_close(value.double(), expected[name].double(), tolerance)


@st.composite
def single_problems(draw: st.DrawFn) -> Problem:
    """Problems in float32, with every remainder that a block of rows or a vector can leave."""
    T, N = draw(st.integers(1, 6)), draw(st.integers(1, 20))
    D, H = draw(st.integers(1, 5)), draw(st.integers(1, 70))
    problem = make_problem(draw(st.sampled_from(CELLS)), T, N, D, H, draw(seeds), scale=0.5)
    return problem.to(torch.float32)


def strided(tensor: Tensor) -> Tensor:
    """The same values with other numbers between them."""
    room = tensor.new_full((*tensor.shape, 3), torch.nan)
    room[..., 1] = tensor
    return room[..., 1]


@given(single_problems())
def test_compiled_is_plain_but_for_rounding(problem: Problem) -> None:
    with only_compiled():
        compiled = all_results(problem)
    with plain():
        expected = all_results(problem)
    close(compiled, expected, 4 * ROUNDING)


@given(single_problems())
def test_compiled_is_as_close_to_float64_as_float32_can_be(problem: Problem) -> None:
    with only_compiled():
        compiled = all_results(problem)
    close(compiled, all_results(problem.to(torch.float64)), 4 * ROUNDING)


@given(single_problems(), st.data())
def test_memory_may_lie_as_it_likes(problem: Problem, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(problem.tensors))))
    changed = {name: strided(problem.tensors[name]) for name in names}
    changed |= {
        name: value.mT.contiguous().mT
        for name, value in problem.tensors.items()
        if name not in names and value.ndim > 1
    }
    close(all_results(problem.replace(**changed)), all_results(problem), ROUNDING)


@pytest.mark.parametrize("cell", CELLS)
def test_one_path_goes_back_where_the_other_went_forward(cell: str) -> None:
    problem = make_problem(cell, T=4, N=3, D=2, H=5, seed=1).to(torch.float32)
    compiled_cache = problem.forward()[1]
    with plain():
        plain_cache = problem.forward()[1]
        expected = problem.backward(plain_cache)
        close(problem.backward(compiled_cache), expected, ROUNDING)
    close(problem.backward(plain_cache), expected, ROUNDING)


@pytest.fixture(params=["PyTorch's threads", "threads of our own"])
def many_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Share even the smallest batch, in either kind of threads."""
    with mock.patch.object(_fast, "ENOUGH", 1):
        if request.param == "PyTorch's threads":
            if _fast._parallel_region(os.getpid()) is None:
                pytest.skip("PyTorch's OpenMP is not GNU's here")
            yield
        else:
            with mock.patch.object(_fast, "_parallel_region", return_value=None):
                yield


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("cell", CELLS)
def test_number_of_threads_changes_no_bit(cell: str) -> None:
    problem = make_problem(cell, T=30, N=19, D=3, H=40, seed=2).to(torch.float32)
    count = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            h, cache = problem.forward()
            results.append((h, *_through_time(problem, cache)))
    finally:
        torch.set_num_threads(count)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


@pytest.mark.usefixtures("many_threads")
def test_an_error_in_any_thread_is_raised() -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        pass

    for tasks in ([fail, work], [work, fail], [fail]):
        with pytest.raises(KeyboardInterrupt):
            _fast._side_by_side(tasks)


def _through_time(problem: Problem, cache: Any) -> tuple[Tensor, ...]:
    """What the kernel gives: products over all steps are PyTorch's, which rounds as it likes."""
    if isinstance(cache, LSTMCache):
        return lstm_through_time(problem.dh, problem.dc_T, cache)
    return gru_through_time(problem.dh, cache)


@pytest.mark.parametrize("cell", CELLS)
def test_saturated_and_undefined_values_stay_what_they_are(cell: str) -> None:
    problem = make_problem(cell, T=3, N=4, D=2, H=17, seed=3, scale=10.0).to(torch.float32)
    with plain():
        expected = all_results(problem)
    close(all_results(problem), expected, 1e-4)
    x = problem.x.clone()
    x[1, 2] = torch.nan
    h, _ = problem.replace(x=x).forward()
    assert h[1:, 2].isnan().all()
    assert not h[:1].isnan().any()
    assert not h[:, [0, 1, 3]].isnan().any()


@pytest.mark.parametrize("size", [1e30, torch.inf])
def test_limits_of_the_gates(size: float) -> None:
    b = torch.tensor([size, -size, size, size]).repeat_interleave(3)
    zero, Wx, Wh = torch.zeros(1, 1, 1), torch.zeros(1, 12), torch.zeros(3, 12)
    gates = lstm_forward(zero, torch.zeros(1, 3), Wx, Wh, b)[1].gates
    assert_close(gates[0, 0, :, 0], torch.tensor([1.0, 0.0, 1.0, 1.0]), 2e-38)
    assert gates.max() == 1


@pytest.mark.parametrize("cell", CELLS)
def test_no_drift_over_ten_thousand_steps(cell: str) -> None:
    T, N, D, H = 10_000, 2, 3, 16
    problem = make_problem(cell, T, N, D, H, seed=4)
    exact, single = problem.forward()[0], problem.to(torch.float32)
    peer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](D, H)
    inner = torch.zeros(2 * H if cell == "gru" else 4 * H)
    weights = {
        "weight_ih_l0": single.to_torch(single.Wx),
        "weight_hh_l0": single.to_torch(single.Wh),
        "bias_ih_l0": single.to_torch(single.b[None]).squeeze(1),
        "bias_hh_l0": torch.cat([inner, single.bh]) if cell == "gru" else inner,
    }
    peer.load_state_dict(weights)
    states = tuple(state[None] for state in single.states.values())
    with torch.no_grad():
        theirs = peer(single.x, states if cell == "lstm" else states[0])[0]
    error, peers_error = ((h.double() - exact).abs() for h in (single.forward()[0], theirs))
    assert error.max() <= 4 * peers_error.max()
    assert error[T // 2 :].mean() <= 2 * peers_error[T // 2 :].mean()
    assert error[T // 2 :].mean() <= 2 * error[: T // 2].mean()


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("cell", CELLS)
def test_several_callers_at_once(cell: str) -> None:
    problem = make_problem(cell, T=20, N=12, D=8, H=24, seed=5).to(torch.float32)
    expected = all_results(problem)
    results: list[dict[str, Tensor]] = []

    def work() -> None:
        results.extend(all_results(problem) for _ in range(10))

    callers = [threading.Thread(target=work) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 60
    for result in results:
        close(result, expected, ROUNDING)


FORK = """
import os
import torch
from rnnreport.layers import _fast, lstm_forward

torch.set_num_threads(2)
_fast.ENOUGH = 1
N, D, H = 9, 3, 20
arguments = torch.randn(7, N, D), torch.randn(N, H), torch.randn(D, 4 * H), torch.randn(H, 4 * H)
h = lstm_forward(*arguments, torch.zeros(4 * H))[0]
child = os.fork()
if child == 0:
    # OpenMP itself does not survive a fork, so the products get one thread, and the steps two.
    torch.set_num_threads(1)
    torch.get_num_threads = lambda: 2
    again = lstm_forward(*arguments, torch.zeros(4 * H))[0]
    os._exit(0 if torch.allclose(h, again, atol=1e-6) else 1)
assert os.waitpid(child, 0)[1] == 0
print("the same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_makes_threads_of_its_own() -> None:
    assert output_of(FORK) == "the same\n"


def test_layers_do_without_numba_until_they_run() -> None:
    code = "import sys, rnnreport.layers, rnnreport.nn; print('numba' in sys.modules)"
    assert output_of(code) == "False\n"


def test_without_numba_the_plain_loop_runs() -> None:
    code = """
import sys
sys.modules["numba"] = None
import torch
from rnnreport.layers import lstm_backward, lstm_forward
h, cache = lstm_forward(*map(torch.ones, [(2, 3, 4), (3, 5), (4, 20), (5, 20), (20,)]))
print(torch.isfinite(lstm_backward(h, cache)[0]).all().item())
"""
    assert output_of(code) == "True\n"


class Other(Tensor):
    """A kind of tensor that may want to see each operation."""


def test_only_plain_float32_tensors_on_the_cpu_are_served() -> None:
    ones = torch.ones(2, 2)
    assert _fast.serves(ones, torch.nn.Parameter(ones))
    assert not _fast.serves(ones, ones.double())
    assert not _fast.serves(ones, ones.to(torch.complex64))
    assert not _fast.serves(ones, ones.to("meta"))
    assert not _fast.serves(ones, ones.as_subclass(Other))
    assert not _fast.serves(ones, ones.to_sparse())
    assert not _fast.serves(ones, torch.ones(2, 2, dtype=torch.complex64).conj().imag)
    with plain():
        assert not _fast.serves(ones)


def test_who_traces_sees_the_plain_loop() -> None:
    answers: list[bool] = []

    def ask(x: Tensor) -> Tensor:
        answers.append(_fast.serves(x))
        return x

    torch.func.vmap(ask)(torch.ones(2, 2))
    torch.func.grad(lambda x: ask(x).sum())(torch.ones(2))
    with FlopCounterMode(display=False):
        ask(torch.ones(2))
    assert answers == [False, False, False]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cache_serves_twice(cell: str) -> None:
    problem = make_problem(cell, T=4, N=7, D=3, H=18, seed=6).to(torch.float32)
    cache = problem.forward()[1]
    before = [value.clone() for value in cache]
    first, second = problem.backward(cache), problem.backward(cache)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(a, b) for a, b in zip(cache, before, strict=True))
