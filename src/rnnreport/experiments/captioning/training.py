"""Captioning in full: networks that caption images which they have not seen.

All captions of the training images are learned, in mini-batches, with the hand-derived gradients
alone. The weights of the epoch with the smallest loss on the validation images are kept. Then all
validation images are captioned, greedily and with a beam.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from torch import Generator, Tensor

from rnnreport.data.assets import MissingDataError, Profile, ResolvedProfile
from rnnreport.data.features import Projection, Statistics, project, standard
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.data import (
    CaptionSource,
    Dataset,
    Split,
    Words,
    coco_source,
    features_of,
    image_source,
    resolve_dataset,
)
from rnnreport.layers import dropout_forward
from rnnreport.models.captioning import CaptioningRNN, CellType
from rnnreport.models.word_evidence import fit_word_evidence, word_shares
from rnnreport.progress import track
from rnnreport.runs.checkpoints import (
    pack_adam,
    read_checkpoint,
    unpack_adam,
    write_checkpoint,
)
from rnnreport.runs.engine import Epochs, run_missing
from rnnreport.runs.store import (
    Outcome,
    Result,
    all_stored,
    describe_device,
    key_of,
    load_tensors,
    store_folder,
    stored,
    stored_or_computed,
)

__all__ = [
    "CELLS",
    "SEEDS",
    "SETTINGS",
    "WAYS",
    "CaptionConfig",
    "TrainedCaptioner",
    "default_config",
    "latest",
    "run",
    "run_all",
    "source_of",
]

CELLS: tuple[CellType, ...] = get_args(CellType)
"""The networks: ``"rnn"``, ``"lstm"``, ``"attention"``."""

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
        ``"full"``: real captions; ``"sample"``: generated scenes; ``"auto"``: the first where they
        are there.
    dataset
        Which real captions: ``"flickr8k"``, or ``"coco"`` for the source's features.
    n_train, n_val
        How many scenes are drawn for the sample, and how many of COCO's images are taken. Of
        Flickr8k all are.
    evidence_dim
        How many directions of :class:`~rnnreport.models.word_evidence.WordEvidence` describe an
        image, or one of its places; 0 for the features as they are, standardised.
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
        Of the drawn scenes; of the folds of the evidence, the first weights, the order of the
        mini-batches and dropout.
    device
        Where to compute, as torch names it.
    """

    cell_type: CellType = "lstm"
    profile: Profile = "auto"
    dataset: Dataset = "flickr8k"
    n_train: int = 900
    n_val: int = 100
    evidence_dim: int = 100
    wordvec_dim: int = 256
    hidden_dim: int = 256
    feature_dropout: float = 0.0
    dropout: float = 0.4
    min_count: int = 2
    max_words: int = 40
    epochs: int = 16
    patience: int = 4
    batch_size: int = 100
    learning_rate: float = 3e-3
    clip_norm: float = 5.0
    beam: int = 5
    length_penalty: float = 0.7
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.cell_type not in CELLS:
            raise ValueError(f"cell_type must be one of {', '.join(CELLS)}, got {self.cell_type!r}")
        if self.dataset not in get_args(Dataset):
            raise ValueError(f"dataset must be 'flickr8k' or 'coco', got {self.dataset!r}")
        for name in (
            "n_train",
            "n_val",
            "wordvec_dim",
            "hidden_dim",
            "min_count",
            "max_words",
            "epochs",
            "patience",
            "batch_size",
            "beam",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("feature_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("evidence_dim", "length_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


SETTINGS: Mapping[CellType, Mapping[str, Any]] = {"attention": {"feature_dropout": 0.3}}
"""What a network has other than the defaults of :class:`CaptionConfig`."""

_SAMPLE: Mapping[str, Any] = {
    "evidence_dim": 0,
    "wordvec_dim": 64,
    "hidden_dim": 128,
    "dropout": 0.2,
    "min_count": 1,
    "epochs": 8,
    "learning_rate": 5e-3,
}
"""What is different for the drawn scenes: few words, and features that need no thinning out."""


def default_config(
    cell_type: CellType, *, profile: Profile = "auto", seed: int = 0, device: str = "cpu"
) -> CaptionConfig:
    """Return the configuration that the report uses for a network.

    Parameters
    ----------
    cell_type
        One of :data:`CELLS`.
    profile
        As in :class:`CaptionConfig`; it is resolved here.
    seed, device
        As in :class:`CaptionConfig`.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    resolved = resolve_dataset("flickr8k", profile)
    settings = _SAMPLE if resolved == "sample" else SETTINGS.get(cell_type, {})
    return CaptionConfig(
        cell_type=cell_type, profile=resolved, seed=seed, device=device, **settings
    )


def run(config: CaptionConfig | None = None) -> Result:
    """Train a network and let it caption the validation images, or give back how that went.

    A run that was killed goes on from its last whole epoch, and ends with the same bits.

    Parameters
    ----------
    config
        What to do; that of the LSTM where it is not given.

    Returns
    -------
    Result
        ``history`` holds the ``loss`` of each iteration, and for each epoch the mean
        ``train_loss`` and the ``val_loss``; ``metrics`` the ``best_epoch`` and its ``val_loss``.
        ``details["val"]`` and ``details["train"]``, the latter of as many images, have an entry an
        image: its name under ``image``, the true captions under ``truth``, and what the network
        writes under each of :data:`WAYS`, all of them lists of words. :class:`TrainedCaptioner`
        takes the weights.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a data file cannot be read.
    ValueError
        If the data has no features for the network.
    FloatingPointError
        If the loss stops being finite.
    """
    return _run(_resolved(config or default_config("lstm")), _bar)


def run_all(configs: Sequence[CaptionConfig], *, workers: int | None = None) -> list[Result]:
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
    known = [stored(__name__, config, _about(config)) for config in resolved]
    missing = (config for config, result in zip(resolved, known, strict=True) if result is None)
    for config in itertools.islice(missing, 1):
        _splits(config)  # computes the features of all: here, and not in every process at once
    return run_missing(_run, resolved, known, label="captions", bar=_bar, workers=workers)


def latest(cell_type: CellType, profile: Profile = "auto") -> Result:
    """Return the latest stored result of a network, whatever its seed and settings.

    Parameters
    ----------
    cell_type
        One of :data:`CELLS`.
    profile
        On which data it was trained; with ``"auto"`` on real data if there is such a result.

    Raises
    ------
    MissingDataError
        If none is stored.
    """
    fields = asdict(CaptionConfig()).keys()  # an older version may have had others
    fitting = [
        result
        for result in all_stored("caption_training")
        if result.config.keys() == fields
        and result.config["cell_type"] == cell_type
        and result.config["dataset"] == "flickr8k"  # only its features can be computed of a picture
        and profile in ("auto", result.config["profile"])
    ]
    if not fitting:
        on = "" if profile == "auto" else f" --profile {profile}"
        raise MissingDataError(
            f"no trained network {cell_type!r} is stored in {store_folder()}: `rnnreport run "
            f"captioning{on}` trains all of them"
        )
    return min(fitting, key=lambda result: result.config["profile"] != "full")


def source_of(config: CaptionConfig) -> CaptionSource:
    """Return the images of a configuration whose profile is resolved.

    Raises
    ------
    MissingDataError
        If they are not there.
    DataFormatError
        If a file cannot be read, or a caption is too long.
    """
    if config.profile == "full" and config.dataset == "coco":
        return coco_source()
    return image_source(
        resolve_dataset(config.dataset, config.profile),
        n_train=config.n_train,
        n_val=config.n_val,
        data_seed=config.data_seed,
        max_words=config.max_words,
    )


class TrainedCaptioner:
    """A captioning network with the weights of a result.

    Parameters
    ----------
    result
        From :func:`run`.

    Attributes
    ----------
    result : Result
        The same.
    config : CaptionConfig
        Its configuration.
    vocabulary : CaptionVocabulary
        The words that it knows.
    model : CaptioningRNN
        The network.

    Raises
    ------
    OSError
        If the file of weights is gone.
    ValueError
        If the weights do not fit the network that the configuration describes.
    """

    def __init__(self, result: Result) -> None:
        tensors = load_tensors(result)
        self.result = result
        self.config = CaptionConfig(**result.config)
        self.vocabulary = CaptionVocabulary(tuple(result.details["words"]))
        self._projection = _unpack_projection(tensors)
        self.model = _build(self.config, self.vocabulary, self._projection, Generator())
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in tensors.items()
            if name.startswith("model.")
        }
        shapes = {name: param.shape for name, param in self.model.params.items()}
        if {name: param.shape for name, param in weights.items()} != shapes:
            raise ValueError(
                f"the weights of {result.experiment} {result.key[:20]} do not fit its configuration"
            )
        self.model.params = weights

    def features(self, images: Iterable[Image.Image]) -> Tensor:
        """Compute what the network is told of pictures.

        Parameters
        ----------
        images
            At least one, in RGB, of any size.

        Returns
        -------
        Tensor, float32, shape (N, F) or (N, P, F)
            Features for :attr:`model`.

        Raises
        ------
        MissingDataError
            If the weights of MobileNetV2 are needed and not there.
        """
        profile: ResolvedProfile = "full" if self.config.profile == "full" else "sample"
        places = self.config.cell_type == "attention"
        return project(features_of(images, profile, places=places), self._projection)

    def split_features(self, split: Split) -> Tensor:
        """Return what the network is told of the images of a split."""
        return project(split.features, self._projection)

    def captions(self, features: Tensor) -> list[Words]:
        """Caption images by beam search.

        Parameters
        ----------
        features : Tensor, shape (N, F) or (N, P, F)
            From :meth:`features`.

        Returns
        -------
        list of tuple of str
            The words of each caption.
        """
        return _write(self.model, self.vocabulary, features, "beam", self.config)


def _resolved(config: CaptionConfig) -> CaptionConfig:
    return replace(config, profile=resolve_dataset(config.dataset, config.profile))


def _bar(config: CaptionConfig) -> Iterable[int]:
    label = f"captions, {config.cell_type}, seed {config.seed}"
    return track(range(1, config.epochs + 1), label)


def _splits(config: CaptionConfig) -> tuple[CaptionVocabulary, Split, Split]:
    source = source_of(config)
    vocabulary = source.vocabulary(config.min_count)
    places = config.cell_type == "attention"
    train, val = source.splits(vocabulary, places=places, max_words=config.max_words)
    if config.profile == "full" and config.dataset == "coco":
        train, val = train.first(config.n_train), val.first(config.n_val)
    return vocabulary, train, val


def _about(config: CaptionConfig) -> dict[str, Any]:
    """Say what a run rests on."""
    source = source_of(config)
    about = source.about
    return {
        "profile": config.profile,
        **about,
        "amount": f"{about['n_images']:,} images. Image features: {about['features']}",
        "fingerprint": source.fingerprint(),
    }


def _run(config: CaptionConfig, epochs: Epochs[CaptionConfig]) -> Result:
    about = _about(config)
    checkpoint = store_folder() / f"caption_training-{key_of(__name__, config, about)[:20]}.part"
    result = stored_or_computed(
        __name__,
        config,
        data=about,
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
        compute=lambda: _learn_and_write(config, checkpoint, epochs),
    )
    checkpoint.unlink(missing_ok=True)
    return result


def _build(
    config: CaptionConfig,
    vocabulary: CaptionVocabulary,
    projection: Projection,
    generator: Generator,
) -> CaptioningRNN:
    return CaptioningRNN(
        vocabulary.word_to_idx,
        input_dim=projection.basis.shape[1],
        wordvec_dim=config.wordvec_dim,
        hidden_dim=config.hidden_dim,
        cell_type=config.cell_type,
        dropout=config.dropout,
        device=config.device,
        generator=generator,
    )


def _learn_and_write(
    config: CaptionConfig, checkpoint: Path, epochs: Epochs[CaptionConfig]
) -> Outcome:
    vocabulary, train, val = _splits(config)
    generator = Generator().manual_seed(config.seed)
    projection, train_features = _describe(config, train, generator)
    train_features = train_features.to(config.device)
    val_features = project(val.features, projection).to(config.device)
    model = _build(config, vocabulary, projection, generator)
    state, best = _train(
        config, model, train, train_features, val, val_features, generator, checkpoint, epochs
    )
    model.params = {name: tensor.to(config.device) for name, tensor in best.items()}

    details: dict[str, Any] = {"words": list(vocabulary.words)}
    for name, split, features in (
        ("val", val, val_features),
        ("train", train.first(len(val.names)), train_features[: len(val.names)]),
    ):
        written = {way: _write(model, vocabulary, features, way, config) for way in WAYS}
        details[name] = [
            {"image": image, "truth": truth} | {way: written[way][row] for way in WAYS}
            for row, (image, truth) in enumerate(zip(split.names, split.references, strict=True))
        ]
    best_epoch = state["best_epoch"]
    return Outcome(
        history=state["history"],
        metrics={
            "best_epoch": best_epoch,
            "epochs": len(state["history"]["val_loss"]),
            "val_loss": state["history"]["val_loss"][best_epoch - 1],
            "num_parameters": model.num_parameters,
            "vocabulary_size": len(vocabulary),
            "n_train": len(train.names),
            "n_train_captions": len(train.captions),
            "n_val": len(val.names),
            "n_val_captions": len(val.captions),
            "input_dim": projection.basis.shape[1],
        },
        details=details,
        tensors={f"model.{name}": tensor for name, tensor in best.items()}
        | _pack_projection(projection),
    )


def _describe(
    config: CaptionConfig, train: Split, generator: Generator
) -> tuple[Projection, Tensor]:
    """Return what features of unseen images are brought to, and the training images there."""
    places = train.features.flatten(0, -2)  # (N, F), or (N · P, F)
    if not config.evidence_dim:
        projection = standard(places)
        return projection, project(train.features, projection)
    # The regression is linear: its output at the places is that of the image, spread over them.
    whole = train.features if train.features.ndim == 2 else train.features.mean(1)
    shares = word_shares(train.references)
    size = min(config.evidence_dim, shares.shape[1])
    evidence = fit_word_evidence(whole, shares, size, generator=generator)
    told = evidence.training(train.features)
    spread = told.square().mean().sqrt()
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))  # features that say nothing
    return evidence.whole._replace(scale=spread), told / spread


def _train(
    config: CaptionConfig,
    model: CaptioningRNN,
    train: Split,
    train_features: Tensor,
    val: Split,
    val_features: Tensor,
    generator: Generator,
    checkpoint: Path,
    epochs: Epochs[CaptionConfig],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Train until the validation loss falls no more; return the state and the best weights."""
    adam = torch.optim.Adam(model.params.values(), lr=config.learning_rate)
    state: dict[str, Any] = {
        "history": {"loss": [], "train_loss": [], "val_loss": []},
        "best_epoch": 0,
    }
    history: dict[str, list[float]] = state["history"]
    best: dict[str, Tensor] = {}
    known = read_checkpoint(checkpoint, generator)
    if known is not None:
        tensors, state = known
        history = state["history"]
        for name, param in model.params.items():
            param.copy_(tensors[f"model.{name}"])
            best[name] = tensors[f"best.{name}"]
        unpack_adam(adam, model.params, tensors)
    steps = config.epochs * math.ceil(len(train.captions) / config.batch_size)

    for epoch in epochs(config):
        done = len(history["val_loss"])
        if epoch <= done or done - state["best_epoch"] >= config.patience:
            continue  # done before the run was killed, or training has ended
        losses = []
        for batch in _batches(train, config.batch_size, generator):
            adam.param_groups[0]["lr"] = config.learning_rate * (1 - len(history["loss"]) / steps)
            features, captions = _take(train, train_features, batch)
            features, _ = dropout_forward(features, config.feature_dropout, generator)
            loss, grads = model.loss(features, captions, generator)
            for name, param in model.params.items():
                param.grad = grads[name]
            torch.nn.utils.clip_grad_norm_(model.params.values(), config.clip_norm)
            adam.step()
            history["loss"].append(float(loss))
            losses.append((float(loss), len(batch)))
            if not math.isfinite(losses[-1][0]):
                raise FloatingPointError(
                    f"the loss is {losses[-1][0]} in epoch {epoch}: try a smaller learning rate"
                )
        history["train_loss"].append(_mean(losses))
        history["val_loss"].append(_loss(model, val, val_features, config.batch_size))
        if history["val_loss"][-1] == min(history["val_loss"]):
            state["best_epoch"] = epoch
            best = {name: param.detach().cpu().clone() for name, param in model.params.items()}
        tensors = {f"model.{name}": param for name, param in model.params.items()}
        tensors |= {f"best.{name}": param for name, param in best.items()}
        write_checkpoint(checkpoint, tensors | pack_adam(adam, model.params), generator, state)
    return state, best


def _batches(split: Split, size: int, generator: Generator) -> list[Tensor]:
    """Cut the captions into mini-batches of nearly equal lengths, all in an order drawn anew."""
    noise = 2 * torch.rand(len(split.captions), generator=generator)
    batches = torch.split((split.lengths + noise).argsort(), size)
    return [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]


def _take(split: Split, features: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features and the captions of a mini-batch, which ends with its longest caption."""
    captions = split.captions[batch, : int(split.lengths[batch].max())]
    return features[split.owners[batch].to(features.device)], captions.to(features.device)


def _loss(model: CaptioningRNN, split: Split, features: Tensor, size: int) -> float:
    """Mean loss of a split's captions, without dropout."""
    batches = torch.split(split.lengths.argsort(stable=True), size)
    return _mean(
        [(float(model.loss(*_take(split, features, batch))[0]), len(batch)) for batch in batches]
    )


def _mean(losses: Sequence[tuple[float, int]]) -> float:
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


def _write(
    model: CaptioningRNN,
    vocabulary: CaptionVocabulary,
    features: Tensor,
    way: str,
    config: CaptionConfig,
) -> list[Words]:
    """Caption images in one of the ways."""
    written: list[Words] = []
    longest = config.max_words + 1
    for part in torch.split(features, 100):
        if way == "greedy":
            rows = model.sample(part, longest)
        else:
            rows = model.beam_search(
                part, longest, beam=config.beam, length_penalty=config.length_penalty
            )
        written += [tuple(words) for words in vocabulary.decode(rows.cpu())]
    return written


def _pack_projection(projection: Projection) -> dict[str, Tensor]:
    (mean, std), basis, scale = projection
    parts = {"mean": mean, "std": std, "basis": basis, "scale": scale}
    return {f"projection.{name}": tensor for name, tensor in parts.items()}


def _unpack_projection(tensors: dict[str, Tensor]) -> Projection:
    mean, std, basis, scale = (
        tensors[f"projection.{name}"] for name in ("mean", "std", "basis", "scale")
    )
    return Projection(Statistics(mean, std), basis, scale)
