"""A training iteration of captioning against two peers.

Timed are the loss, the gradients of all parameters and one step of Adam, for the same weights and
captions, of

- the model of this package: hand-written passes over packed captions, which compute no padding
  and multiply a word that recurs with the input weights once, and the fused ``torch.optim.Adam``,
- NumPy, as solutions of the course are written: the step functions are called in a loop over time,
  forward with a list of caches and backward again. Within a step everything is vectorised: one
  product with the input weights and one with the recurrent ones for all gates. Embedding, affine
  maps and softmax take all steps at once; the gradient of the embedding is ``np.add.at``, and Adam
  is written out for each parameter. It runs twice. Once all arrays keep the dtype of the weights.
  Once they are float64, which is what such a solution becomes at its first iteration where a single
  array of states comes from ``np.zeros`` without a dtype,
- ``torch.nn`` with autograd: ``Embedding``, ``RNN`` or ``LSTM``, ``Linear``, ``cross_entropy`` and
  the fused ``torch.optim.Adam``, over the padded captions,

in turn, so that all see the same machine. Before the clock starts their losses and gradients must
agree. The captions fill three quarters of the T steps on average; the rest is padding. NumPy and
torch both use as many threads as ``OMP_NUM_THREADS`` says.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.models.captioning import CaptioningRNN

Cell = Literal["rnn", "lstm"]
Array = npt.NDArray[Any]
Gradients = tuple[float, dict[str, Array]]

_RATE, _BETA_1, _BETA_2, _EPSILON = 1e-3, 0.9, 0.999, 1e-8  # of Adam
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


class Sizes(NamedTuple):
    """How large the model and a mini-batch are."""

    T: int = 16  # steps
    N: int = 200  # captions
    D: int = 256  # numbers of a word vector
    H: int = 512  # numbers of the hidden state
    V: int = 1004  # words
    F: int = 512  # features of an image


class Contender(Protocol):
    """A model with its optimiser and a mini-batch."""

    def gradients(self) -> Gradients:
        """Return the loss and its gradients, under the names and in the shapes of ours."""

    def step(self) -> None:
        """Do one iteration."""


@dataclass(frozen=True)
class Row:
    """Median seconds of one iteration."""

    cell: Cell
    ours: float
    numpy: float
    numpy_64: float
    torch_nn: float
    rounds: int


def measure(cell: Cell, sizes: Sizes, *, seconds: float, dtype: torch.dtype) -> Row:
    """Time this package and its peers, in turn."""
    running = contenders(cell, sizes, dtype=dtype)
    apart = disagreement(running)
    if not apart < _TOLERANCE[dtype]:
        raise RuntimeError(f"losses and gradients of {', '.join(running)} differ by {apart:.1e}")
    times: dict[str, list[float]] = {name: [] for name in running}
    for each in running.values():  # warm up: threads, allocator, code paths
        each.step()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["ours"]) < 5:
        for name, each in running.items():
            start = time.perf_counter()
            each.step()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return Row(cell, **medians, rounds=len(times["ours"]))


def contenders(
    cell: Cell, sizes: Sizes, *, dtype: torch.dtype, seed: int = 0
) -> dict[str, Contender]:
    """Make the models, with equal weights and the same captions."""
    T, N, D, H, V, F = sizes
    generator = Generator().manual_seed(seed)
    special = CaptionVocabulary.SPECIAL
    vocabulary = CaptionVocabulary(special + tuple(f"word {idx}" for idx in range(len(special), V)))
    ours = CaptioningRNN(
        vocabulary.word_to_idx,
        input_dim=F,
        wordvec_dim=D,
        hidden_dim=H,
        cell_type=cell,
        dtype=dtype,
        generator=generator,
    )
    for param in ours.params.values():  # biases too: where they are zero they prove nothing
        param.add_(torch.randn(param.shape, generator=generator, dtype=dtype), alpha=0.01)
    features = torch.randn(N, F, generator=generator, dtype=dtype)
    lengths = torch.randint(1 + T // 2, T, (N, 1), generator=generator)  # of words and <END>
    column = torch.arange(T + 1)
    # A word's frequency falls with its rank (Zipf's law).
    frequencies = 1 / torch.arange(1.0, V - len(special) + 1)
    words = frequencies.multinomial(N * (T + 1), replacement=True, generator=generator)
    captions = words.view(N, T + 1) + len(special)
    captions[:, 0] = vocabulary.word_to_idx["<START>"]
    captions = captions.where(column < lengths, vocabulary.word_to_idx["<END>"])
    captions = captions.where(column <= lengths, vocabulary.word_to_idx["<NULL>"])
    return {
        "ours": _Ours(ours, features, captions),
        "numpy": _Numpy(ours, features, captions, features.numpy().dtype),
        "numpy_64": _Numpy(ours, features, captions, np.dtype(np.float64)),
        "torch_nn": _Torch(ours, features, captions),
    }


def disagreement(running: dict[str, Contender]) -> float:
    """Return how far losses and gradients lie apart."""
    (loss, grads), *others = (each.gradients() for each in running.values())
    apart = [abs(other_loss - loss) / abs(loss) for other_loss, _ in others]
    for _, other_grads in others:
        for name, grad in grads.items():
            distance = np.linalg.norm(other_grads[name] - grad) / np.linalg.norm(grad)
            apart.append(float(distance))
    return float(np.max(apart))  # NaN where one is NaN


class _Ours:
    def __init__(self, model: CaptioningRNN, features: Tensor, captions: Tensor) -> None:
        self._model, self._features, self._captions = model, features, captions
        self._optimiser = torch.optim.Adam(model.params.values(), lr=_RATE, fused=True)

    def gradients(self) -> Gradients:
        loss, grads = self._model.loss(self._features, self._captions)
        return loss.item(), {name: grad.numpy() for name, grad in grads.items()}

    def step(self) -> None:
        _, grads = self._model.loss(self._features, self._captions)
        for name, param in self._model.params.items():
            param.grad = grads[name]
        self._optimiser.step()


class _Torch:
    def __init__(self, like: CaptioningRNN, features: Tensor, captions: Tensor) -> None:
        self._lstm = like.cell_type == "lstm"
        self._features, self._captions = features, captions.T
        V, D = like.params["W_embed"].shape
        F, H = like.params["W_proj"].shape
        self._project = nn.Linear(F, H, dtype=features.dtype)
        self._embed = nn.Embedding(V, D, dtype=features.dtype)
        self._recurrent = (nn.LSTM if self._lstm else nn.RNN)(D, H, dtype=features.dtype)
        self._score = nn.Linear(H, V, dtype=features.dtype)
        Wx, Wh, b, second_b = self._recurrent.parameters()
        self._weights = {
            "W_proj": self._project.weight,
            "b_proj": self._project.bias,
            "W_embed": self._embed.weight,
            "Wx": Wx,
            "Wh": Wh,
            "b": b,
            "W_vocab": self._score.weight,
            "b_vocab": self._score.bias,
        }
        with torch.no_grad():
            second_b.zero_()  # torch has two vectors of biases, which are added
            for name, weight in self._weights.items():
                weight.copy_(self._turned(name, self._reordered(name, like.params[name])))
        self._optimiser = torch.optim.Adam(
            [*self._weights.values(), second_b], lr=_RATE, fused=True
        )

    def _reordered(self, name: str, tensor: Tensor) -> Tensor:
        """Turn our order of the gates, f, i, c̃, o, into that of torch, i, f, c̃, o, or back."""
        if not self._lstm or name not in ("Wx", "Wh", "b"):
            return tensor
        f, i, c_tilde, o = tensor.chunk(4, dim=-1)
        return torch.cat([i, f, c_tilde, o], dim=-1)

    def _turned(self, name: str, tensor: Tensor) -> Tensor:
        """Turn our matrices, which rows are multiplied with, into those of torch, or back."""
        return tensor.T if tensor.ndim == 2 and name != "W_embed" else tensor

    def _loss(self) -> Tensor:
        h0 = self._project(self._features)[None]
        state = (h0, h0) if self._lstm else h0
        h, _ = self._recurrent(self._embed(self._captions[:-1]), state)
        total = nn.functional.cross_entropy(
            self._score(h).flatten(0, 1),
            self._captions[1:].flatten(),
            ignore_index=0,  # <NULL>
            reduction="sum",
        )
        return total / len(self._features)

    def gradients(self) -> Gradients:
        loss = self._loss()
        grads = torch.autograd.grad(loss, list(self._weights.values()))
        return loss.item(), {
            name: self._reordered(name, self._turned(name, grad)).numpy()
            for name, grad in zip(self._weights, grads, strict=True)
        }

    def step(self) -> None:
        self._optimiser.zero_grad()
        self._loss().backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()


# NumPy, batch first as in the course


class _Numpy:
    def __init__(
        self, like: CaptioningRNN, features: Tensor, captions: Tensor, dtype: np.dtype[Any]
    ) -> None:
        self._params = {name: param.numpy().astype(dtype) for name, param in like.params.items()}
        self._lstm = like.cell_type == "lstm"
        self._features, self._captions = features.numpy().astype(dtype), captions.numpy()
        self._moments = {
            name: (np.zeros_like(param), np.zeros_like(param))
            for name, param in self._params.items()
        }
        self._iteration = 0

    def gradients(self) -> Gradients:
        p = self._params
        words_in, words_out = self._captions[:, :-1], self._captions[:, 1:]
        h0 = self._features @ p["W_proj"] + p["b_proj"]
        x = p["W_embed"][words_in]  # (N, T, D)
        h, caches = self._sequence_forward(x, h0)
        N, T, H = h.shape
        flat_h = h.reshape(N * T, H)
        scores = flat_h @ p["W_vocab"] + p["b_vocab"]
        loss, dscores = _softmax_loss(scores, words_out.reshape(-1), N)

        grads = {"W_vocab": flat_h.T @ dscores, "b_vocab": dscores.sum(axis=0)}
        dh = (dscores @ p["W_vocab"].T).reshape(N, T, H)
        dx, dh0, grads["Wx"], grads["Wh"], grads["b"] = self._sequence_backward(dh, caches)
        grads["W_embed"] = np.zeros_like(p["W_embed"])
        np.add.at(grads["W_embed"], words_in, dx)
        grads["W_proj"], grads["b_proj"] = self._features.T @ dh0, dh0.sum(axis=0)
        return loss, grads

    def step(self) -> None:
        _, grads = self.gradients()
        self._iteration += 1
        for name, param in self._params.items():
            m, v = self._moments[name]
            m = _BETA_1 * m + (1 - _BETA_1) * grads[name]
            v = _BETA_2 * v + (1 - _BETA_2) * grads[name] ** 2
            self._moments[name] = m, v
            m_hat = m / (1 - _BETA_1**self._iteration)
            v_hat = v / (1 - _BETA_2**self._iteration)
            self._params[name] = param - _RATE * m_hat / (np.sqrt(v_hat) + _EPSILON)

    def _sequence_forward(self, x: Array, h: Array) -> tuple[Array, list[tuple[Array, ...]]]:
        p = self._params
        N, T, _ = x.shape
        states, caches = np.empty((N, T, h.shape[1]), dtype=x.dtype), []
        c = h
        for t in range(T):
            if self._lstm:
                h, c, cache = _lstm_step_forward(x[:, t], h, c, p["Wx"], p["Wh"], p["b"])
            else:
                h, cache = _rnn_step_forward(x[:, t], h, p["Wx"], p["Wh"], p["b"])
            states[:, t] = h
            caches.append(cache)
        return states, caches

    def _sequence_backward(
        self, dh: Array, caches: list[tuple[Array, ...]]
    ) -> tuple[Array, Array, Array, Array, Array]:
        p = self._params
        N, T, _ = dh.shape
        dx = np.empty((N, T, len(p["Wx"])), dtype=dh.dtype)
        dWx, dWh, db = (np.zeros_like(p[name]) for name in ("Wx", "Wh", "b"))
        dprev_h, dprev_c = np.zeros_like(dh[:, 0]), np.zeros_like(dh[:, 0])
        for t in reversed(range(T)):
            dnext_h = dh[:, t] + dprev_h
            if self._lstm:
                dx[:, t], dprev_h, dprev_c, dWx_t, dWh_t, db_t = _lstm_step_backward(
                    dnext_h, dprev_c, caches[t]
                )
            else:
                dx[:, t], dprev_h, dWx_t, dWh_t, db_t = _rnn_step_backward(dnext_h, caches[t])
            dWx += dWx_t
            dWh += dWh_t
            db += db_t
        return dx, dprev_h + dprev_c, dWx, dWh, db


def _rnn_step_forward(
    x: Array, prev_h: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, tuple[Array, ...]]:
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def _rnn_step_backward(dnext_h: Array, cache: tuple[Array, ...]) -> tuple[Array, ...]:
    x, prev_h, Wx, Wh, next_h = cache
    dz = dnext_h * (1 - next_h**2)
    return dz @ Wx.T, dz @ Wh.T, x.T @ dz, prev_h.T @ dz, dz.sum(axis=0)


def _lstm_step_forward(
    x: Array, prev_h: Array, prev_c: Array, Wx: Array, Wh: Array, b: Array
) -> tuple[Array, Array, tuple[Array, ...]]:
    zf, zi, zc, zo = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    f, i, c_tilde, o = _sigmoid(zf), _sigmoid(zi), np.tanh(zc), _sigmoid(zo)
    next_c = f * prev_c + i * c_tilde
    tanh_c = np.tanh(next_c)
    return o * tanh_c, next_c, (x, prev_h, prev_c, Wx, Wh, f, i, c_tilde, o, tanh_c)


def _lstm_step_backward(
    dnext_h: Array, dnext_c: Array, cache: tuple[Array, ...]
) -> tuple[Array, ...]:
    x, prev_h, prev_c, Wx, Wh, f, i, c_tilde, o, tanh_c = cache
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    dz = np.hstack(
        [
            dc * prev_c * f * (1 - f),
            dc * c_tilde * i * (1 - i),
            dc * i * (1 - c_tilde**2),
            dnext_h * tanh_c * o * (1 - o),
        ]
    )
    return dz @ Wx.T, dz @ Wh.T, dc * f, x.T @ dz, prev_h.T @ dz, dz.sum(axis=0)


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _softmax_loss(scores: Array, labels: Array, N: int) -> tuple[float, Array]:
    """Sum the cross-entropy over the words that are not <NULL>, divided by the captions."""
    mask, rows = labels != 0, np.arange(len(labels))
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -np.sum(mask * np.log(probs[rows, labels])) / N
    dscores = probs.copy()
    dscores[rows, labels] -= 1
    dscores /= N
    dscores *= mask[:, None]
    return float(loss), dscores


def table(rows: list[Row]) -> str:
    """Lay rows out as text."""
    lines = [
        (
            f"{'cell':<6}{'ours':>11}{'NumPy':>12}{'NumPy 64':>12}{'torch.nn':>12}"
            f"{'NumPy/ours':>13}{'64/ours':>10}{'nn/ours':>10}{'rounds':>9}"
        )
    ]
    for row in rows:
        milliseconds = (f"{1e3 * s:9.1f} ms" for s in (row.numpy, row.numpy_64, row.torch_nn))
        lines.append(
            f"{row.cell:<6}{1e3 * row.ours:8.1f} ms{''.join(milliseconds)}"
            f"{row.numpy / row.ours:13.2f}{row.numpy_64 / row.ours:10.2f}"
            f"{row.torch_nn / row.ours:10.2f}{row.rounds:9d}"
        )
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--cell", choices=["rnn", "lstm"], action="append", help="default: both")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each cell (default: 20)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    sizes = Sizes()
    numbers = ", ".join(f"{name} = {size}" for name, size in sizes._asdict().items())
    print(f"A training iteration of captioning, {options.dtype}; medians; {numbers}")
    cells: list[Cell] = options.cell or ["lstm", "rnn"]
    dtype = getattr(torch, options.dtype)
    rows = [measure(cell, sizes, seconds=options.seconds, dtype=dtype) for cell in cells]
    print(f"{table(rows)}\n")
