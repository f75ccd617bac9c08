"""A trained captioning network, read back from a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from PIL import Image
from torch import Generator, Tensor

from rnnreport.data.assets import DataFormatError
from rnnreport.data.features import Projection, Statistics, project
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.data import features_of
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.splits import Words
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.names import CellType, Profile
from rnnreport.runs import store
from rnnreport.runs.shipped import load_shipped
from rnnreport.runs.store import Result, load_tensors, weights_of

__all__ = [
    "TrainedCaptioner",
    "build_network",
    "latest",
    "pack_projection",
    "shipped",
    "write_captions",
]


class TrainedCaptioner:
    """A captioning network with the weights of a result.

    Parameters
    ----------
    result
        From :func:`rnnreport.experiments.captioning.training.run`.
    tensors
        What the network consists of, by name; without it, as it is stored with the result.

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
    DataFormatError
        If the weights are not finite, or do not fit the network that the configuration describes.
    """

    def __init__(self, result: Result, tensors: Mapping[str, Tensor] | None = None) -> None:
        tensors = load_tensors(result) if tensors is None else tensors
        self.result = result
        self.config = CaptionConfig(**result.config)
        self.vocabulary = CaptionVocabulary(tuple(result.details["words"]))
        self._projection = _unpack_projection(tensors)
        input_dim = self._projection.basis.shape[1]
        self.model = build_network(self.config, self.vocabulary, input_dim, Generator())
        weights = weights_of(tensors, "model")
        shapes = {name: param.shape for name, param in self.model.params.items()}
        if {name: param.shape for name, param in weights.items()} != shapes:
            raise DataFormatError(
                f"the weights of {result.experiment} {result.key[:20]} do not fit its configuration"
            )
        self.model.params = weights

    def features(self, images: Iterable[Image.Image]) -> Tensor:
        """Compute the features of pictures for the network.

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
            If the weights of EfficientNet-Lite1 are needed and not there.
        """
        places = self.config.cell_type == "attention"
        return project(features_of(images, self.config.profile, places=places), self._projection)

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
        return write_captions(self.model, self.vocabulary, features, "beam", self.config)


def latest(cell_type: CellType, profile: Profile = "auto") -> TrainedCaptioner:
    """Return the latest stored network, whatever its seed and settings.

    Parameters
    ----------
    cell_type
        One of :data:`~rnnreport.names.CELLS`.
    profile
        On which data it was trained; with ``"auto"`` on real data if there is such a network.

    Raises
    ------
    MissingDataError
        If none is stored.
    DataFormatError
        If its weights do not fit.
    """
    result = store.latest(
        "captions",
        CaptionConfig,
        part="captioning",
        option="cell",
        profile=profile,
        cell_type=cell_type,
        dataset="flickr8k",  # only its features can be computed from a picture
    )
    return TrainedCaptioner(result)


def shipped() -> TrainedCaptioner:
    """Return the network with attention that the package brings along.

    Raises
    ------
    DataFormatError
        If its files are damaged.
    """
    return TrainedCaptioner(*load_shipped("captioner"))


def build_network(
    config: CaptionConfig,
    vocabulary: CaptionVocabulary,
    input_dim: int,
    generator: Generator,
) -> CaptioningRNN:
    """Build the network of a configuration, untrained."""
    return CaptioningRNN(
        vocabulary.word_to_idx,
        input_dim=input_dim,
        wordvec_dim=config.wordvec_dim,
        hidden_dim=config.hidden_dim,
        cell_type=config.cell_type,
        dropout=config.dropout,
        device=config.device,
        generator=generator,
    )


def write_captions(
    model: CaptioningRNN,
    vocabulary: CaptionVocabulary,
    features: Tensor,
    way: str,
    config: CaptionConfig,
) -> list[Words]:
    """Caption images in one of the ways."""
    written: list[Words] = []
    longest = config.max_words + 1
    for half in torch.split(features, 100):
        part = half.float().to(config.device)
        if way == "greedy":
            rows = model.sample(part, longest)
        else:
            rows = model.beam_search(
                part, longest, beam=config.beam, length_penalty=config.length_penalty
            )
        written += [tuple(words) for words in vocabulary.decode(rows.cpu())]
    return written


def pack_projection(projection: Projection) -> dict[str, Tensor]:
    """Return the parts of a projection by name, to be kept beside the weights."""
    (mean, std), basis = projection
    parts = {"mean": mean, "std": std, "basis": basis}
    return {f"projection.{name}": tensor for name, tensor in parts.items()}


def _unpack_projection(tensors: Mapping[str, Tensor]) -> Projection:
    mean, std, basis = (tensors[f"projection.{name}"] for name in ("mean", "std", "basis"))
    return Projection(Statistics(mean, std), basis)
