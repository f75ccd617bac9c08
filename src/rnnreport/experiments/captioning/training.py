"""Captioning in full: networks that caption images which they have not seen.

All captions of the training images are learned, in mini-batches, with the hand-derived gradients
alone. The weights of the epoch with the smallest loss on the validation images are kept. Then all
test images are captioned, greedily and with a beam: they decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from rnnreport._checks import check_loss
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.data import coco_data, image_data
from rnnreport.experiments.captioning.settings import WAYS, CaptionConfig
from rnnreport.experiments.captioning.splits import CaptionData, Split, Splits, Words
from rnnreport.experiments.captioning.trained import (
    build_network,
    pack_projection,
    write_captions,
)
from rnnreport.layers import dropout_forward
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.progress import track
from rnnreport.runs.checkpoints import read_checkpoint, write_checkpoint
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["Learner", "images_of", "learn_and_write", "request", "run"]


def request(config: CaptionConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a data file cannot be read, or a caption is too long.
    """
    images = images_of(config)
    about = images.about
    return Request(
        "captions",
        __name__,
        config,
        data={
            "profile": config.profile,
            **about,
            "amount": f"{about['n_images']:,} images. Image features: {about['features']}",
            "fingerprint": images.fingerprint(),
        },
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
    )


def run(config: CaptionConfig) -> Result:
    """Train a network and let it caption the test images, or return the stored result.

    A run that was killed goes on from its last whole epoch, and ends with the same bits.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds the ``loss`` of each iteration, and for each epoch the mean
        ``train_loss`` and the ``val_loss``; ``metrics`` the ``best_epoch`` and its ``val_loss``.
        ``details["test"]``, ``details["val"]`` and ``details["train"]``, the latter of the first
        images alone, have an entry an image: its name under ``image``, the true captions under
        ``truth``, and what the network writes under each of
        :data:`~rnnreport.experiments.captioning.settings.WAYS`, all of them lists of words;
        ``details["altered"]`` is what it writes with a beam of each test photograph that was
        stored smaller. :class:`~rnnreport.experiments.captioning.trained.TrainedCaptioner` takes
        the weights.

    Raises
    ------
    ValueError
        If the data has no features for the network.
    FloatingPointError
        If the loss stops being finite.
    Exception
        What :func:`request` raises.
    """
    wanted = request(config)
    checkpoint = wanted.path.with_suffix(".part")
    result = get_or_compute(wanted, lambda: learn_and_write(config, checkpoint))
    checkpoint.unlink(missing_ok=True)
    return result


def images_of(config: CaptionConfig) -> CaptionData:
    """Return the images of a configuration.

    Raises
    ------
    MissingDataError
        If they are not there.
    DataFormatError
        If a file cannot be read, or a caption is too long.
    """
    if config.profile == "full" and config.dataset == "coco":
        return coco_data()
    return image_data(
        config.profile,
        n_train=config.n_train,
        n_val=config.n_val,
        n_test=config.n_test,
        data_seed=config.data_seed,
        max_words=config.max_words,
    )


def _splits(config: CaptionConfig, images: CaptionData, vocabulary: CaptionVocabulary) -> Splits:
    places = config.cell_type == "attention"
    splits = images.splits(vocabulary, places=places, max_words=config.max_words)
    if config.profile == "full" and config.dataset == "coco":
        counts = config.n_train, config.n_val, config.n_test
        return Splits(
            *(split.between(0, count) for split, count in zip(splits, counts, strict=True))
        )
    return splits


class Learner(Protocol):
    """What is trained: a network, or what stands for it in several processes."""

    @property
    def params(self) -> Mapping[str, Tensor]:
        """The parameters by name, which training changes in place."""

    def loss(
        self, features: Tensor, captions: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of captions and its gradients, as a network does."""


def learn_and_write(
    config: CaptionConfig,
    checkpoint: Path,
    learner: Callable[[CaptioningRNN], Learner] = lambda model: model,
) -> Outcome:
    """Train a network and let it caption images.

    Parameters
    ----------
    config
        What to do.
    checkpoint
        The file that keeps the state of training.
    learner
        Returns what computes losses and gradients in place of the network, whose parameters it
        shares.
    """
    images = images_of(config)
    vocabulary = images.vocabulary(config.min_count)
    train, val, test = _splits(config, images, vocabulary)
    places = config.cell_type == "attention"
    projection = images.projection(places=places)
    generator = Generator().manual_seed(config.seed)
    model = build_network(config, vocabulary, train.features.shape[-1], generator)
    state = _train(config, learner(model), train, val, generator, checkpoint)
    best: dict[str, Tensor] = state["best"]
    model.params = {name: tensor.to(config.device) for name, tensor in best.items()}

    def write(features: Tensor, way: str) -> list[Words]:
        return write_captions(model, vocabulary, features, way, config)

    details: dict[str, Any] = {"words": list(vocabulary.words)}
    for name, split in (("test", test), ("val", val), ("train", train.between(0, 100))):
        written = {way: write(split.features, way) for way in WAYS}
        details[name] = [
            {"image": image, "truth": truth} | {way: written[way][row] for way in WAYS}
            for row, (image, truth) in enumerate(zip(split.names, split.references, strict=True))
        ]
    altered = images.altered(test.names, places=places)
    if altered is not None:
        details["altered"] = write(altered, "beam")
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
            "n_test": len(test.names),
            "n_test_captions": len(test.captions),
            "n_views": 1 + len(train.variants),
            "input_dim": train.features.shape[-1],
        },
        details=details,
        tensors={f"model.{name}": tensor for name, tensor in best.items()}
        | pack_projection(projection),
    )


def _train(
    config: CaptionConfig,
    model: Learner,
    train: Split,
    val: Split,
    generator: Generator,
    checkpoint: Path,
) -> dict[str, Any]:
    """Train until the validation loss falls no more; return the history and the best weights."""
    adam = torch.optim.Adam(model.params.values(), lr=config.learning_rate)
    history: dict[str, list[float]] = {"loss": [], "train_loss": [], "val_loss": []}
    state: dict[str, Any] = {"history": history, "best_epoch": 0, "best": {}}
    stored = read_checkpoint(checkpoint, generator)
    if stored is not None:
        adam.load_state_dict(stored.pop("adam"))
        for name, param in stored.pop("model").items():
            model.params[name].copy_(param)
        state, history = stored, stored["history"]
    steps = config.epochs * math.ceil(len(train.captions) / config.batch_size)

    label = f"captions, {config.cell_type}, seed {config.seed}"
    for epoch in track(range(1, config.epochs + 1), label):
        trained = len(history["val_loss"])
        if epoch <= trained or trained - state["best_epoch"] >= config.patience:
            continue  # trained before the run was killed, or training has ended
        losses = []
        for batch in _batches(train, config.batch_size, generator):
            adam.param_groups[0]["lr"] = config.learning_rate * (1 - len(history["loss"]) / steps)
            features, captions = _take(train, batch, config.device, generator)
            features, _ = dropout_forward(features, config.feature_dropout, generator)
            loss, grads = model.loss(features, captions, generator)
            for name, param in model.params.items():
                param.grad = grads[name]
            torch.nn.utils.clip_grad_norm_(model.params.values(), config.clip_norm)
            adam.step()
            history["loss"].append(check_loss(float(loss), f" in epoch {epoch}"))
            losses.append((float(loss), len(batch)))
        history["train_loss"].append(_mean(losses))
        history["val_loss"].append(_loss(model, val, config))
        if history["val_loss"][-1] == min(history["val_loss"]):
            state["best_epoch"] = epoch
            state["best"] = {
                name: param.detach().cpu().clone() for name, param in model.params.items()
            }
        resumable = {**state, "model": dict(model.params), "adam": adam.state_dict()}
        write_checkpoint(checkpoint, resumable, generator)
    return state


def _batches(split: Split, size: int, generator: Generator) -> list[Tensor]:
    """Cut the captions into mini-batches of nearly equal lengths, all in an order drawn anew."""
    noise = 2 * torch.rand(len(split.captions), generator=generator)
    batches = torch.split((split.lengths + noise).argsort(), size)
    return [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]


def _take(
    split: Split, batch: Tensor, device: str, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return the features and the captions of a mini-batch, which ends with its longest caption.

    A generator draws in which view each caption's image is seen; else it is seen as it is.
    """
    captions = split.captions[batch, : int(split.lengths[batch].max())]
    owners = split.owners[batch]
    features = split.features[owners]
    if generator is not None and split.variants:
        views = torch.randint(1 + len(split.variants), (len(batch),), generator=generator)
        for number, variant in enumerate(split.variants, 1):
            features[views == number] = variant[owners[views == number]]
    return features.float().to(device), captions.to(device)


def _loss(model: Learner, split: Split, config: CaptionConfig) -> float:
    """Mean loss of a split's captions, without dropout."""
    batches = torch.split(split.lengths.argsort(stable=True), config.batch_size)
    return _mean(
        [
            (float(model.loss(*_take(split, batch, config.device))[0]), len(batch))
            for batch in batches
        ]
    )


def _mean(losses: Sequence[tuple[float, int]]) -> float:
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)
