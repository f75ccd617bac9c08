"""The hand-derived layers as modules and functions that ``torch.autograd`` knows.

:class:`RNN` and :class:`LSTM` stand where :class:`torch.nn.RNN` and :class:`torch.nn.LSTM` do. Each
inherits parameters, initialisation, ``state_dict`` and representation from its counterpart, and
runs :mod:`rnnreport.layers` forward and backward in its place. :class:`AttentionLSTM` has no
counterpart there; its parameters are those of the layer.
"""

from rnnreport.nn._functions import (
    content_loss,
    dropout,
    embedding_bag,
    max_pool,
    sigmoid_loss,
    style_loss,
    total_variation_loss,
)
from rnnreport.nn._recurrent import LSTM, RNN, AttentionLSTM

__all__ = [
    "LSTM",
    "RNN",
    "AttentionLSTM",
    "content_loss",
    "dropout",
    "embedding_bag",
    "max_pool",
    "sigmoid_loss",
    "style_loss",
    "total_variation_loss",
]
