"""The smallest networks that tests train."""

from __future__ import annotations

from rnnreport.experiments.captioning.settings import CaptionConfig

CAPTIONS = CaptionConfig(
    profile="sample",
    n_train=12,
    n_val=4,
    n_test=5,
    wordvec_dim=8,
    hidden_dim=16,
    feature_dropout=0.1,
    dropout=0.1,
    min_count=1,
    epochs=3,
    batch_size=16,
    learning_rate=1e-2,
)
