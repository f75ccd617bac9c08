"""The hand-derived layers as modules and functions that ``torch.autograd`` knows.

:class:`RNN`, :class:`GRU`, :class:`LSTM` and their cells stand where those of :mod:`torch.nn` do.
Each inherits parameters, initialisation, options, ``state_dict`` and representation from its
counterpart, and runs :mod:`rnnreport.layers` forward and backward in its place.
:class:`AttentionLSTM` has no counterpart there; its parameters are those of the layer.
"""

from rnnreport.nn._attention import AttentionLSTM
from rnnreport.nn._cells import GRUCell, LSTMCell, RNNCell
from rnnreport.nn._functions import (
    content_loss,
    dropout,
    embedding_bag,
    max_pool,
    sigmoid_loss,
    softmax_loss,
    style_loss,
    total_variation_loss,
)
from rnnreport.nn._recurrent import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionLSTM",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "content_loss",
    "dropout",
    "embedding_bag",
    "max_pool",
    "sigmoid_loss",
    "softmax_loss",
    "style_loss",
    "total_variation_loss",
]
