"""A trained network that tells ants from bees, read back from a result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.assets import DataFormatError
from rnnreport.data.views import centre_view
from rnnreport.experiments.transfer.data import CLASSES, backbone
from rnnreport.experiments.transfer.training import TransferConfig
from rnnreport.models.transfer import Head
from rnnreport.names import Mode, Profile
from rnnreport.runs import store
from rnnreport.runs.store import Result, load_tensors, weights_of

__all__ = ["TrainedImageClassifier", "latest"]


class TrainedImageClassifier:
    """A network with the weights of a result.

    Parameters
    ----------
    result
        From :func:`rnnreport.experiments.transfer.training.run`.

    Attributes
    ----------
    result : Result
        The same.
    classes : tuple of str
        The names of the classes.

    Raises
    ------
    OSError
        If the file of weights is gone.
    MissingDataError
        If the weights of the network that was trained on are not there.
    DataFormatError
        If the weights do not fit the network that the configuration describes.
    """

    classes = CLASSES

    def __init__(self, result: Result) -> None:
        config = TransferConfig(**result.config)
        network = backbone(config.backbone)
        self.result = result
        self._size = int(result.metrics["size"])
        self._antialias = network.antialias
        frozen = config.mode == "frozen"
        self._lower, self._upper = network.split(len(network.blocks) if frozen else config.cut)
        self._head = Head(torch.zeros(1, network.feature_dim), len(CLASSES))
        tensors = load_tensors(result)
        for name, module in (("upper", self._upper), ("head", self._head)):
            try:
                module.load_state_dict(weights_of(tensors, name))
            except RuntimeError as error:
                raise DataFormatError(
                    f"the weights of {result.experiment} {result.key[:20]} do not fit: {error}"
                ) from error

    @torch.no_grad()
    def probabilities(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return the probability of each class for pictures, as in the validation of the result.

        Parameters
        ----------
        pictures
            N pictures in RGB, of any size.

        Returns
        -------
        Tensor, float32, shape (N, 2)
            Probabilities, the mean of those of the picture's centre and of its mirror image.
        """
        views = torch.stack(
            [centre_view(picture, self._size, antialias=self._antialias) for picture in pictures]
        )
        scores = [self._head(self._features(view)) for view in (views, views.flip(3))]
        return torch.stack(scores).softmax(-1).mean(0)

    def _features(self, views: Tensor) -> Tensor:
        maps: Tensor = self._lower(views)
        if len(self._upper):  # it has learned from maps that are kept in half precision
            maps = self._upper(maps.half().float())
        return maps.mean((2, 3))


def latest(mode: Mode, profile: Profile = "auto") -> TrainedImageClassifier:
    """Return the latest stored network, whatever its seed and settings.

    Parameters
    ----------
    mode
        One of :data:`~rnnreport.names.MODES`.
    profile
        On which data it was trained; with ``"auto"`` on photographs if there is such a network.

    Raises
    ------
    MissingDataError
        If none is stored, or the weights of the network that was trained on are not there.
    DataFormatError
        If its weights do not fit.
    """
    return TrainedImageClassifier(
        store.latest(
            "transfer", TransferConfig, part="transfer", option="mode", profile=profile, mode=mode
        )
    )
