"""Beam search: the most probable sentences, with several beginnings kept at each step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rnnreport._checks import check_at_least

__all__ = ["beam_search"]


@torch.no_grad()
def beam_search(
    advance: Callable[[Tensor, Tensor], Tensor],
    *,
    count: int,
    start: int,
    end: int,
    pad: int,
    max_length: int,
    beam: int,
    length_penalty: float,
) -> Tensor:
    r"""Search for the most probable sentences of a network that writes one word at a time.

    Each of the N sentences has as many slots as the beam is wide. A slot holds a sentence or the
    beginning of one. At every step all beginnings are continued by all words, and the most
    probable continuations take their places; a sentence that has come to its end keeps its slot.
    With one slot this is greedy search. With so many slots that nothing has to be left out it
    is exhaustive.

    Long sentences have small probabilities. In the end the sentence counts with the largest

    .. math::

       \frac{\log p(w_1, \dots, w_\ell)}{\ell^{\alpha}} ,

    where :math:`\ell` is the number of words, the end included. One that was cut off counts only
    if no slot has come to an end.

    Parameters
    ----------
    advance
        Goes one step on. It is given the rows of its own state to go on from, shape (N · B,), and
        the last word of each, of the same shape, and returns the log-probability of every word to
        come next, shape (N · B, V); minus infinity for words that must not be written. In the
        beginning, row ``n * B + k`` of the state is for slot k of sentence n.
    count
        N.
    start, end, pad
        The word that a sentence begins with, the one that ends it, and the one that stands
        behind the end.
    max_length
        The most words of a sentence, the end included.
    beam
        B, the number of slots.
    length_penalty
        :math:`\alpha`: 0 compares probabilities, 1 the mean logarithm a word.

    Returns
    -------
    Tensor, shape (N, max_length), int64
        The words of each sentence, without the one that it begins with. A row without an end was
        cut off.

    Raises
    ------
    ValueError
        If `max_length` or `beam` is below 1 or `length_penalty` below 0.
    """
    check_at_least(1, max_length=max_length, beam=beam)
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty must be a number from 0, got {length_penalty}")

    first = torch.arange(count)[:, None] * beam  # of each sentence's slots
    rows = first + torch.arange(beam)
    word = torch.full((count, beam), start)
    sentences = torch.full((count, beam, max_length), pad)
    length = torch.zeros(count, beam, dtype=torch.int64)
    ended = torch.zeros(count, beam, dtype=torch.bool)
    log_p = torch.full((count, beam), -math.inf, dtype=torch.float64)
    log_p[:, 0] = 0  # all slots are alike in the beginning: one of them is enough
    for step in range(max_length):
        next_log_p = advance(rows.view(-1), word.view(-1)).cpu().double().view(count, beam, -1)
        n_words = next_log_p.shape[2]
        continued = (log_p.masked_fill(ended, -math.inf)[:, :, None] + next_log_p).flatten(1)
        if continued.shape[1] < beam:  # fewer words than slots
            missing = beam - continued.shape[1]
            continued = torch.nn.functional.pad(continued, (0, missing), value=-math.inf)
        best, which = continued.topk(beam, dim=1)  # sorted

        # The k-th slot that has not ended takes the k-th best continuation.
        place = ((~ended).cumsum(1) - 1).clamp(min=0)
        taken = which.gather(1, place)
        came_from = (taken // n_words).clamp(max=beam - 1)
        slot = torch.where(ended, torch.arange(beam), came_from)
        word = torch.where(ended, pad, taken % n_words)
        log_p = torch.where(ended, log_p, best.gather(1, place))
        sentences = sentences.gather(1, slot[:, :, None].expand(-1, -1, max_length))
        sentences[:, :, step] = word
        length = torch.where(ended, length, step + 1)
        ended |= (word == end) & (log_p > -math.inf)
        rows = first + slot
        if ended.all():
            break

    quality = log_p / length**length_penalty
    # A sentence with an end comes before one without, and a slot that was never filled comes last.
    quality = torch.where(ended, quality, quality - 1e9)
    return sentences[torch.arange(count), quality.argmax(dim=1)]
