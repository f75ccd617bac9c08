"""The vectors that a text classifier's words begin with."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport.asked import VECTORS_DIM
from rnnreport.data.assets import MissingDataError, find_all, require
from rnnreport.data.glove import WordVectors, load_glove, side_by_side
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text import word_vectors
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.names import ResolvedProfile
from rnnreport.runs.store import load_tensors, store_folder

__all__ = ["description", "first_vectors", "glove_vectors", "own_vectors"]


def description(config: TextConfig) -> dict[str, Any]:
    """Return what a result says of the vectors that its words begin with.

    Raises
    ------
    MissingDataError
        If a file of vectors is asked for and not there.
    DataFormatError
        If a file cannot be read.
    """
    if config.vectors == "none":
        return {}
    if config.vectors == "own":
        vectors = own_vectors(config)
        return {
            "vectors": "GloVe vectors trained on the training sentences",
            "vectors_dim": vectors.dim,
            "vectors_fingerprint": word_vectors.request(vectors).key,
        }
    files, others = _files(config)
    names = " beside ".join(files)
    if others:
        names += f", what they lack from {' and '.join(others)}"
    # Of what was read: what fills gaps is computed, and its last digits may differ.
    content = hashlib.sha256()
    for read in (*files.values(), *others.values()):
        content.update(read.vectors.numpy().tobytes())
    return {
        "vectors": names,
        "vectors_dim": sum(read.vectors.shape[1] for read in files.values()),
        "vectors_fingerprint": content.hexdigest(),
    }


def glove_vectors(config: TextConfig) -> WordVectors | None:
    """Return the GloVe vectors of the vocabulary, or None where words begin at random."""
    if config.vectors == "none":
        return None
    if config.vectors == "own":
        vectors = load_tensors(word_vectors.run(own_vectors(config)))["vectors"]
        return WordVectors(vectors, vectors.any(1))
    files, others = _files(config)
    return side_by_side(list(files.values()), list(others.values()))


def own_vectors(config: TextConfig) -> WordVectorsConfig:
    """Return how the vectors of a classifier with ``vectors="own"`` are trained."""
    return WordVectorsConfig(config.profile, dim=config.own_dim, data_seed=config.data_seed)


class _Files(NamedTuple):
    """Vectors of the vocabulary by file: of those that stand side by side, and that fill gaps."""

    joined: dict[str, WordVectors]
    others: dict[str, WordVectors]


def _files(config: TextConfig) -> _Files:
    require("glove")
    if config.vectors == "file":
        return _Files(
            {config.file: _file_vectors(config.file, config.profile, config.data_seed)}, {}
        )
    files, width = _Files({}, {}), 0
    left = {}
    for path in find_all("glove"):
        read = _file_vectors(path.name, config.profile, config.data_seed)
        size = read.vectors.shape[1]
        if files.joined and width + size > VECTORS_DIM:  # no wider than the source's
            left[path.name] = read
        else:
            files.joined[path.name] = read
            width += size
    known = torch.stack([read.has_vector for read in files.joined.values()]).any(0)
    for name, read in left.items():
        if (read.has_vector & ~known).any():
            files.others[name] = read
            known = known | read.has_vector
    return files


@functools.cache  # the same for all models and seeds
def _file_vectors(file: str, profile: ResolvedProfile, data_seed: int) -> WordVectors:
    paths = {path.name: path for path in find_all("glove")}
    if file not in paths:
        raise MissingDataError(f"{file} is missing: there are {', '.join(paths)}")
    words = text_data(profile, data_seed).vocabulary.words
    return load_glove(paths[file], words, cache=store_folder())


def first_vectors(
    config: TextConfig, n_words: int, glove: WordVectors | None, generator: Generator
) -> Tensor:
    """Return the first word vectors, (V, D): small noise, and GloVe vectors where there are any."""
    if config.model == "bag":
        return torch.empty(n_words, 0)
    size = 0 if glove is None else glove.vectors.shape[1]
    vectors = 0.1 * torch.randn(n_words, max(config.wordvec_dim, size), generator=generator)
    if glove is not None:
        if config.model == "glove-fixed":
            vectors.zero_()  # fixed vectors of unknown words are zero, not noise
        vectors[glove.has_vector, :size] = (
            0.5 * (glove.vectors / glove.vectors[glove.has_vector].std())[glove.has_vector]
        )
    vectors[: len(Vocabulary.SPECIAL)] = 0
    return vectors
