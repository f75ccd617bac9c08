"""Layers as pairs of pure functions: ``forward -> (out, cache)``, ``backward(dout, cache)``.

Sequences are time first, ``(T, N, D)``. LSTM gates are packed ``f, i, c̃, o`` along the last axis. A
result has the dtype and device of the arguments: float32 or float64 on CPU and CUDA, complex128 on
the CPU. There the formulas are continued analytically (no conjugation), so that the complex step
can check a derivative. No argument is changed.
"""

from rnnreport.layers._attention import (
    AttentionCache,
    AttentionLSTMCache,
    AttentionLSTMStepCache,
    attention_backward,
    attention_forward,
    attention_lstm_backward,
    attention_lstm_forward,
    attention_lstm_step_backward,
    attention_lstm_step_forward,
)
from rnnreport.layers._dropout import DropoutCache, dropout_backward, dropout_forward
from rnnreport.layers._glove import Cooccurrences, cooccurrences, glove_loss
from rnnreport.layers._jacobians import lstm_step_jacobian, rnn_step_jacobian
from rnnreport.layers._lstm import (
    LSTMCache,
    LSTMStepCache,
    lstm_backward,
    lstm_forward,
    lstm_step_backward,
    lstm_step_forward,
)
from rnnreport.layers._packed import (
    PackedLSTMCache,
    PackedRNNCache,
    packed_lstm_backward,
    packed_lstm_forward,
    packed_rnn_backward,
    packed_rnn_forward,
)
from rnnreport.layers._pooling import (
    EmbeddingBagCache,
    MaxPoolCache,
    embedding_bag_backward,
    embedding_bag_forward,
    max_pool_backward,
    max_pool_forward,
    sigmoid_loss,
)
from rnnreport.layers._rnn import (
    RNNCache,
    RNNStepCache,
    rnn_backward,
    rnn_forward,
    rnn_step_backward,
    rnn_step_forward,
)
from rnnreport.layers._style import (
    content_loss,
    gram_matrix,
    style_loss,
    total_variation_loss,
)
from rnnreport.layers._temporal import (
    TemporalFCCache,
    WordEmbeddingCache,
    temporal_fc_backward,
    temporal_fc_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)

__all__ = [
    "AttentionCache",
    "AttentionLSTMCache",
    "AttentionLSTMStepCache",
    "Cooccurrences",
    "DropoutCache",
    "EmbeddingBagCache",
    "LSTMCache",
    "LSTMStepCache",
    "MaxPoolCache",
    "PackedLSTMCache",
    "PackedRNNCache",
    "RNNCache",
    "RNNStepCache",
    "TemporalFCCache",
    "WordEmbeddingCache",
    "attention_backward",
    "attention_forward",
    "attention_lstm_backward",
    "attention_lstm_forward",
    "attention_lstm_step_backward",
    "attention_lstm_step_forward",
    "content_loss",
    "cooccurrences",
    "dropout_backward",
    "dropout_forward",
    "embedding_bag_backward",
    "embedding_bag_forward",
    "glove_loss",
    "gram_matrix",
    "lstm_backward",
    "lstm_forward",
    "lstm_step_backward",
    "lstm_step_forward",
    "lstm_step_jacobian",
    "max_pool_backward",
    "max_pool_forward",
    "packed_lstm_backward",
    "packed_lstm_forward",
    "packed_rnn_backward",
    "packed_rnn_forward",
    "rnn_backward",
    "rnn_forward",
    "rnn_step_backward",
    "rnn_step_forward",
    "rnn_step_jacobian",
    "sigmoid_loss",
    "style_loss",
    "temporal_fc_backward",
    "temporal_fc_forward",
    "temporal_softmax_loss",
    "total_variation_loss",
    "word_embedding_backward",
    "word_embedding_forward",
]
