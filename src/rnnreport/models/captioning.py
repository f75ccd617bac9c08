"""Image captioning with a recurrent network, without automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport._checks import check_at_least, check_choice
from rnnreport.layers import (
    attention_lstm_backward,
    attention_lstm_forward,
    attention_lstm_step_forward,
    dropout_backward,
    dropout_forward,
    lstm_forward,
    lstm_step_forward,
    packed_lstm_backward,
    packed_lstm_forward,
    packed_rnn_backward,
    packed_rnn_forward,
    rnn_forward,
    rnn_step_forward,
    temporal_fc_backward,
    temporal_fc_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)
from rnnreport.models.beam_search import beam_search
from rnnreport.names import CELLS, CellType

__all__ = ["CaptioningRNN", "Trace", "write_together"]

_SPECIAL = ("<NULL>", "<START>", "<END>", "<UNK>")


class Trace(NamedTuple):
    """What a network holds while it reads captions.

    Attributes
    ----------
    h : Tensor, shape (T, N, H)
        Hidden state after each word, of which ``<START>`` is the first.
    c : Tensor or None, shape (T, N, H)
        Cell state after each word; None for the RNN.
    gates : Tensor or None, shape (T, N, 4, H)
        The gates f, i, c̃ and o at each word; None for the RNN.
    weights : Tensor or None, shape (T, N, P)
        How the attention is spread over the P places when each word is read; None for a network
        without attention.
    scores : Tensor, shape (T, N, V)
        Score of every word to come next.
    """

    h: Tensor
    c: Tensor | None
    gates: Tensor | None
    weights: Tensor | None
    scores: Tensor


class _State(NamedTuple):
    """Where a network stands between two words; `A` has a row an image, or one a caption."""

    A: Tensor  # (N, P, H)
    h: Tensor  # (N, H)
    c: Tensor  # (N, H)


class CaptioningRNN:
    r"""A recurrent network that describes an image in words.

    An affine map turns the features of an image, at each of its P places, into rows of a matrix.
    Their mean is the first hidden state. From then on the network reads one word at a time, first
    ``<START>``, and gives every word of the vocabulary a score for being the next one:

    .. math::

       A = \phi W_{proj} + b_{proj}, \qquad
       h_0 = \frac1P \sum_p A_p, \qquad
       h_t = \mathrm{cell}(W_{embed}[w_t], h_{t-1}), \qquad
       s_t = h_t W_{vocab} + b_{vocab}

    The RNN and the LSTM see one place, the image as a whole. The network with attention is an LSTM
    that looks at all places at every step. Where there is a cell state, it begins as the hidden
    state does: what the image says then stays within reach of later words. The loss is the
    cross-entropy of the words that follow. Its gradients come from the layers' own backward passes;
    autograd is never asked.

    Parameters
    ----------
    word_to_idx
        The index of each of the V words, ``<NULL>``, ``<START>``, ``<END>`` and ``<UNK>`` among
        them; together the indices are 0 to V - 1.
    input_dim
        F, the number of features of an image, or of one of its places.
    wordvec_dim
        D, the size of a word vector.
    hidden_dim
        H, the size of the hidden state.
    cell_type
        ``"rnn"``, ``"lstm"`` or ``"attention"``.
    dropout
        The share of the word vectors' numbers, and of the hidden states' on their way to the
        scores, that :meth:`loss` drops where it is given a generator.
    dtype
        Of the parameters: float32, float64, or complex128 to check derivatives with.
    device
        Where the parameters live.
    generator
        Draws the first weights, on the CPU: normal, with a variance of 1 for the word
        vectors and of one over the number of rows elsewhere, so that every product starts with a
        variance near 1; biases start at 0. They are the same for every dtype and device up to
        rounding.

    Attributes
    ----------
    word_to_idx : dict of str to int
        The index of each word.
    params : dict of str to Tensor
        ``W_proj`` (F, H), ``b_proj`` (H,), ``W_embed`` (V, D), ``Wx`` (D, G·H), ``Wh`` (H, G·H),
        with attention ``Wa`` (H, G·H), ``b`` (G·H,), ``W_vocab`` (H, V), ``b_vocab`` (V,), where G
        is 1 for the RNN and 4 for the others. Change them in place to train.

    Raises
    ------
    ValueError
        If a size is below 1, the cell is unknown, `dropout` is not in [0, 1), a special word is
        missing or the indices are not 0 to V - 1.
    """

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        *,
        input_dim: int,
        wordvec_dim: int,
        hidden_dim: int,
        cell_type: CellType = "rnn",
        dropout: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: Generator,
    ) -> None:
        check_choice("cell_type", cell_type, CELLS)
        check_at_least(1, input_dim=input_dim, wordvec_dim=wordvec_dim, hidden_dim=hidden_dim)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        missing = [word for word in _SPECIAL if word not in word_to_idx]
        if missing:
            raise ValueError(f"word_to_idx must hold {missing[0]}, got words without it")
        n_words = len(word_to_idx)
        if sorted(word_to_idx.values()) != list(range(n_words)):
            raise ValueError(
                f"word_to_idx must hold each index from 0 to {n_words - 1} once, got other indices"
            )

        self.word_to_idx = dict(word_to_idx)
        self.cell_type: CellType = cell_type
        self.input_dim = input_dim
        self.dropout = dropout
        self._null, self._start, self._end, self._unk = (word_to_idx[word] for word in _SPECIAL)
        gates = 1 if cell_type == "rnn" else 4

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
        }
        if cell_type == "attention":
            self.params["Wa"] = normal(H, gates * H, 1 / math.sqrt(H))
        self.params |= {
            "b": zeros(gates * H),
            "W_vocab": normal(H, n_words, 1 / math.sqrt(H)),
            "b_vocab": zeros(n_words),
        }

    @property
    def num_parameters(self) -> int:
        """How many numbers the parameters hold."""
        return sum(param.numel() for param in self.params.values())

    @torch.no_grad()
    def loss(
        self, features: Tensor, captions: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of captions and its gradients.

        The words but the last go in, the words but the first should come out. Where ``<NULL>``
        should come out, nothing is counted. Without attention, what follows the last word that
        counts is not computed either.

        Parameters
        ----------
        features : Tensor, shape (N, F), or (N, P, F) with attention
            Features of N images, in the dtype and on the device of the parameters.
        captions : Tensor, shape (N, L), int64
            Word indices, one row for each image: ``<START>``, the words, ``<END>``, then
            ``<NULL>`` to the end. L is at least 2.
        generator
            Draws what is dropped; without it nothing is.

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
        self._check_captions(captions, features)
        p = self.params
        order, sizes, words_in, words_out = self._pack(captions)  # S words in, S words out
        share = 0.0 if generator is None else self.dropout
        generator = generator or Generator()  # with a share of 0 nothing is drawn from it

        phi = self._places(features[order])  # (N, P, F)
        A, _ = temporal_fc_forward(phi, p["W_proj"], p["b_proj"])  # (N, P, H)
        h0 = A.mean(1)  # (N, H)
        words, rows = words_in, None
        if share == 0 and self.cell_type != "attention":  # a word that recurs is one input
            words, rows = torch.unique(words_in, return_inverse=True)
        x, embed_cache = word_embedding_forward(words[:, None], p["W_embed"])  # a row a word
        x, x_cache = dropout_forward(x, share, generator)
        if self.cell_type == "rnn":
            h, rnn_cache = packed_rnn_forward(
                x[:, 0], h0, p["Wx"], p["Wh"], p["b"], sizes, rows=rows
            )
        elif self.cell_type == "lstm":
            h, lstm_cache = packed_lstm_forward(
                x[:, 0], h0, p["Wx"], p["Wh"], p["b"], h0, sizes, rows=rows
            )
        else:
            steps = x.view(len(sizes), len(h0), -1)  # (T, N, D)
            h, attention_cache = attention_lstm_forward(
                steps, A, h0, h0, p["Wx"], p["Wh"], p["Wa"], p["b"]
            )
            h = h.flatten(0, 1)
        h, h_cache = dropout_forward(h, share, generator)  # (S, H)
        scores, vocab_cache = temporal_fc_forward(h[:, None], p["W_vocab"], p["b_vocab"])
        total, dscores = temporal_softmax_loss(  # of S steps of a batch of one: a sum
            scores, words_out[:, None], words_out[:, None] != self._null
        )
        loss, dscores = total / len(h0), dscores.div_(len(h0))

        grads: dict[str, Tensor] = {}
        dh, grads["W_vocab"], grads["b_vocab"] = temporal_fc_backward(dscores, vocab_cache)
        dh = dropout_backward(dh[:, 0], h_cache)
        dA: Tensor | float = 0.0
        if self.cell_type == "rnn":
            dx, dh0, grads["Wx"], grads["Wh"], grads["b"] = packed_rnn_backward(dh, rnn_cache)
        elif self.cell_type == "lstm":
            dx, dh0, grads["Wx"], grads["Wh"], grads["b"], dc0 = packed_lstm_backward(
                dh, lstm_cache
            )
            dh0 = dh0 + dc0  # both states begin alike
        else:
            dx, dA, dh0, dc0, grads["Wx"], grads["Wh"], grads["Wa"], grads["b"] = (
                attention_lstm_backward(dh.view_as(attention_cache.h), attention_cache)
            )
            dh0 = dh0 + dc0
        dx = dropout_backward(dx.view_as(x), x_cache)
        grads["W_embed"] = word_embedding_backward(dx, embed_cache)
        dA = dA + (dh0 / A.shape[1])[:, None].expand_as(A)  # each place has its share of the mean
        grads["W_proj"] = phi.flatten(0, 1).T @ dA.flatten(0, 1)  # the features need no gradient
        grads["b_proj"] = dA.sum((0, 1))
        return loss, {name: grads[name] for name in p}

    @torch.no_grad()
    def trace(self, features: Tensor, captions: Tensor) -> Trace:
        """Read captions; return states, gates, attention and scores.

        Parameters
        ----------
        features : Tensor, shape (N, F), or (N, P, F) with attention
            Features of N images, in the dtype and on the device of the parameters.
        captions : Tensor, shape (N, L), int64
            As :meth:`loss` takes them; the last word is not read.

        Returns
        -------
        Trace
            States, gates, attention and scores at each of the T = L - 1 words.

        Raises
        ------
        ValueError
            If a shape, dtype or device does not fit, or an index is out of range.
        """
        self._check_features(features)
        self._check_captions(captions, features)
        p = self.params
        A, h0, c0 = self._begin(features)
        x, _ = word_embedding_forward(captions[:, :-1].T, p["W_embed"])
        c = gates = weights = None
        if self.cell_type == "rnn":
            h, _ = rnn_forward(x, h0, p["Wx"], p["Wh"], p["b"])
        elif self.cell_type == "lstm":
            h, lstm_cache = lstm_forward(x, h0, p["Wx"], p["Wh"], p["b"], c0)
            c, gates = lstm_cache.c[1:], lstm_cache.gates
        else:
            h, attention_cache = attention_lstm_forward(
                x, A, h0, c0, p["Wx"], p["Wh"], p["Wa"], p["b"]
            )
            c, gates, weights = (
                attention_cache.c[1:],
                attention_cache.gates,
                attention_cache.weights,
            )
        scores, _ = temporal_fc_forward(h, p["W_vocab"], p["b_vocab"])
        return Trace(h, c, gates, weights, scores)

    @torch.no_grad()
    def sample(self, features: Tensor, max_length: int = 30) -> Tensor:
        """Write captions, taking at each step the word with the highest score.

        ``<NULL>``, ``<START>`` and ``<UNK>`` are no words to write and are never taken, however
        high their score. A caption ends with ``<END>``; what follows is filled with ``<NULL>``.

        Parameters
        ----------
        features : Tensor, shape (N, F), or (N, P, F) with attention
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
        check_at_least(1, max_length=max_length)
        captions = torch.full(
            (len(features), max_length), self._null, dtype=torch.int64, device=features.device
        )
        state = self._begin(features)
        word = torch.full_like(captions[:, 0], self._start)
        ended = torch.zeros_like(word, dtype=torch.bool)
        for step in range(max_length):
            state, scores = self._advance(state, word)
            word = self._sayable(scores).argmax(dim=1)
            captions[:, step] = torch.where(ended, self._null, word)
            ended |= word == self._end
            if ended.all():
                break
        return captions

    @torch.no_grad()
    def beam_search(
        self,
        features: Tensor,
        max_length: int = 30,
        *,
        beam: int = 3,
        length_penalty: float = 0.7,
    ) -> Tensor:
        """Write captions, keeping several beginnings in view.

        Parameters
        ----------
        features : Tensor, shape (N, F), or (N, P, F) with attention
            Features of N images, in the dtype and on the device of the parameters.
        max_length, beam, length_penalty
            As :func:`~rnnreport.models.beam_search.beam_search` takes them. ``<NULL>``,
            ``<START>`` and ``<UNK>`` are never written.

        Returns
        -------
        Tensor, shape (N, max_length), int64
            As from :meth:`sample`.

        Raises
        ------
        ValueError
            If the features do not fit or a number is out of its range.
        """
        return write_together(
            [self],
            [features],
            max_length,
            beam=beam,
            length_penalty=length_penalty,
        )

    def _continuations(self, features: Tensor, beam: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what gives each slot of each image the probabilities of its next word."""
        begun = self._begin(features)
        slots = torch.arange(len(features), device=features.device).repeat_interleave(max(beam, 1))
        state = _State(begun.A[slots], begun.h[slots], begun.c[slots])

        def advance(rows: Tensor, word: Tensor) -> Tensor:
            nonlocal state
            rows, word = rows.to(features.device), word.to(features.device)
            # The slots of an image share its places, so A stays as it is.
            state, scores = self._advance(_State(state.A, state.h[rows], state.c[rows]), word)
            return torch.log_softmax(scores.real, dim=1)

        return advance

    def _begin(self, features: Tensor) -> _State:
        """Look at images: the state before the first word."""
        p = self.params
        A, _ = temporal_fc_forward(self._places(features), p["W_proj"], p["b_proj"])
        h = A.mean(1)
        return _State(A, h, h)

    def _advance(self, state: _State, word: Tensor) -> tuple[_State, Tensor]:
        """Read one word for each row: the next state, and the scores (N, V) of the next word."""
        p = self.params
        A, h, c = state
        x = word_embedding_forward(word[None], p["W_embed"])[0][0]  # (N, D)
        if self.cell_type == "rnn":
            h, _ = rnn_step_forward(x, h, p["Wx"], p["Wh"], p["b"])
        elif self.cell_type == "lstm":
            h, c, _ = lstm_step_forward(x, h, c, p["Wx"], p["Wh"], p["b"])
        else:
            h, c, _ = attention_lstm_step_forward(x, h, c, A, p["Wx"], p["Wh"], p["Wa"], p["b"])
        return _State(A, h, c), temporal_fc_forward(h[None], p["W_vocab"], p["b_vocab"])[0][0]

    def _sayable(self, scores: Tensor) -> Tensor:
        """Scores, or log-probabilities, with minus infinity for what is no word to write."""
        allowed = scores.real.clone()
        allowed[:, [self._null, self._start, self._unk]] = -math.inf
        return allowed

    def _pack(self, captions: Tensor) -> tuple[Tensor, list[int], Tensor, Tensor]:
        """Sort captions, longest first, and line up the words of each step, without the padding.

        A caption ends with the last word that should come out. With attention, which knows no
        packed sequences, and for a caption without any word, padding is left in.

        Returns
        -------
        order : Tensor, shape (N,)
            The captions' places in `captions`.
        sizes : list of int
            How many captions have each step; their sum is S.
        words_in, words_out : Tensor, shape (S,)
            What is read at each step, and what should come out.
        """
        words_in, words_out = captions[:, :-1].T, captions[:, 1:].T  # (T, N), T = L - 1
        steps = torch.arange(1, len(words_out) + 1, device=captions.device)[:, None]
        lengths = (steps * (words_out != self._null)).amax(0).clamp(min=1)
        if self.cell_type == "attention":
            lengths.fill_(len(words_out))
        lengths, order = lengths.sort(descending=True, stable=True)
        runs = steps <= lengths  # (T, N)
        sizes = [size for size in runs.sum(1).tolist() if size]
        return order, sizes, words_in[:, order][runs], words_out[:, order][runs]

    def _places(self, features: Tensor) -> Tensor:
        """Features as (N, P, F): without attention an image is one place."""
        return features if features.ndim == 3 else features[:, None]

    def _check_features(self, features: Tensor) -> None:
        like = self.params["W_proj"]
        axes, size = ("N, P, F", "any, ") if self.cell_type == "attention" else ("N, F", "")
        if (
            features.ndim != len(axes.split())
            or features.shape[-1] != self.input_dim
            or not features.numel()
        ):
            raise ValueError(
                f"features must have shape ({axes}) = (at least 1, {size}{self.input_dim}), got "
                f"{tuple(features.shape)}"
            )
        if features.dtype != like.dtype or features.device != like.device:
            raise ValueError(
                f"features must have dtype {like.dtype} and be on {like.device} as the parameters "
                f"are, got {features.dtype} on {features.device}"
            )

    def _check_captions(self, captions: Tensor, features: Tensor) -> None:
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


@torch.no_grad()
def write_together(
    models: Sequence[CaptioningRNN],
    features: Sequence[Tensor],
    max_length: int = 30,
    *,
    beam: int = 3,
    length_penalty: float = 0.7,
) -> Tensor:
    r"""Let several networks write captions together, by beam search.

    The probability of the next word is the mean of theirs,
    :math:`p(w) = \frac1M \sum_m p_m(w)`.

    Parameters
    ----------
    models
        M networks of one vocabulary.
    features
        Of the same N images for each network, as :meth:`CaptioningRNN.beam_search` takes them.
    max_length, beam, length_penalty
        As :func:`~rnnreport.models.beam_search.beam_search` takes them. ``<NULL>``, ``<START>``
        and ``<UNK>`` are never written.

    Returns
    -------
    Tensor, shape (N, max_length), int64
        As from :meth:`CaptioningRNN.sample`.

    Raises
    ------
    ValueError
        If there is no network, the vocabularies differ, the features do not fit or a number is out
        of its range.
    """
    if not models or len(models) != len(features):
        raise ValueError(
            f"models must be as many as features and at least one, got {len(models)} models and "
            f"features for {len(features)}"
        )
    first = models[0]
    for model, of_model in zip(models, features, strict=True):
        model._check_features(of_model)
        if len(of_model) != len(features[0]) or model.word_to_idx != first.word_to_idx:
            raise ValueError("models must have one vocabulary and features of the same images")
    parts = [model._continuations(f, beam) for model, f in zip(models, features, strict=True)]

    def advance(rows: Tensor, word: Tensor) -> Tensor:
        log_p = torch.stack([part(rows, word) for part in parts])
        return first._sayable(log_p.logsumexp(0) - math.log(len(parts)))

    return beam_search(
        advance,
        count=len(features[0]),
        start=first._start,
        end=first._end,
        pad=first._null,
        max_length=max_length,
        beam=beam,
        length_penalty=length_penalty,
    ).to(features[0].device)
