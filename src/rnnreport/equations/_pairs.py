"""Every forward and backward pair of `rnnreport.layers`, and every loss, with its exact proof."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport import layers
from rnnreport.equations._table import bound_text
from rnnreport.proof import Verdict, prove, prove_loss

__all__ = ["PAIRS", "Pair", "PairRow", "PairSizes", "PairTable", "pairs"]


class PairSizes(NamedTuple):
    """Sizes of a proof: steps, sequences, inputs and states; places and words are derived."""

    T: int = 3
    N: int = 2
    D: int = 3
    H: int = 2


class Pair(NamedTuple):
    """A layer or a loss, ready to be proven.

    Attributes
    ----------
    inputs : mapping of str
        What the forward pass takes; a gradient is expected of each tensor of float64.
    forward : callable
        Returns ``(out, cache)``; of a loss, its value and its gradients.
    backward : callable or None
        Takes the gradients of the outputs and the cache; None of a loss.
    """

    inputs: Mapping[str, Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None = None

    def prove(self, seed: int = 0) -> Verdict:
        """Prove or refute it."""
        if self.backward is None:
            return prove_loss(self.forward, self.inputs, seed=seed)
        return prove(self.forward, self.backward, self.inputs, seed=seed)


def _shape(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)  # the values do not count


def _whole(below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=Generator().manual_seed(1))


def _cell(gates: int, s: PairSizes) -> dict[str, Tensor]:
    width = gates * s.H
    return {"Wx": _shape(s.D, width), "Wh": _shape(s.H, width), "b": _shape(width)}


def _rnn_step(s: PairSizes, nonlinearity: str = "tanh") -> Pair:
    def forward(*arguments: Tensor) -> Any:
        return layers.rnn_step_forward(*arguments, nonlinearity=nonlinearity)

    inputs = {"x": _shape(s.N, s.D), "prev_h": _shape(s.N, s.H), **_cell(1, s)}
    return Pair(inputs, forward, layers.rnn_step_backward)


def _rnn(s: PairSizes, nonlinearity: str = "tanh") -> Pair:
    def forward(*arguments: Tensor) -> Any:
        return layers.rnn_forward(*arguments, nonlinearity=nonlinearity)

    inputs = {"x": _shape(s.T, s.N, s.D), "h0": _shape(s.N, s.H), **_cell(1, s)}
    return Pair(inputs, forward, layers.rnn_backward)


def _gru_step(s: PairSizes) -> Pair:
    inputs = {"x": _shape(s.N, s.D), "prev_h": _shape(s.N, s.H), **_cell(3, s)}
    return Pair(inputs | {"bh": _shape(s.H)}, layers.gru_step_forward, layers.gru_step_backward)


def _gru(s: PairSizes) -> Pair:
    inputs = {"x": _shape(s.T, s.N, s.D), "h0": _shape(s.N, s.H), **_cell(3, s)}
    return Pair(inputs | {"bh": _shape(s.H)}, layers.gru_forward, layers.gru_backward)


def _lstm_step(s: PairSizes) -> Pair:
    states = {"prev_h": _shape(s.N, s.H), "prev_c": _shape(s.N, s.H)}
    inputs = {"x": _shape(s.N, s.D), **states, **_cell(4, s)}
    return Pair(inputs, layers.lstm_step_forward, layers.lstm_step_backward)


def _lstm(s: PairSizes) -> Pair:
    """Read the last cell state too, and differentiate by the first one."""

    def forward(*arguments: Tensor) -> tuple[Tensor, Tensor, layers.LSTMCache]:
        h, cache = layers.lstm_forward(*arguments)
        return h, cache.c[-1], cache

    def backward(dh: Tensor, dc_T: Tensor, cache: layers.LSTMCache) -> tuple[Tensor, ...]:
        return layers.lstm_backward(dh, cache, dc_T=dc_T, return_dc0=True)

    inputs = {"x": _shape(s.T, s.N, s.D), "h0": _shape(s.N, s.H), **_cell(4, s)}
    return Pair(inputs | {"c0": _shape(s.N, s.H)}, forward, backward)


def _projection(s: PairSizes) -> dict[str, Tensor]:
    """Return weights of a projected LSTM, whose state has one element more than its cell."""
    cell = _cell(4, s) | {"Wh": _shape(s.H + 1, 4 * s.H)}
    return cell | {"Wp": _shape(s.H, s.H + 1)}


def _projected_lstm_step(s: PairSizes) -> Pair:
    states = {"prev_h": _shape(s.N, s.H + 1), "prev_c": _shape(s.N, s.H)}
    inputs = {"x": _shape(s.N, s.D), **states, **_projection(s)}
    return Pair(inputs, layers.projected_lstm_step_forward, layers.projected_lstm_step_backward)


def _projected_lstm(s: PairSizes) -> Pair:
    """Read the last cell state too."""

    def forward(*arguments: Tensor) -> tuple[Tensor, Tensor, layers.ProjectedLSTMCache]:
        h, cache = layers.projected_lstm_forward(*arguments)
        return h, cache.c[-1], cache

    def backward(dh: Tensor, dc_T: Tensor, cache: layers.ProjectedLSTMCache) -> Any:
        return layers.projected_lstm_backward(dh, cache, dc_T=dc_T)

    inputs = {"x": _shape(s.T, s.N, s.D), "h0": _shape(s.N, s.H + 1), **_projection(s)}
    return Pair(inputs | {"c0": _shape(s.N, s.H)}, forward, backward)


def _packing(s: PairSizes) -> tuple[int, ...]:
    """How many sequences run at each step: one fewer from step to step, while there are some."""
    return tuple(max(1, s.N - step) for step in range(s.T))


def _packed(
    s: PairSizes,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    *,
    rows: bool = False,
    **options: str,
) -> Pair:
    """Make the pair of a packed layer; with `rows`, its steps share two inputs."""
    sizes = _packing(s)
    count = sum(sizes)
    shared = _whole(2, count) if rows else None

    def packed(*arguments: Tensor) -> Any:
        return forward(*arguments, sizes, rows=shared, **options)

    return Pair({"x": _shape(2 if rows else count, s.D), **inputs}, packed, backward)


def _packed_rnn(s: PairSizes, rows: bool = False, nonlinearity: str = "tanh") -> Pair:
    layer = layers.packed_rnn_forward, layers.packed_rnn_backward
    inputs = {"h0": _shape(s.N, s.H), **_cell(1, s)}
    return _packed(s, *layer, inputs, rows=rows, nonlinearity=nonlinearity)


def _packed_gru(s: PairSizes, rows: bool = False) -> Pair:
    layer = layers.packed_gru_forward, layers.packed_gru_backward
    inputs = {"h0": _shape(s.N, s.H), **_cell(3, s), "bh": _shape(s.H)}
    return _packed(s, *layer, inputs, rows=rows)


def _packed_lstm(s: PairSizes, rows: bool = False) -> Pair:
    layer = layers.packed_lstm_forward, layers.packed_lstm_backward
    inputs = {"h0": _shape(s.N, s.H), **_cell(4, s), "c0": _shape(s.N, s.H)}
    return _packed(s, *layer, inputs, rows=rows)


def _packed_projected_lstm(s: PairSizes, rows: bool = False) -> Pair:
    layer = layers.packed_projected_lstm_forward, layers.packed_projected_lstm_backward
    inputs = {"h0": _shape(s.N, s.H + 1), **_projection(s), "c0": _shape(s.N, s.H)}
    return _packed(s, *layer, inputs, rows=rows)


def _attention(s: PairSizes) -> Pair:
    inputs = {"h": _shape(s.N, s.H), "A": _shape(s.N, s.T, s.H)}
    return Pair(inputs, layers.attention_forward, layers.attention_backward)


def _attention_lstm_step(s: PairSizes) -> Pair:
    states = {"prev_h": _shape(s.N, s.H), "prev_c": _shape(s.N, s.H)}
    cell = _cell(4, s)
    inputs = {"x": _shape(s.N, s.D), **states, "A": _shape(s.N, s.T, s.H)}
    inputs |= {"Wx": cell["Wx"], "Wh": cell["Wh"], "Wa": cell["Wh"], "b": cell["b"]}
    return Pair(inputs, layers.attention_lstm_step_forward, layers.attention_lstm_step_backward)


def _attention_lstm(s: PairSizes) -> Pair:
    cell = _cell(4, s)
    inputs = {"x": _shape(s.T, s.N, s.D), "A": _shape(s.N, s.T, s.H)}
    inputs |= {"h0": _shape(s.N, s.H), "c0": _shape(s.N, s.H)}
    inputs |= {"Wx": cell["Wx"], "Wh": cell["Wh"], "Wa": cell["Wh"], "b": cell["b"]}
    return Pair(inputs, layers.attention_lstm_forward, layers.attention_lstm_backward)


def _word_embedding(s: PairSizes) -> Pair:
    inputs = {"x": _whole(s.H + 1, s.T, s.N), "W": _shape(s.H + 1, s.D)}
    return Pair(inputs, layers.word_embedding_forward, layers.word_embedding_backward)


def _temporal_fc(s: PairSizes) -> Pair:
    inputs = {"x": _shape(s.T, s.N, s.D), "w": _shape(s.D, s.H), "b": _shape(s.H)}
    return Pair(inputs, layers.temporal_fc_forward, layers.temporal_fc_backward)


def _temporal_softmax(s: PairSizes) -> Pair:
    mask = _whole(2, s.T, s.N).bool()
    mask[0] = True
    inputs = {"x": _shape(s.T, s.N, s.D), "y": _whole(s.D, s.T, s.N), "mask": mask}
    return Pair(inputs, layers.temporal_softmax_loss)


def _embedding_bag(s: PairSizes, average: bool) -> Pair:
    lengths = 1 + _whole(s.T, s.N)

    def forward(W: Tensor) -> Any:
        words = _whole(len(W), int(lengths.sum()))
        return layers.embedding_bag_forward(words, lengths, W, average=average)

    return Pair({"W": _shape(s.H + 1, s.D)}, forward, layers.embedding_bag_backward)


def _max_pool(s: PairSizes) -> Pair:
    inputs = {"x": _shape(s.T, s.N, s.D), "lengths": 1 + _whole(s.T, s.N)}
    return Pair(inputs, layers.max_pool_forward, layers.max_pool_backward)


def _sigmoid(s: PairSizes) -> Pair:
    labels = _whole(2, s.N).double()
    return Pair({"s": _shape(s.N)}, lambda scores: layers.sigmoid_loss(scores, labels))


def _dropout(s: PairSizes) -> Pair:
    def forward(x: Tensor) -> Any:
        return layers.dropout_forward(x, 0.3, Generator().manual_seed(0))

    return Pair({"x": _shape(s.T, s.D)}, forward, layers.dropout_backward)


def _content(s: PairSizes) -> Pair:
    aim = torch.linspace(-1, 1, s.D * s.T, dtype=torch.float64).view(s.D, s.T)
    return Pair({"F": _shape(s.D, s.T)}, lambda F: layers.content_loss(F, aim, 0.3))


def _style(s: PairSizes) -> Pair:
    half = torch.linspace(-1, 1, s.D * s.D, dtype=torch.float64).view(s.D, s.D)
    return Pair({"F": _shape(s.D, s.T)}, lambda F: layers.style_loss(F, half + half.T, 0.3))


def _variation(s: PairSizes) -> Pair:
    inputs = {"x": _shape(s.D, s.T, s.H)}
    return Pair(inputs, lambda x: layers.total_variation_loss(x, 0.3))


def _glove(s: PairSizes) -> Pair:
    V, P = s.H + 1, 2 * s.N
    rows, columns, counts = _whole(V, P), _whole(V, P).flip(0), 1.5 + _whole(200, P).double()

    def loss(W: Tensor, W_context: Tensor, b: Tensor, b_context: Tensor) -> Any:
        return layers.glove_loss(W, W_context, b, b_context, rows, columns, counts)

    vectors = {"W": _shape(V, s.D), "W_context": _shape(V, s.D)}
    return Pair(vectors | {"b": _shape(V), "b_context": _shape(V)}, loss)


PAIRS: Mapping[str, Callable[[PairSizes], Pair]] = {
    "RNN, one step": _rnn_step,
    "RNN, sequence": _rnn,
    "RNN, packed": _packed_rnn,
    "RNN, packed, shared inputs": lambda s: _packed_rnn(s, rows=True),
    "RNN with ReLU, one step": lambda s: _rnn_step(s, "relu"),
    "RNN with ReLU, sequence": lambda s: _rnn(s, "relu"),
    "RNN with ReLU, packed": lambda s: _packed_rnn(s, nonlinearity="relu"),
    "LSTM, one step": _lstm_step,
    "LSTM, sequence": _lstm,
    "LSTM, packed": _packed_lstm,
    "LSTM, packed, shared inputs": lambda s: _packed_lstm(s, rows=True),
    "GRU, one step": _gru_step,
    "GRU, sequence": _gru,
    "GRU, packed": _packed_gru,
    "GRU, packed, shared inputs": lambda s: _packed_gru(s, rows=True),
    "projected LSTM, one step": _projected_lstm_step,
    "projected LSTM, sequence": _projected_lstm,
    "projected LSTM, packed": _packed_projected_lstm,
    "projected LSTM, packed, shared inputs": lambda s: _packed_projected_lstm(s, rows=True),
    "attention": _attention,
    "LSTM with attention, one step": _attention_lstm_step,
    "LSTM with attention, sequence": _attention_lstm,
    "word embedding": _word_embedding,
    "affine map": _temporal_fc,
    "softmax loss with a mask": _temporal_softmax,
    "embedding bag, sum": lambda s: _embedding_bag(s, average=False),
    "embedding bag, average": lambda s: _embedding_bag(s, average=True),
    "maximum over time": _max_pool,
    "sigmoid loss": _sigmoid,
    "dropout": _dropout,
    "content loss": _content,
    "style loss, through the Gram matrix": _style,
    "total variation": _variation,
    "GloVe's loss": _glove,
}
"""Each pair by its name; a function of the sizes."""


_HEADS = ("Layer", "Gradients", "Verdict", "Degree", "Doubt")


class PairRow(NamedTuple):
    """The proof of a pair.

    Attributes
    ----------
    name : str
        A key of :data:`PAIRS`.
    gradients : int
        Of how many inputs.
    verdict : Verdict
        What the proof found.
    seconds : float
        How long it took.
    """

    name: str
    gradients: int
    verdict: Verdict
    seconds: float


@dataclass(frozen=True)
class PairTable:
    """Proofs of all pairs; shows itself as HTML in a page and as text elsewhere.

    Attributes
    ----------
    rows : tuple of PairRow
        In the order of :data:`PAIRS`.
    """

    rows: tuple[PairRow, ...]

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return sum(row.seconds for row in self.rows)

    @property
    def ok(self) -> bool:
        """Whether all are proven."""
        return all(row.verdict for row in self.rows)

    def __str__(self) -> str:
        lines = [_HEADS, *self._cells()]
        widths = [max(len(line[k]) for line in lines) for k in range(len(_HEADS))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
        body = "".join(_line(*cells) for cells in self._cells())
        return (
            '<div class="ledger"><div class="ledger-scroll" role="region" tabindex="0" '
            'aria-label="Proofs of all layers"><table class="ledger-table">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
        )

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            verdict = "proven" if row.verdict else f"refuted: {', '.join(row.verdict.wrong)}"
            degree, doubt = f"{row.verdict.degree}", bound_text(row.verdict.doubt)
            yield row.name, str(row.gradients), verdict, degree, doubt


def _line(name: str, *cells: str) -> str:
    columns = "".join(f'<td class="ledger-number">{escape(cell)}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{columns}</tr>'


def pairs(sizes: PairSizes | None = None, *, seed: int = 0) -> PairTable:
    """Prove every layer and loss.

    Parameters
    ----------
    sizes
        Of all of them; three steps, two sequences, three inputs and two states if not given.
    seed
        Draws primes and points.
    """
    rows = []
    for name, pair in PAIRS.items():
        made = pair(sizes or PairSizes())
        start = time.perf_counter()
        verdict = made.prove(seed)
        seconds = time.perf_counter() - start
        floats = [each for each in made.inputs.values() if each.is_floating_point()]
        rows.append(PairRow(name, len(floats), verdict, seconds))
    return PairTable(tuple(rows))
