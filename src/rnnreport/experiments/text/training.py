"""Text classification: the source's five models and two more, each trained from several seeds.

All that is chosen (the epoch, and the settings in :data:`SETTINGS`) is chosen on the dev sentences.
The test sentences are scored once, at the end of a run.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor

from rnnreport import nn
from rnnreport.data.assets import (
    NEEDS,
    MissingDataError,
    Profile,
    ResolvedProfile,
    find,
    require,
    resolve,
)
from rnnreport.data.glove import load_glove
from rnnreport.data.sentences import Sentences
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text import word_vectors
from rnnreport.experiments.text.data import TextData, text_data
from rnnreport.experiments.text.fitting import Labelled, accuracy, fit, score
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.models.text import (
    BagOfWords,
    EmbeddingAverage,
    RecurrentClassifier,
    TextClassifier,
)
from rnnreport.progress import track
from rnnreport.runs.engine import Epochs, run_missing
from rnnreport.runs.store import (
    Outcome,
    Result,
    all_stored,
    describe_device,
    load_tensors,
    store_folder,
    stored,
    stored_or_computed,
)

__all__ = [
    "MODELS",
    "SEEDS",
    "SETTINGS",
    "ModelName",
    "TextConfig",
    "TrainedClassifier",
    "build_model",
    "default_config",
    "latest",
    "run",
    "run_all",
]

ModelName = Literal["bag", "average", "glove-fixed", "glove", "rnn", "lstm", "bilstm"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
"""The models, in the source's order; the source has no ``bilstm``."""

SEEDS = (0, 1, 2, 3, 4)
"""The seeds that each model is trained from."""


@dataclass(frozen=True)
class TextConfig:
    """How a classifier is trained.

    Attributes
    ----------
    model
        ``"bag"``: bag of words. ``"average"``: the average of word vectors that begin at random.
        ``"glove-fixed"`` and ``"glove"``: the average of GloVe vectors that stay, and of ones that
        are trained further. ``"rnn"`` and ``"lstm"``: a recurrent layer over GloVe vectors, its
        last state. ``"bilstm"``: an LSTM in each direction, for each feature its largest value.
    profile
        ``"full"``: the source's sentences; ``"sample"``: generated ones; ``"auto"``: the first
        where they are there.
    vectors
        What the word vectors begin with. ``"file"``: a file of GloVe vectors; ``"own"``: GloVe
        vectors trained on the training sentences; ``"auto"``: the first where a file is there;
        ``"none"``: small random numbers.
    wordvec_dim
        Least size of a word vector. Where the GloVe vectors are smaller, the rest begins at random;
        where they are larger, their size counts.
    hidden_dim
        Size of a recurrent layer's state.
    embedding_dropout, dropout, word_dropout
        Shares that are dropped in training, as :class:`~rnnreport.models.text.RecurrentClassifier`
        has them; rare are the words that stand only once among the training sentences.
    epochs
        Passes over the training sentences. The weights of the best one on dev are kept.
    batch_size
        Sentences in a mini-batch.
    learning_rate
        Of Adam; it falls to zero in a straight line.
    data_seed, seed
        Of the generated sentences; of the first weights, the order of the mini-batches and dropout.
    device
        Where to compute, as torch names it.
    """

    model: ModelName = "lstm"
    profile: Profile = "auto"
    vectors: Literal["auto", "file", "own", "none"] = "auto"
    wordvec_dim: int = 0
    hidden_dim: int = 128
    embedding_dropout: float = 0.3
    dropout: float = 0.3
    word_dropout: float = 0.5
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 2e-3
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {self.model!r}")
        if self.vectors not in ("auto", "file", "own", "none"):
            raise ValueError(f"vectors must be one of auto, file, own, none, got {self.vectors!r}")
        for name in ("hidden_dim", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("embedding_dropout", "dropout", "word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        least = 1 if self.vectors == "none" else 0
        if self.wordvec_dim < least:
            raise ValueError(f"wordvec_dim must be at least {least}, got {self.wordvec_dim}")


SETTINGS: Mapping[ModelName, Mapping[str, Any]] = {
    "bag": {
        "vectors": "none",
        "wordvec_dim": 1,
        "batch_size": 256,
        "learning_rate": 0.03,
        "epochs": 10,
    },
    "average": {
        "vectors": "none",
        "wordvec_dim": 100,
        "dropout": 0.5,
        "learning_rate": 3e-3,
        "epochs": 6,
    },
    "glove-fixed": {"dropout": 0.0, "learning_rate": 1e-2, "epochs": 10},
    "glove": {"dropout": 0.5, "learning_rate": 3e-3, "epochs": 8},
    "rnn": {"wordvec_dim": 100},
    "lstm": {"wordvec_dim": 100, "epochs": 6},
    "bilstm": {"wordvec_dim": 100, "epochs": 6},
}
"""What each model has other than the defaults of :class:`TextConfig`."""

_SAMPLE: Mapping[ModelName, Mapping[str, Any]] = {
    "bag": {"batch_size": 32, "learning_rate": 1e-2},
    "average": {"batch_size": 32, "wordvec_dim": 50},
    "glove-fixed": {"batch_size": 32},
    "glove": {"batch_size": 32},
    "rnn": {
        "batch_size": 32,
        "wordvec_dim": 50,
        "hidden_dim": 64,
        "learning_rate": 3e-3,
        "epochs": 16,
    },
    "lstm": {"batch_size": 32, "wordvec_dim": 50, "hidden_dim": 64, "learning_rate": 1e-2},
    "bilstm": {"batch_size": 32, "wordvec_dim": 50, "hidden_dim": 64, "learning_rate": 1e-2},
}
"""What else is different for the sample, a tenth of the sentences."""


def default_config(
    model: ModelName, *, profile: Profile = "auto", seed: int = 0, device: str = "cpu"
) -> TextConfig:
    """Return the configuration that the report uses for a model.

    Parameters
    ----------
    model
        One of :data:`MODELS`.
    profile, seed, device
        As :class:`TextConfig` has them.

    Raises
    ------
    ValueError
        If there is no such model or profile.
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    resolved = resolve(profile, *NEEDS["text"])
    settings = dict(SETTINGS.get(model, {}))
    if resolved == "sample":
        settings |= _SAMPLE.get(model, {})
    return TextConfig(model=model, profile=resolved, seed=seed, device=device, **settings)


def run(config: TextConfig | None = None) -> Result:
    """Train a classifier and test it, or give back how that went.

    Parameters
    ----------
    config
        What to do; that of the LSTM where it is not given.

    Returns
    -------
    Result
        ``history`` holds for each epoch the mean ``train_loss``, ``dev_loss`` and ``dev_accuracy``;
        ``metrics`` the ``dev_accuracy`` of the ``best_epoch`` and the ``test_accuracy`` of the
        weights that it left. The tensors ``dev_probability`` and ``test_probability``, (N,), hold
        what they say of each sentence; :class:`TrainedClassifier` takes the weights.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there, or a file of vectors is asked for and
        not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    return _run(_resolved(config or default_config("lstm")), _bar)


def run_all(configs: Sequence[TextConfig], *, workers: int | None = None) -> list[Result]:
    """Do several runs side by side, each in a process of its own on one core.

    Parameters
    ----------
    configs
        What to do.
    workers
        How many processes; as many as there are cores if not given.

    Returns
    -------
    list of Result
        In the order of `configs`. What is stored is not run again.

    Raises
    ------
    Exception
        What :func:`run` raises in the first run that fails.
    """
    resolved = [_resolved(config) for config in configs]
    # Asking for it trains vectors where they are needed: here, and not in every process at once.
    known = [stored(__name__, config, _about(config)) for config in resolved]
    return run_missing(_run, resolved, known, label="text", bar=_bar, workers=workers)


def latest(model: ModelName, profile: Profile = "auto") -> Result:
    """Return the latest stored result of a model, whatever its seed and settings.

    Parameters
    ----------
    model
        One of :data:`MODELS`.
    profile
        On which data it was trained; with ``"auto"`` on real data if there is such a result.

    Raises
    ------
    MissingDataError
        If none is stored.
    """
    fields = asdict(TextConfig()).keys()  # an older version may have had others
    fitting = [
        result
        for result in all_stored("text")
        if result.config.keys() == fields
        and result.config["model"] == model
        and profile in ("auto", result.config["profile"])
    ]
    if not fitting:
        on = "" if profile == "auto" else f" --profile {profile}"
        raise MissingDataError(
            f"no trained model {model!r} is stored in {store_folder()}: `rnnreport run text{on}` "
            "trains all of them"
        )
    return min(fitting, key=lambda result: result.config["profile"] != "full")


class TrainedClassifier:
    """A classifier with the weights of a result.

    Parameters
    ----------
    result
        From :func:`run`.

    Attributes
    ----------
    result : Result
        The same.
    vocabulary : Vocabulary
        The words that it knows.
    model : TextClassifier
        The model, without dropout.

    Raises
    ------
    OSError
        If the file of weights is gone.
    ValueError
        If the weights do not fit the model that the configuration describes.
    """

    def __init__(self, result: Result) -> None:
        tensors = load_tensors(result)
        self.result = result
        self.vocabulary = _unpack_words(tensors["words"])
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in tensors.items()
            if name.startswith("model.")
        }
        vectors = weights.get("vectors", torch.zeros(len(self.vocabulary), 1))
        self.model = build_model(TextConfig(**result.config), vectors, Generator().manual_seed(0))
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the weights of {result.experiment} {result.key[:20]} do not fit: {error}"
            ) from error

    @torch.no_grad()
    def probabilities(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Return the probability that each sentence is positive.

        Parameters
        ----------
        sentences
            N sentences as lists of tokens, at least one each. An unknown token counts as ``<UNK>``.

        Returns
        -------
        Tensor, shape (N,)
            Probabilities.

        Raises
        ------
        ValueError
            If a sentence has no token.
        """
        encoded = Sentences.encode(self.vocabulary, sentences)
        return score(self.model, self.model.prepare(encoded)).sigmoid()

    @torch.no_grad()
    def probabilities_by_word(self, sentence: Sequence[str]) -> list[float]:
        """Return the probability after each word of a sentence, as if it ended there.

        Parameters
        ----------
        sentence
            A sentence as a list of tokens, at least one.

        Returns
        -------
        list of float
            One probability for each token; the last is that of the sentence.

        Raises
        ------
        ValueError
            If the sentence has no token.
        TypeError
            If the model does not read word by word in one direction.
        """
        if not isinstance(self.model, RecurrentClassifier) or len(self.model.layers) != 1:
            raise TypeError(f"the model {self.result.config['model']!r} does not read word by word")
        encoded = Sentences.encode(self.vocabulary, [sentence])
        steps: list[float] = self.model.scores_by_step(encoded)[:, 0].sigmoid().tolist()
        return steps

    def unknown(self, sentence: Sequence[str]) -> list[str]:
        """Return the tokens of a sentence that the classifier does not know."""
        return [word for word in sentence if word not in self.vocabulary.word_to_idx]


def build_model(
    config: TextConfig,
    vectors: Tensor,
    generator: Generator,
    *,
    first_rare: int = 0,
    cells: Any = nn,
) -> TextClassifier:
    """Build the model of a configuration.

    Parameters
    ----------
    config
        Which model, of which sizes.
    vectors : Tensor, shape (V, D)
        The first word vectors; for bag of words, D may be 0.
    generator
        The source of the first weights.
    first_rare
        The index of the first rare word.
    cells
        Holds the classes ``RNN`` and ``LSTM``: :mod:`rnnreport.nn` or :mod:`torch.nn`.

    Returns
    -------
    TextClassifier
        The model, untrained.
    """
    with torch.random.fork_rng(devices=[]):  # torch's layers draw first weights of their own
        return _build_model(config, vectors, generator, first_rare, cells)


def _build_model(
    config: TextConfig, vectors: Tensor, generator: Generator, first_rare: int, cells: Any
) -> TextClassifier:
    if config.model == "bag":
        return BagOfWords(len(vectors))
    if config.model in ("average", "glove-fixed", "glove"):
        return EmbeddingAverage(
            vectors,
            fixed=config.model == "glove-fixed",
            dropout=config.dropout,
            generator=generator,
        )
    both = config.model == "bilstm"
    return RecurrentClassifier(
        vectors,
        cell=cells.RNN if config.model == "rnn" else cells.LSTM,
        hidden_dim=config.hidden_dim,
        directions=2 if both else 1,
        pooling="max" if both else "last",
        embedding_dropout=config.embedding_dropout,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        first_rare=first_rare,
        generator=generator,
    )


def _bar(config: TextConfig) -> Iterable[int]:
    return track(range(1, config.epochs + 1), f"text, {config.model}, seed {config.seed}")


def _resolved(config: TextConfig) -> TextConfig:
    """Replace what depends on the files that are there."""
    profile = resolve(config.profile, *NEEDS["text"])
    vectors = config.vectors
    if vectors == "auto":
        vectors = "file" if profile == "full" and find("glove") is not None else "own"
    return replace(config, profile=profile, vectors=vectors)


def _data(config: TextConfig) -> TextData:
    return text_data(resolve(config.profile), config.data_seed)


class _GloVe(NamedTuple):
    """GloVe vectors of a vocabulary: (V, D) and (V,), where they come from, and a hash of them."""

    vectors: Tensor
    known: Tensor
    origin: str
    fingerprint: str


def _glove(config: TextConfig) -> _GloVe | None:
    if config.vectors == "none":
        return None
    return _load_or_train_glove(config.vectors, resolve(config.profile), config.data_seed)


@functools.cache  # the same for all models and seeds
def _load_or_train_glove(vectors: str, profile: ResolvedProfile, data_seed: int) -> _GloVe:
    data = text_data(profile, data_seed)
    if vectors == "own":
        dim = 50 if profile == "sample" else 100
        result = word_vectors.run(WordVectorsConfig(profile, dim=dim, data_seed=data_seed))
        rows = load_tensors(result)["vectors"]
        return _GloVe(
            rows, rows.any(1), "GloVe vectors trained on the training sentences", result.key
        )
    path = require("glove")
    loaded = load_glove(path, data.vocabulary.words, cache=store_folder())
    content = loaded.vectors.numpy().tobytes()
    return _GloVe(loaded.vectors, loaded.known, path.name, hashlib.sha256(content).hexdigest())


def _run(config: TextConfig, progress: Epochs[TextConfig]) -> Result:
    data, glove = _data(config), _glove(config)
    return stored_or_computed(
        __name__,
        config,
        data=_about(config),
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
        compute=lambda: _train_and_test(config, data, glove, progress),
    )


def _about(config: TextConfig) -> dict[str, Any]:
    """Say what a run rests on."""
    about, glove = _data(config).about, _glove(config)
    if glove is None:
        return about
    return about | {
        "vectors": glove.origin,
        "vectors_dim": glove.vectors.shape[1],
        "vectors_known": int(glove.known.sum()),
        "vectors_fingerprint": glove.fingerprint,
    }


def _train_and_test(
    config: TextConfig, data: TextData, glove: _GloVe | None, progress: Epochs[TextConfig]
) -> Outcome:
    generator = Generator().manual_seed(config.seed)
    vectors = _first_vectors(config, len(data.vocabulary), glove, generator)
    model = build_model(config, vectors, generator, first_rare=data.first_rare)
    model.to(config.device)
    train, dev, test = (
        Labelled(
            model.prepare(sentences.to(config.device)),
            torch.tensor(part.labels, dtype=torch.float32, device=config.device),
        )
        for sentences, part in zip((data.train, data.dev, data.test), data.splits, strict=True)
    )
    fitted = fit(model, train, dev, config, generator, progress(config))
    scores = score(model, test.sentences)  # the one look at the test sentences
    return Outcome(
        history=fitted.history,
        metrics={
            "dev_accuracy": fitted.dev_accuracy,
            "best_epoch": fitted.best_epoch,
            "test_accuracy": accuracy(scores, test.labels),
            "num_parameters": model.num_parameters,
        },
        details={},
        tensors={
            "dev_probability": fitted.dev_scores.sigmoid().cpu(),
            "test_probability": scores.sigmoid().cpu(),
            "words": _pack_words(data.vocabulary),
            **{f"model.{name}": value.cpu() for name, value in fitted.weights.items()},
        },
    )


def _first_vectors(
    config: TextConfig, n_words: int, glove: _GloVe | None, generator: Generator
) -> Tensor:
    """Return the first word vectors, (V, D): small noise, and GloVe vectors where there are any."""
    if config.model == "bag":
        return torch.empty(n_words, 0)
    size = 0 if glove is None else glove.vectors.shape[1]
    vectors = 0.1 * torch.randn(n_words, max(config.wordvec_dim, size), generator=generator)
    if glove is not None:
        if config.model == "glove-fixed":
            vectors.zero_()  # what stays as it is had better be nothing than noise
        vectors[glove.known, :size] = (
            0.5 * (glove.vectors / glove.vectors[glove.known].std())[glove.known]
        )
    vectors[: len(Vocabulary.SPECIAL)] = 0
    return vectors


def _pack_words(vocabulary: Vocabulary) -> Tensor:
    """Write a vocabulary as bytes, to be kept beside the weights."""
    return torch.frombuffer(bytearray("\n".join(vocabulary.words).encode()), dtype=torch.uint8)


def _unpack_words(packed: Tensor) -> Vocabulary:
    return Vocabulary(tuple(packed.numpy().tobytes().decode().split("\n")))
