"""Captioning: an RNN, an LSTM and an LSTM with attention learn captions by heart.

Each cell is trained on one caption for each of a few images until it repeats them word by word.
That shows that the hand-derived gradients train a network; it does not make a network that says
what is in other images, as the captions of validation images show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

import torch
from PIL import Image
from torch import Tensor

from rnnreport._checks import check_choice, check_loss, check_numbers
from rnnreport.data.features import project, standard
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.data import image_data
from rnnreport.experiments.captioning.splits import Captions, ImageData, Words
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.names import CELLS, RESOLVED_PROFILES, CellType, ResolvedProfile
from rnnreport.progress import track
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["ByHeartConfig", "configs", "images", "request", "run"]


@dataclass(frozen=True)
class ByHeartConfig:
    """How a network learns captions by heart.

    Attributes
    ----------
    cell_type
        ``"rnn"``, ``"lstm"`` or ``"attention"``.
    profile
        ``"full"``: photographs of Flickr8k with features of EfficientNet-Lite1; ``"sample"``:
        generated scenes with pixel features.
    n_train
        The most training images; one caption of each is learned.
    n_val
        The most validation images that are captioned.
    wordvec_dim, hidden_dim
        Sizes of a word vector and of the hidden state.
    epochs
        The most passes over the training captions. Training ends earlier once all of them are
        repeated at `patience` checks in a row.
    check_every
        How many epochs lie between two checks.
    patience
        How many checks in a row all captions must be repeated.
    batch_size
        Captions in a mini-batch.
    learning_rate, learning_rate_decay
        Of Adam: the first learning rate, and the factor that it is multiplied by at every epoch.
    data_seed
        Chooses images and captions, and in the sample draws them.
    seed
        First weights and order of the mini-batches.
    device
        Where to compute, as torch names it.
    """

    cell_type: CellType = "lstm"
    profile: ResolvedProfile = "full"
    n_train: int = 50
    n_val: int = 12
    wordvec_dim: int = 256
    hidden_dim: int = 512
    epochs: int = 600
    check_every: int = 5
    patience: int = 4
    batch_size: int = 50
    learning_rate: float = 4e-3
    learning_rate_decay: float = 0.997
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("cell_type", self.cell_type, CELLS)
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_numbers(
            self,
            at_least_1="n_train n_val epochs check_every patience batch_size",
            positive="learning_rate learning_rate_decay",
        )


def configs(profile: ResolvedProfile) -> dict[CellType, ByHeartConfig]:
    """Return the configurations that the report uses, by the network's cell."""
    chosen = {cell: ByHeartConfig(cell, profile) for cell in get_args(CellType)}
    if profile == "sample":
        # Colours of a few places say little: it takes long, and with 256 units half as long.
        chosen["attention"] = replace(chosen["attention"], hidden_dim=256, learning_rate=8e-3)
    return chosen


def request(config: ByHeartConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a data file cannot be read.
    """
    images = _images(config)
    about = images.about
    n_train, n_val = map(len, _choose(images, config))
    return Request(
        "captions-by-heart",
        __name__,
        config,
        data={
            "profile": config.profile,
            **about,
            "amount": (
                f"{n_train} images for training, {n_val} for validation, "
                f"of {about['n_images']}. Image features: {about['features']}"
            ),
            "fingerprint": images.fingerprint(),
        },
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
    )


def run(config: ByHeartConfig) -> Result:
    """Train a network on a few captions and let it caption images, or return the stored result.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history["loss"]`` holds the loss of each iteration and ``history["exact"]`` how many
        training captions were repeated at each check, ``history["exact_epoch"]`` when;
        ``metrics["exact"]`` is their number in the end, out of ``metrics["n_train"]``.
        ``details["train"]`` and ``details["val"]`` are lists with one entry an image: its name
        under ``image``, the network's caption under ``caption``, the true ones under ``truth``
        (for a training image, the one that was learned), and whether the caption is one of them
        under ``exact``.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    Exception
        What :func:`request` raises.
    """
    return get_or_compute(request(config), lambda: _learn_and_caption(config))


def images(result: Result, names: Iterable[str], *, size: int | None = None) -> list[Image.Image]:
    """Return images of a result: from the data folder, or drawn again.

    Parameters
    ----------
    result
        From :func:`run`.
    names
        Names of images, as in ``result.details``.
    size
        For generated scenes the side in pixels; without it, as the network saw them. Photographs
        come in the size that they have.

    Returns
    -------
    list of PIL.Image.Image
        The images, in RGB.

    Raises
    ------
    MissingDataError
        If the result is one of the profile ``full`` and the data is not there.
    KeyError
        If the data has no such image.
    """
    images_of_result = _images(ByHeartConfig(**result.config))
    return [images_of_result.image(name, size) for name in names]


def _images(config: ByHeartConfig) -> ImageData:
    return image_data(
        config.profile, n_train=config.n_train, n_val=config.n_val, data_seed=config.data_seed
    )


def _choose(images: ImageData, config: ByHeartConfig) -> tuple[Captions, Captions]:
    """Choose images: those for training with one caption each, the others with all of theirs."""
    train, val, _ = images.pools()
    generator = torch.Generator().manual_seed(config.data_seed)

    def pick(pool: Captions, count: int) -> list[str]:
        names = sorted(pool)
        return [names[i] for i in torch.randperm(len(names), generator=generator)[:count].tolist()]

    learned = {}
    for name in pick(train, config.n_train):
        which = int(torch.randint(len(train[name]), (), generator=generator))
        learned[name] = (train[name][which],)
    return learned, {name: val[name] for name in pick(val, config.n_val)}


def _learn_and_caption(config: ByHeartConfig) -> Outcome:
    """Train on one caption of each training image, then caption all images."""
    images = _images(config)
    train, val = _choose(images, config)
    n_train = len(train)
    features = images.features([*train, *val], places=config.cell_type == "attention").float()
    features = project(features, standard(features[:n_train].flatten(0, -2))).to(config.device)
    learned = [captions[0] for captions in train.values()]
    vocabulary = CaptionVocabulary.build(learned)
    length = max(map(len, learned)) + 2
    generator = torch.Generator().manual_seed(config.seed)
    model = CaptioningRNN(
        vocabulary.word_to_idx,
        input_dim=features.shape[-1],
        wordvec_dim=config.wordvec_dim,
        hidden_dim=config.hidden_dim,
        cell_type=config.cell_type,
        device=config.device,
        generator=generator,
    )

    def caption(rows: Tensor) -> list[Words]:
        return [tuple(words) for words in vocabulary.decode(model.sample(rows, length).cpu())]

    def count_exact() -> int:
        written = caption(features[:n_train])
        return sum(words == truth for words, truth in zip(written, learned, strict=True))

    history: dict[str, list[float]] = {"loss": [], "exact": [], "exact_epoch": []}
    optimiser = torch.optim.Adam(model.params.values(), lr=config.learning_rate)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimiser, config.learning_rate_decay)
    captions = vocabulary.encode(learned, length).to(config.device)
    for epoch in track(range(1, config.epochs + 1), f"captioning, {config.cell_type}"):
        order = torch.randperm(n_train, generator=generator).to(config.device)
        for batch in torch.split(order, config.batch_size):
            loss, grads = model.loss(features[batch], captions[batch])
            for name, param in model.params.items():
                param.grad = grads[name]
            optimiser.step()
            history["loss"].append(_finite(loss, epoch))
        scheduler.step()
        if epoch % config.check_every == 0 or epoch == config.epochs:
            history["exact_epoch"].append(epoch)
            history["exact"].append(count_exact())
            if history["exact"][-config.patience :] == [n_train] * config.patience:
                break

    records = [
        {
            "image": name,
            "caption": " ".join(written),
            "truth": [" ".join(words) for words in truth],
            "exact": written in truth,
        }
        for written, (name, truth) in zip(
            caption(features), [*train.items(), *val.items()], strict=True
        )
    ]
    return Outcome(
        history=history,
        metrics={
            "exact": sum(record["exact"] is True for record in records[:n_train]),
            "n_train": n_train,
            "epochs": epoch,
            "iterations": len(history["loss"]),
            "last_loss": history["loss"][-1],
            "num_parameters": model.num_parameters,
            "vocabulary_size": len(vocabulary),
            "longest_caption": length - 2,
            "input_dim": features.shape[-1],
        },
        details={"train": records[:n_train], "val": records[n_train:]},
    )


def _finite(loss: Tensor, epoch: int) -> float:
    return check_loss(float(loss), f" in epoch {epoch}")
