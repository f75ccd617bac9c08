"""Networks that write captions together: those of all seeds, by the mean of their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rnnreport.experiments.captioning import training
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.splits import ImageData, Words
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.experiments.captioning.training import images_of
from rnnreport.models.captioning import write_together
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["TogetherConfig", "request", "run"]


@dataclass(frozen=True)
class TogetherConfig:
    """Which networks write together.

    Attributes
    ----------
    trainings
        Of each network, on the same images: at least one. The first says how they write.
    """

    trainings: tuple[CaptionConfig, ...]

    def __post_init__(self) -> None:
        if not self.trainings:
            raise ValueError("trainings must hold at least one configuration, got none")


def request(config: TogetherConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.captioning.training.request` raises.
    """
    trained = [training.request(each) for each in config.trainings]
    return Request(
        "captions-together",
        __name__,
        config,
        data={
            **trained[0].data,
            **{f"network-{number}": each.key for number, each in enumerate(trained, 1)},
        },
        seeds=trained[0].seeds,
        device=describe_device("cpu"),
    )


def run(config: TogetherConfig) -> Result:
    """Let networks caption the test images together, or return the stored result.

    Parameters
    ----------
    config
        Which networks; they are trained first if they are not stored.

    Returns
    -------
    Result
        ``details["captions"]`` has the words of each test image's caption, written with a beam.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.captioning.training.run` raises.
    """
    return get_or_compute(request(config), lambda: _write(config))


def _write(config: TogetherConfig) -> Outcome:
    captioners = [TrainedCaptioner(training.run(each)) for each in config.trainings]
    first = captioners[0].config
    images = images_of(first)
    assert isinstance(images, ImageData)  # noqa: S101
    features = images.features(
        list(images.pools().test), places=first.cell_type == "attention"
    ).float()
    written: list[Words] = []
    for part in torch.split(features, 100):
        rows = write_together(
            [captioner.model for captioner in captioners],
            [part] * len(captioners),
            first.max_words + 1,
            beam=first.beam,
            length_penalty=first.length_penalty,
        )
        written += [tuple(words) for words in captioners[0].vocabulary.decode(rows)]
    return Outcome(history={}, metrics={"networks": len(captioners)}, details={"captions": written})
