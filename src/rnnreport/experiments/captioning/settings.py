"""How the captioning networks are trained, and how they write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from rnnreport._checks import check_choice, check_numbers
from rnnreport.names import CELLS, RESOLVED_PROFILES, CellType, Dataset, ResolvedProfile

__all__ = ["SEEDS", "WAYS", "CaptionConfig", "coco_configs", "default_config"]

SEEDS = (0, 1, 2)
"""The seeds that each network is trained from."""

WAYS = ("greedy", "beam")
"""The ways of writing a caption."""


@dataclass(frozen=True)
class CaptionConfig:
    """How a captioning network is trained, and how it writes.

    Attributes
    ----------
    cell_type
        ``"rnn"``, ``"lstm"`` or ``"attention"``.
    profile
        ``"full"``: real captions; ``"sample"``: generated scenes.
    dataset
        Which real captions: ``"flickr8k"``, or ``"coco"`` for the source's features.
    n_train, n_val, n_test
        How many scenes are drawn for the sample, and how many of COCO's images are taken. Of
        Flickr8k all are.
    wordvec_dim, hidden_dim
        Sizes of a word vector and of the hidden state.
    feature_dropout, dropout
        Shares that are dropped in training: of the features; of the word vectors and of the hidden
        states on their way to the scores.
    min_count
        How often a word must stand in the training captions to be learned.
    max_words
        The most words of a caption; a longer one is an error.
    epochs
        The most passes over the training captions.
    patience
        After how many epochs without a smaller validation loss training ends.
    batch_size
        Captions in a mini-batch, which are of nearly equal lengths.
    learning_rate
        Of Adam; it falls to zero in a straight line over all epochs.
    clip_norm
        The largest norm of all gradients together; a larger one is scaled down to it.
    beam, length_penalty
        Of beam search.
    data_seed, seed
        Of the drawn scenes; of the first weights, the order of the mini-batches, the views and
        dropout.
    device
        Where to compute, as torch names it.
    """

    cell_type: CellType = "lstm"
    profile: ResolvedProfile = "full"
    dataset: Dataset = "flickr8k"
    n_train: int = 900
    n_val: int = 100
    n_test: int = 100
    wordvec_dim: int = 256
    hidden_dim: int = 384
    feature_dropout: float = 0.3
    dropout: float = 0.4
    min_count: int = 5
    max_words: int = 40
    epochs: int = 7
    patience: int = 3
    batch_size: int = 100
    learning_rate: float = 2e-3
    clip_norm: float = 5.0
    beam: int = 5
    length_penalty: float = 0.8
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("cell_type", self.cell_type, CELLS)
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_choice("dataset", self.dataset, get_args(Dataset))
        check_numbers(
            self,
            at_least_1="n_train n_val n_test wordvec_dim hidden_dim min_count max_words epochs "
            "patience batch_size beam",
            at_least_0="length_penalty",
            share="feature_dropout dropout",
            positive="learning_rate clip_norm",
        )


_SAMPLE: Mapping[str, Any] = {
    "wordvec_dim": 64,
    "hidden_dim": 128,
    "feature_dropout": 0.0,
    "dropout": 0.2,
    "min_count": 1,
    "epochs": 8,
    "patience": 4,
    "learning_rate": 5e-3,
}
"""The settings that differ for the drawn scenes: few words, features without dropout."""


def default_config(
    cell_type: CellType, *, profile: ResolvedProfile, seed: int = 0, device: str = "cpu"
) -> CaptionConfig:
    """Return the configuration that the report uses for a network."""
    settings = _SAMPLE if profile == "sample" else {}
    return CaptionConfig(cell_type=cell_type, profile=profile, seed=seed, device=device, **settings)


def coco_configs() -> list[CaptionConfig]:
    """Return the configurations on the source's features of COCO, which know no places."""
    cells: tuple[CellType, ...] = ("rnn", "lstm")
    return [
        CaptionConfig(
            cell_type=cell,
            profile="full",
            dataset="coco",
            n_train=10_000,
            n_val=1_000,
            n_test=1_000,
            hidden_dim=512,
        )
        for cell in cells
    ]
