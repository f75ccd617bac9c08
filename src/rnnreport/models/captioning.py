"""Image captioning with a recurrent network, without automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from rnnreport.layers import (
    lstm_backward,
    lstm_forward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_forward,
    temporal_fc_backward,
    temporal_fc_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)

__all__ = ["CaptioningRNN", "CellType"]

CellType = Literal["rnn", "lstm"]
_SPECIAL = ("<NULL>", "<START>", "<END>", "<UNK>")


class CaptioningRNN:
    r"""A recurrent network that says what is in an image.

    An affine map turns the image's features into the first hidden state. From then on the network
    reads one word at a time, first ``<START>``, and gives every word of the vocabulary a score for
    being the next one:

    .. math::

       h_0 = a W_{proj} + b_{proj}, \qquad
       h_t = \mathrm{cell}(W_{embed}[w_t], h_{t-1}), \qquad
       s_t = h_t W_{vocab} + b_{vocab}

    The loss is the cross-entropy of the words that follow. Its gradients come from the layers'
    own backward passes; autograd is never asked.

    Parameters
    ----------
    word_to_idx
        The index of each of the V words, ``<NULL>``, ``<START>``, ``<END>`` and ``<UNK>`` among
        them; together the indices are 0 to V - 1.
    input_dim
        F, the number of features of an image.
    wordvec_dim
        D, the size of a word vector.
    hidden_dim
        H, the size of the hidden state.
    cell_type
        ``"rnn"`` or ``"lstm"``.
    dtype
        Of the parameters: float32, float64, or complex128 to check derivatives with.
    device
        Where the parameters live.
    generator
        The source of the first weights, on the CPU: normal, with a variance of 1 for the word
        vectors and of one over the number of rows elsewhere, so that every product starts with a
        variance near 1; biases start at 0. They are the same for every dtype and device up to
        rounding.

    Attributes
    ----------
    params : dict of str to Tensor
        ``W_proj`` (F, H), ``b_proj`` (H,), ``W_embed`` (V, D), ``Wx`` (D, G·H), ``Wh`` (H, G·H),
        ``b`` (G·H,), ``W_vocab`` (H, V), ``b_vocab`` (V,), where G is 1 for the RNN and 4 for the
        LSTM. Change them in place to train.

    Raises
    ------
    ValueError
        If a size is below 1, the cell is unknown, a special word is missing or the indices are
        not 0 to V - 1.
    """

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        *,
        input_dim: int,
        wordvec_dim: int,
        hidden_dim: int,
        cell_type: CellType = "rnn",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: Generator,
    ) -> None:
        if cell_type not in get_args(CellType):
            raise ValueError(f"cell_type must be 'rnn' or 'lstm', got {cell_type!r}")
        for name, size in (
            ("input_dim", input_dim),
            ("wordvec_dim", wordvec_dim),
            ("hidden_dim", hidden_dim),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        missing = [word for word in _SPECIAL if word not in word_to_idx]
        if missing:
            raise ValueError(f"word_to_idx must hold {missing[0]}, got words without it")
        n_words = len(word_to_idx)
        if sorted(word_to_idx.values()) != list(range(n_words)):
            raise ValueError(
                f"word_to_idx must hold each index from 0 to {n_words - 1} once, got other indices"
            )

        self.cell_type: CellType = cell_type
        self.input_dim = input_dim
        self._null, self._start, self._end, self._unk = (word_to_idx[word] for word in _SPECIAL)
        gates = {"rnn": 1, "lstm": 4}[cell_type]

        def normal(rows: int, columns: int, scale: float) -> Tensor:
            weights = torch.randn(rows, columns, dtype=torch.float64, generator=generator) * scale
            return weights.to(device, dtype)

        def zeros(size: int) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        D, H = wordvec_dim, hidden_dim
        self.params: dict[str, Tensor] = {
            "W_proj": normal(input_dim, H, 1 / math.sqrt(input_dim)),
            "b_proj": zeros(H),
            "W_embed": normal(n_words, D, 1.0),
            "Wx": normal(D, gates * H, 1 / math.sqrt(D)),
            "Wh": normal(H, gates * H, 1 / math.sqrt(H)),
            "b": zeros(gates * H),
            "W_vocab": normal(H, n_words, 1 / math.sqrt(H)),
            "b_vocab": zeros(n_words),
        }

    @property
    def num_parameters(self) -> int:
        """How many numbers the parameters hold."""
        return sum(param.numel() for param in self.params.values())

    @torch.no_grad()
    def loss(self, features: Tensor, captions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of captions and its gradients.

        The words but the last go in, the words but the first should come out. Where ``<NULL>``
        should come out, nothing is counted.

        Parameters
        ----------
        features : Tensor, shape (N, F)
            Features of N images, in the dtype and on the device of the parameters.
        captions : Tensor, shape (N, L), int64
            Word indices, one row for each image: ``<START>``, the words, ``<END>``, then
            ``<NULL>`` to the end. L is at least 2.

        Returns
        -------
        loss : Tensor, shape ()
            Cross-entropy, summed over the words of a caption and averaged over captions.
        grads : dict of str to Tensor
            The gradient of each entry of :attr:`params`, in its shape.

        Raises
        ------
        ValueError
            If a shape, dtype or device does not fit, or an index is out of range.
        """
        self._check_features(features)
        if captions.ndim != 2 or captions.shape[1] < 2 or len(captions) != len(features):
            raise ValueError(
                f"captions must have shape (N, L) = ({len(features)}, at least 2), got "
                f"{tuple(captions.shape)}"
            )
        if captions.dtype != torch.int64 or captions.device != features.device:
            raise ValueError(
                f"captions must have dtype torch.int64 and be on {features.device}, got "
                f"{captions.dtype} on {captions.device}"
            )
        n_words = len(self.params["W_embed"])
        if captions.min() < 0 or captions.max() >= n_words:
            raise ValueError(
                f"captions must hold indices in [0, {n_words}), got {int(captions.min())} to "
                f"{int(captions.max())}"
            )
        p = self.params
        words_in, words_out = captions[:, :-1].T, captions[:, 1:].T  # (T, N), T = L - 1
        mask = words_out != self._null

        h0, proj_cache = temporal_fc_forward(features[None], p["W_proj"], p["b_proj"])  # (1, N, H)
        x, embed_cache = word_embedding_forward(words_in, p["W_embed"])  # (T, N, D)
        if self.cell_type == "rnn":
            h, rnn_cache = rnn_forward(x, h0[0], p["Wx"], p["Wh"], p["b"])  # (T, N, H)
        else:
            h, lstm_cache = lstm_forward(x, h0[0], p["Wx"], p["Wh"], p["b"])
        scores, vocab_cache = temporal_fc_forward(h, p["W_vocab"], p["b_vocab"])  # (T, N, V)
        loss, dscores = temporal_softmax_loss(scores, words_out, mask)

        dh, dW_vocab, db_vocab = temporal_fc_backward(dscores, vocab_cache)
        if self.cell_type == "rnn":
            dx, dh0, dWx, dWh, db = rnn_backward(dh, rnn_cache)
        else:
            dx, dh0, dWx, dWh, db = lstm_backward(dh, lstm_cache)
        dW_embed = word_embedding_backward(dx, embed_cache)
        _, dW_proj, db_proj = temporal_fc_backward(dh0[None], proj_cache)
        return loss, {
            "W_proj": dW_proj,
            "b_proj": db_proj,
            "W_embed": dW_embed,
            "Wx": dWx,
            "Wh": dWh,
            "b": db,
            "W_vocab": dW_vocab,
            "b_vocab": db_vocab,
        }

    @torch.no_grad()
    def sample(self, features: Tensor, max_length: int = 30) -> Tensor:
        """Write captions, taking at each step the word with the highest score.

        ``<NULL>``, ``<START>`` and ``<UNK>`` are no words to write and are never taken, however
        high their score. A caption ends with ``<END>``; what follows is filled with ``<NULL>``.

        Parameters
        ----------
        features : Tensor, shape (N, F)
            Features of N images, in the dtype and on the device of the parameters.
        max_length
            The most words to write, ``<END>`` included; at least 1.

        Returns
        -------
        Tensor, shape (N, max_length), int64
            Word indices, without ``<START>``. A row without ``<END>`` was cut off.

        Raises
        ------
        ValueError
            If the features do not fit or `max_length` is below 1.
        """
        self._check_features(features)
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        p = self.params
        count = len(features)
        captions = torch.full(
            (count, max_length), self._null, dtype=torch.int64, device=features.device
        )
        h = temporal_fc_forward(features[None], p["W_proj"], p["b_proj"])[0][0]  # (N, H)
        c = torch.zeros_like(h)
        word = torch.full_like(captions[:, 0], self._start)
        ended = torch.zeros_like(word, dtype=torch.bool)
        for step in range(max_length):
            x = word_embedding_forward(word[None], p["W_embed"])[0][0]  # (N, D)
            if self.cell_type == "rnn":
                h, _ = rnn_step_forward(x, h, p["Wx"], p["Wh"], p["b"])
            else:
                h, c, _ = lstm_step_forward(x, h, c, p["Wx"], p["Wh"], p["b"])
            scores = temporal_fc_forward(h[None], p["W_vocab"], p["b_vocab"])[0][0].real  # (N, V)
            scores[:, [self._null, self._start, self._unk]] = -math.inf
            word = scores.argmax(dim=1)
            captions[:, step] = torch.where(ended, self._null, word)
            ended |= word == self._end
            if ended.all():
                break
        return captions

    def _check_features(self, features: Tensor) -> None:
        like = self.params["W_proj"]
        if features.ndim != 2 or features.shape[1] != self.input_dim or not len(features):
            raise ValueError(
                f"features must have shape (N, F) = (at least 1, {self.input_dim}), got "
                f"{tuple(features.shape)}"
            )
        if features.dtype != like.dtype or features.device != like.device:
            raise ValueError(
                f"features must have dtype {like.dtype} and be on {like.device} as the parameters "
                f"are, got {features.dtype} on {features.device}"
            )
