"""GloVe's counts of words that stand near each other, and its loss with the gradients.

Pennington, Socher and Manning (2014). The equations (G1) to (G9) are those of the report's page on
word vectors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_device, check_indices, check_shapes
from rnnreport.layers._rows import add_rows


class Cooccurrences(NamedTuple):
    """How often words stand near each other: the P pairs with a count above zero.

    Attributes
    ----------
    rows, columns : Tensor, shape (P,), int64
        The two words of each pair, sorted by row, then by column. With (i, j) stands (j, i).
    counts : Tensor, shape (P,), float64
        The counts :math:`X_{ij}`; equation (G1).
    """

    rows: Tensor
    columns: Tensor
    counts: Tensor


@torch.no_grad()
def cooccurrences(
    words: Tensor, lengths: Tensor, n_words: int, *, window: int = 10
) -> Cooccurrences:
    """Count the words that stand near each other in a sentence; equation (G1).

    Parameters
    ----------
    words : Tensor, shape (total,), int64 or int32
        The words of all sentences, one sentence after the other, as indices in [0, `n_words`).
    lengths : Tensor, shape (N,), int64 or int32
        How many words each sentence has; 0 is allowed.
    n_words
        V, the size of the vocabulary.
    window
        The largest distance that counts; at least 1.

    Returns
    -------
    Cooccurrences
        Two words at distance d add 1/d to both of their pairs, (i, j) and (j, i); a word that
        stands near itself therefore adds 2/d to (i, i). On the device of `words`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, an index is out of range, a
        length is negative, the lengths do not add up to the number of words, or `n_words` or
        `window` is below 1.
    """
    check_shapes({"words": (words, "total"), "lengths": (lengths, "N")})
    for name, value in (("n_words", n_words), ("window", window)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    check_indices("words", words, n_words, "word indices")
    check_device("lengths", lengths, ("words", words))
    check_indices("lengths", lengths, len(words) + 1, "lengths")
    if lengths.sum() != len(words):
        raise ValueError(
            f"lengths must add up to the number of words, {len(words)}, got {int(lengths.sum())}"
        )

    sentences = torch.arange(len(lengths), device=words.device).repeat_interleave(lengths)
    words = words.long()
    keys, shares = [], []
    for distance in range(1, min(window, len(words) - 1) + 1):
        together = sentences[distance:] == sentences[:-distance]
        left, right = words[:-distance][together], words[distance:][together]
        keys += [left * n_words + right, right * n_words + left]
        shares += [torch.full_like(left, 1 / distance, dtype=torch.float64)] * 2  # (G1)
    if not keys:
        keys, shares = [words[:0]], [words[:0].double()]
    pairs, place = torch.unique(torch.cat(keys), return_inverse=True)
    counts = torch.zeros_like(pairs, dtype=torch.float64)
    add_rows(counts, place, torch.cat(shares))
    return Cooccurrences(pairs // n_words, pairs % n_words, counts)


@torch.no_grad()
def glove_loss(
    W: Tensor,
    W_context: Tensor,
    b: Tensor,
    b_context: Tensor,
    rows: Tensor,
    columns: Tensor,
    counts: Tensor,
    *,
    x_max: float = 100.0,
    alpha: float = 0.75,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Compute the loss of GloVe over some pairs and its gradients; equations (G3) to (G9).

    Parameters
    ----------
    W : Tensor, shape (V, D)
        Word vectors. float32, float64 or complex128; the next three have its dtype and device.
    W_context : Tensor, shape (V, D)
        Context vectors.
    b : Tensor, shape (V,)
        Biases of the words.
    b_context : Tensor, shape (V,)
        Biases of the contexts.
    rows, columns : Tensor, shape (P,), int64 or int32
        Word and context of each pair, in [0, V). A pair may stand several times.
    counts : Tensor, shape (P,), float32 or float64
        How often each pair was seen; above 0.
    x_max
        The count from which on all counts weigh the same; above 0.
    alpha
        How fast the weight grows up to there; at least 0.

    Returns
    -------
    loss : Tensor, shape ()
        The weighted squared error, summed over the pairs; (G3) with the weights (G4).
    gradients : tuple of four Tensors
        Of `W` (G6), `W_context` (G7), `b` (G8) and `b_context` (G9), in their shapes; zero for
        words that do not occur.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, an index is out of range, a
        count is not above 0 or not finite, or `x_max` or `alpha` is out of range.
    """
    sizes = check_shapes(
        {
            "W": (W, "V D"),
            "W_context": (W_context, "V D"),
            "b": (b, "V"),
            "b_context": (b_context, "V"),
            "rows": (rows, "P"),
            "columns": (columns, "P"),
            "counts": (counts, "P"),
        }
    )
    check_alike(("W", W), W_context=W_context, b=b, b_context=b_context)
    for name, indices in (("rows", rows), ("columns", columns)):
        check_device(name, indices, ("W", W))
        check_indices(name, indices, sizes["V"], "word indices")
    check_device("counts", counts, ("W", W))
    if counts.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"counts must have dtype torch.float32 or torch.float64, got {counts.dtype}"
        )
    if not ((counts > 0) & counts.isfinite()).all():
        raise ValueError("counts must be above 0 and finite, got others")
    if not 0 < x_max < math.inf:
        raise ValueError(f"x_max must be above 0 and finite, got {x_max}")
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be at least 0 and finite, got {alpha}")

    counts = counts.to(W.real.dtype)
    weight = (counts / x_max).clamp(max=1) ** alpha  # (G4)
    w, w_context = W.index_select(0, rows), W_context.index_select(0, columns)  # (P, D)
    error = (w * w_context).sum(1) + b[rows] + b_context[columns] - counts.log()
    loss = (weight * error * error).sum()  # (G3)

    delta = 2 * weight * error  # (G5)
    dw, dw_context = delta[:, None] * w_context, delta[:, None] * w
    # A word collects the terms of all its pairs.
    dW = add_rows(torch.zeros_like(W), rows, dw)  # (G6)
    dW_context = add_rows(torch.zeros_like(W), columns, dw_context)  # (G7)
    db = add_rows(torch.zeros_like(b), rows, delta)  # (G8)
    db_context = add_rows(torch.zeros_like(b), columns, delta)  # (G9)
    return loss, (dW, dW_context, db, db_context)
