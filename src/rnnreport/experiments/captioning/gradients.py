"""The gradient over time: how much of an early state is left in a later one.

The product of the Jacobians of single steps, equations (60) to (64), is the Jacobian of a state by
an earlier one. Its largest singular value says how far the later state can move at most when the
earlier one does. It is measured in captioning networks that read captions of images which they
have not seen, with fresh weights and with the weights that training has found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from rnnreport._checks import check_numbers
from rnnreport.experiments.captioning import training
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.splits import Split, Words
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.experiments.captioning.training import images_of
from rnnreport.layers import (
    lstm_step_forward,
    lstm_step_jacobian,
    rnn_step_forward,
    rnn_step_jacobian,
)
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.names import CellType
from rnnreport.progress import track
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["CELLS", "WHEN", "GradientsConfig", "jacobians", "request", "run"]

CELLS: tuple[CellType, ...] = ("rnn", "lstm")
"""The networks whose gradient is measured."""

WHEN = ("before", "after")
"""The two states of a network: with fresh weights, and trained."""


@dataclass(frozen=True)
class GradientsConfig:
    """How the gradient over time is measured.

    Attributes
    ----------
    training
        Of the network: an RNN or an LSTM.
    n_captions
        The most captions that are read, one of each validation image.
    distance
        The most steps between the two states; fewer if no caption has as many words. The captions
        that are read have at least so many.
    """

    training: CaptionConfig
    n_captions: int = 20
    distance: int = 12

    def __post_init__(self) -> None:
        if self.training.cell_type == "attention":
            raise ValueError("training must be of a network without attention, got 'attention'")
        check_numbers(self, at_least_1="n_captions distance")


def request(config: GradientsConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.captioning.training.request` raises.
    """
    trained = training.request(config.training)
    return Request(
        "caption-gradients",
        __name__,
        config,
        data={**trained.data, "network": trained.key},
        seeds=trained.seeds,
        device=describe_device("cpu"),
    )


def run(config: GradientsConfig) -> Result:
    """Measure the gradient over time of a network, or return the stored result.

    Parameters
    ----------
    config
        What to measure. The network is trained first if it is not stored.

    Returns
    -------
    Result
        ``details["norms"]`` has for ``"before"`` and ``"after"`` training and for each earlier
        state, ``"h"`` and with an LSTM ``"c"``, a list for each distance from 1 on: the largest
        singular value of the Jacobian of the last hidden state, caption by caption.
        ``details["captions"]`` are the captions that were read.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.captioning.training.run` raises.
    """
    return get_or_compute(request(config), lambda: _measure(config, training.run(config.training)))


@torch.no_grad()
def jacobians(
    model: CaptioningRNN, features: Tensor, captions: Tensor, distance: int
) -> Iterator[dict[str, Tensor]]:
    r"""Differentiate the last hidden state by earlier states, from the nearest one back.

    With the Jacobian :math:`J_\tau` of a step, this is :math:`J_T J_{T-1} \cdots J_{t+1}`; for an
    LSTM the rows of :math:`h_T` in the product of the Jacobians of the pair (h, c).

    Parameters
    ----------
    model
        An RNN or an LSTM.
    features : Tensor, shape (N, F)
        Features of N images.
    captions : Tensor, shape (N, L), int64
        As :meth:`CaptioningRNN.loss` takes them, without ``<NULL>``; the last word is not read, so
        T = L - 1.
    distance
        How many steps to go back; at most T.

    Yields
    ------
    dict of str to Tensor, shape (N, H, H)
        ``"h"``: :math:`\partial h_T / \partial h_t`, for an LSTM with :math:`c_t` held fixed;
        ``"c"``: :math:`\partial h_T / \partial c_t` with :math:`h_t` held fixed, of an LSTM alone.
        The first is of t = T - 1.

    Raises
    ------
    ValueError
        If the network has attention, or the captions are too short for the distance.
    """
    steps = _step_jacobians(model, features, captions)
    if not 1 <= distance <= len(steps):
        raise ValueError(f"distance must be 1 to {len(steps)} for these captions, got {distance}")
    hidden = model.params["Wh"].shape[0]
    product = torch.eye(steps[0].shape[1], dtype=features.dtype)[:hidden]  # the rows of h_T
    for step in reversed(steps[len(steps) - distance :]):
        product = product @ step
        parts = torch.split(product, hidden, dim=2)
        yield dict(zip("hc", parts, strict=False))  # an RNN has no c


def _step_jacobians(model: CaptioningRNN, features: Tensor, captions: Tensor) -> list[Tensor]:
    """Jacobians of every step: (N, H, H) of an RNN, (N, 2H, 2H) of an LSTM."""
    if model.cell_type == "attention":
        raise ValueError("model must be a network without attention, got 'attention'")
    p = model.params
    h = c = features @ p["W_proj"] + p["b_proj"]  # both states begin alike
    steps = []
    for word in captions[:, :-1].T:
        x = p["W_embed"][word]
        if model.cell_type == "rnn":
            h, rnn_cache = rnn_step_forward(x, h, p["Wx"], p["Wh"], p["b"])
            steps.append(rnn_step_jacobian(rnn_cache))
        else:
            h, c, lstm_cache = lstm_step_forward(x, h, c, p["Wx"], p["Wh"], p["b"])
            dh_dh, dh_dc, dc_dh, dc_dc = lstm_step_jacobian(lstm_cache)
            rows = [torch.cat([dh_dh, dh_dc], 2), torch.cat([dc_dh, dc_dc], 2)]
            steps.append(torch.cat(rows, 1))
    return steps


def _measure(config: GradientsConfig, trained: Result) -> Outcome:
    captioner = TrainedCaptioner(trained)
    settings = captioner.config
    val = (
        images_of(settings)
        .splits(captioner.vocabulary, places=False, max_words=settings.max_words)
        .val
    )
    distance = min(config.distance, int(val.lengths.max()) - 2)  # less <START> and <END>
    rows = _choose(val, distance, config.n_captions)
    features = val.features.double()[val.owners[rows]]
    captions = val.captions[rows]
    norms: dict[str, dict[str, list[list[float]]]] = {}
    for when, model in zip(WHEN, (_fresh(captioner), captioner.model), strict=True):
        model.params = {name: param.cpu().double() for name, param in model.params.items()}
        of_captions = [
            _norms(model, features[k : k + 1], captions[k : k + 1], distance)
            for k in track(range(len(rows)), f"gradients {when} training")
        ]
        norms[when] = {
            state: [list(row) for row in zip(*(each[state] for each in of_captions), strict=True)]
            for state in of_captions[0]
        }
    read: list[Words] = [tuple(words) for words in captioner.vocabulary.decode(captions)]
    details: dict[str, Any] = {"norms": norms, "captions": read}
    return Outcome(
        history={},
        metrics={"captions": len(read), "distance": distance},
        details=details,
    )


def _choose(split: Split, distance: int, count: int) -> Tensor:
    """Take the longest caption of each image, and of these the first that are long enough."""
    longest: dict[int, int] = {}
    lengths = split.lengths.tolist()
    for row, owner in enumerate(split.owners.tolist()):
        if lengths[row] > lengths[longest.setdefault(owner, row)]:
            longest[owner] = row
    rows = [row for row in longest.values() if lengths[row] - 2 >= distance]
    return torch.tensor(rows[:count])


def _norms(
    model: CaptioningRNN, features: Tensor, caption: Tensor, distance: int
) -> dict[str, list[float]]:
    """Return the norms for one caption, by the earlier state; <START> and the words are read."""
    whole = caption[:, : int((caption != 0).sum())]  # <NULL> is the first of the special words
    norms: dict[str, list[float]] = {}
    for parts in jacobians(model, features, whole, distance):
        for state, jacobian in parts.items():
            norms.setdefault(state, []).append(float(torch.linalg.svdvals(jacobian[0])[0]))
    return norms


def _fresh(captioner: TrainedCaptioner) -> CaptioningRNN:
    """Return the network with weights drawn as before training."""
    settings = captioner.config
    return CaptioningRNN(
        captioner.vocabulary.word_to_idx,
        input_dim=captioner.model.input_dim,
        wordvec_dim=settings.wordvec_dim,
        hidden_dim=settings.hidden_dim,
        cell_type=settings.cell_type,
        generator=Generator().manual_seed(settings.seed),
    )
