"""Where the compiled loops over the steps are used, and the threads that they run in.

They need numba, which ``pip install rnnreport[fast]`` brings, and are compiled on first use. What
they give differs from the plain loops by rounding alone.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

ENOUGH = 2_000_000
"""Multiplications for which another thread is worth being woken."""


def serves(*tensors: Tensor) -> bool:
    """Whether a compiled loop takes these tensors: float32 on the CPU, and plain tensors.

    A subclass wants to see each operation, and so does whoever traces or transforms a function.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        and all(
            type(tensor) in (Tensor, torch.nn.Parameter)
            and tensor.dtype == torch.float32
            and tensor.device.type == "cpu"
            and tensor.layout == torch.strided
            and not tensor.is_neg()
            for tensor in tensors
        )
        and _available()
    )


@functools.cache
def _available() -> bool:
    """Whether numba is here and may compile."""
    try:
        import numba
    except ImportError:
        return False
    return not numba.config.DISABLE_JIT


def _compiled() -> ModuleType:
    """Import the kernels on first use: numba takes a second, and the first time compiles them."""
    from rnnreport.layers import _kernels

    return _kernels


def lstm_steps_forward(
    h0: Tensor, Wh: Tensor, gates: Tensor, c: Tensor, tanh_c: Tensor, h: Tensor
) -> None:
    """Run all steps of an LSTM, equation (S1): gates begins as x Wx + b; fill it, c, tanh_c, h."""
    N, H = h0.shape
    panels = _panels(Wh.view(H, 4, H))
    _share(_compiled().lstm_steps_forward, len(h), N, Wh, (h0, panels, gates, c, tanh_c, h))


def lstm_steps_backward(
    dh: Tensor, dc_T: Tensor, Wh: Tensor, gates: Tensor, c: Tensor, tanh_c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through all steps of an LSTM, equations (32)-(35) and (49): return dz, dh0, dc0."""
    T, N, _, H = gates.shape
    dz, dh0, dc = dh.new_empty(T, N, 4 * H), dh.new_empty(N, H), dh.new_empty(N, H).copy_(dc_T)
    panels = _panels(Wh.T.unsqueeze(1))
    _share(_compiled().lstm_steps_backward, T, N, Wh, (dh, panels, gates, c, tanh_c, dz, dh0, dc))
    return dz, dh0, dc


def gru_steps_forward(h0: Tensor, Wh_q: Tensor, gates: Tensor, h: Tensor) -> None:
    """Run all steps of a GRU, equation (U1): gates begins as bh and x Wx + b; fill it and h."""
    T, N, H = h.shape
    panels = _panels(Wh_q.view(H, 3, H))
    _share(_compiled().gru_steps_forward, T, N, Wh_q, (h0, panels, gates, h))


def gru_steps_backward(
    dh: Tensor, h0: Tensor, Wh_q: Tensor, gates: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """Go back through all steps of a GRU, equation (74): return dz, shape (T, N, 4, H), and dh0."""
    T, N, H = h.shape
    dz, dh0 = dh.new_empty(T, N, 4 * H), dh.new_zeros(N, H)
    panels = _panels(Wh_q.T.unsqueeze(1))
    _share(_compiled().gru_steps_backward, T, N, Wh_q, (dh, h0, panels, gates, h, dz, dh0))
    return dz.view(T, N, 4, H), dh0


def _panels(W: Tensor) -> Tensor:
    """Lay weights of shape (rows, gates, units) as the kernels read them."""
    kernels = _compiled()
    rows, gates, H = W.shape
    columns = gates * kernels.LANES * math.ceil(H / kernels.LANES)
    panels = W.new_empty(math.ceil(columns / kernels.WIDTH), rows, kernels.WIDTH)
    kernels.pack(W.detach().numpy(), panels.numpy())
    return panels


def _share(
    kernel: Callable[..., None], T: int, N: int, Wh: Tensor, tensors: Sequence[Tensor]
) -> None:
    """Run a kernel on all rows of the batch, an equal share of them in each thread.

    What it fills is contiguous already: only then does the array share the tensor's memory.
    """
    arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
    threads = torch.get_num_threads()
    shares = max(1, min(threads, N, T * N * Wh.numel() // ENOUGH))
    bounds = [N * share // shares for share in range(shares + 1)]
    _side_by_side([partial(kernel, *rows, *arrays) for rows in pairwise(bounds)])


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """Run each task in a thread of its own, one of them in the calling thread."""
    if len(tasks) == 1:
        tasks[0]()
    elif (parallel := _parallel_region(os.getpid())) is None:
        others = [_pool(os.getpid(), len(tasks)).submit(task) for task in tasks[1:]]
        tasks[0]()
        for other in others:
            other.result()
    else:
        left = iter(tasks)
        errors: list[BaseException] = []

        def work(_: object) -> None:
            try:
                for task in left:
                    task()
            except BaseException as error:  # Ctrl-C too: C has no way to hand it on
                errors.append(error)

        parallel(_WORK(work), None, len(tasks), 0)
        if errors:
            raise errors[0]


_WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def _parallel_region(process: int) -> Callable[..., None] | None:
    """Find what starts work in PyTorch's own threads, where its OpenMP is GNU's or understands it.

    After a product these threads look out for more work for some milliseconds without sleeping. Any
    others would have to share the cores with them.
    """
    if process != _PROCESS:  # OpenMP's threads do not survive a fork
        return None
    try:
        region = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    region.argtypes = (_WORK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    region.restype = None
    return region


_PROCESS = os.getpid()


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:  # noqa: ARG001 a fork has no threads
    """Keep threads where PyTorch's cannot be had; they are made when they are first needed."""
    return ThreadPoolExecutor(threads, thread_name_prefix="rnnreport")
