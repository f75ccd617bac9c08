"""Origins: where the files of each asset can be downloaded, and the checksums that are known.

Nothing here touches the network: this is a table. :mod:`rnnreport.data.fetch` acts on it. A
checksum stands here only if it is known from two places that do not depend on each other; a
file without one is checked for its length and its format alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rnnreport.data.assets import ASSETS, NEEDS, all_below
from rnnreport.progress import track

__all__ = [
    "CHECKSUMS",
    "ORIGINS",
    "USUAL",
    "Download",
    "Origin",
    "checksum_of",
    "files_of",
    "folder_checksum",
]

_BLOCK = 2**20


@dataclass(frozen=True)
class Download:
    """A file to download.

    Attributes
    ----------
    name
        What it is called while it waits to be put in its place.
    url
        Its address.
    checksum
        ``sha256:`` or ``md5:`` and hexadecimal digits; empty where none is known.
    size
        Its length in bytes, if that is known.
    about
        Its rough length in bytes, if no better one is known.
    """

    name: str
    url: str
    checksum: str = ""
    size: int | None = None
    about: int | None = None


@dataclass(frozen=True)
class Origin:
    """How an asset is put together from downloads.

    Attributes
    ----------
    target
        Where it goes in a data folder; a place that one of the asset's candidates names.
    downloads
        The files that it is made from; none for what only a package holds.
    note
        What to know of the result, in a sentence; may be empty.
    """

    target: str
    downloads: tuple[Download, ...]
    note: str = ""


_GITHUB = "https://raw.githubusercontent.com"
_YELP = f"{_GITHUB}/shentianxiao/language-style-transfer/master/data/yelp"
_PAINTINGS = f"{_GITHUB}/jcjohnson/fast-neural-style/master/images/styles"
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_TORCHVISION = "https://download.pytorch.org/models"

ORIGINS: dict[str, Origin] = {
    "flickr8k": Origin(
        target="flickr8k",
        downloads=(
            Download(
                "Flickr8k_Dataset.zip",
                f"{_FLICKR8K}/Flickr8k_Dataset.zip",
                "md5:f18a1e2920de5bd84dae7cf08ec78978",
                about=1_100_000_000,
            ),
            Download(
                "Flickr8k_text.zip",
                f"{_FLICKR8K}/Flickr8k_text.zip",
                "md5:bf6c1abcb8e4a833b7f922104de18627",
                about=2_000_000,
            ),
        ),
        note=(
            "All of Flickr8k at full size; the recorded results used 7,919 of these photographs, "
            "made smaller, in their official parts"
        ),
    ),
    "coco": Origin(
        target="coco_captioning",
        downloads=(
            Download("coco_captioning.zip", "https://cs231n.stanford.edu/coco_captioning.zip"),
        ),
    ),
    "mobilenet_v2": Origin(
        target="weights/mobilenet_v2-b0353104.pth",
        downloads=(
            Download(
                "mobilenet_v2-b0353104.pth",
                f"{_TORCHVISION}/mobilenet_v2-b0353104.pth",
                "sha256:b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                about=14_000_000,
            ),
        ),
        note="In full precision; the recorded results used the de-quantised weights",
    ),
    "efficientnet_lite1": Origin(target="weights/efficientnet-lite1-77cc7160.pth", downloads=()),
    "sentiment": Origin(
        target="sentiment",
        downloads=tuple(
            Download(f"sentiment.{part}.{label}", f"{_YELP}/sentiment.{part}.{label}")
            for part in ("train", "dev", "test")
            for label in (0, 1)
        ),
        note=(
            "Of each class the first sentences of five tokens or more: 20,000 to train, 5,000 "
            "each for dev and test"
        ),
    ),
    "glove": Origin(
        target="glove/glove.6B.300d.txt",
        downloads=(
            Download(
                "glove.6B.zip",
                "https://nlp.stanford.edu/data/glove.6B.zip",
                "sha256:617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
                862_182_613,
            ),
        ),
        note="One of the four files of the archive is kept; it takes 1 GB",
    ),
    "hymenoptera": Origin(
        target="hymenoptera_data",
        downloads=(
            Download(
                "hymenoptera_data.zip",
                "https://download.pytorch.org/tutorial/hymenoptera_data.zip",
                "sha256:fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
                47_286_322,
            ),
        ),
    ),
    "resnet18": Origin(
        target="weights/resnet18-f37072fd.pth",
        downloads=(
            Download(
                "resnet18-f37072fd.pth",
                f"{_TORCHVISION}/resnet18-f37072fd.pth",
                "sha256:f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
                46_830_571,
            ),
        ),
    ),
    "styles": Origin(
        target="styles",
        downloads=(
            Download(
                "composition_vii.jpg",
                f"{_PAINTINGS}/composition_vii.jpg",
                "sha256:8f992ed4aecd6dd56972d7bc8166761de7c94e670ee6effa8fd05f3daeb33409",
                202_426,
            ),
            Download(
                "the_scream.jpg",
                f"{_PAINTINGS}/the_scream.jpg",
                "sha256:f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
                216_723,
            ),
            Download(
                "starry_night.jpg",
                f"{_GITHUB}/jcjohnson/neural-style/master/examples/inputs/starry_night_google.jpg",
            ),
            Download(
                "tubingen.jpg",
                "https://upload.wikimedia.org/wikipedia/commons/0/00/Tuebingen_Neckarfront.jpg",
                "sha256:e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506",
                406_531,
            ),
        ),
        note="The copy of starry_night may be another than that of the recorded results",
    ),
    "vgg19": Origin(
        target="weights/vgg19-dcbb9e9d.pth",
        downloads=(
            Download(
                "vgg19-dcbb9e9d.pth",
                f"{_TORCHVISION}/vgg19-dcbb9e9d.pth",
                "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
                574_673_361,
            ),
        ),
        note=(
            "All of torchvision's VGG-19; the recorded results used its first eight convolutions "
            "with Oxford's scale of activations"
        ),
    ),
    "squeezenet1_1": Origin(
        target="weights/squeezenet1_1-b8a52dc0.pth",
        downloads=(
            Download(
                "squeezenet1_1-b8a52dc0.pth",
                f"{_TORCHVISION}/squeezenet1_1-b8a52dc0.pth",
                "sha256:b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
                4_958_839,
            ),
        ),
    ),
}
"""How each asset is put together from public files, by the asset's name."""

CHECKSUMS: dict[str, dict[str, str]] = {
    **{
        origin.target: {"": origin.downloads[0].checksum.removeprefix("sha256:")}
        for origin in ORIGINS.values()
        if origin.target.startswith("weights/") and origin.downloads
    },
    **{
        asset.candidates[0]: {"": asset.packaged.checksum}
        for asset in ASSETS.values()
        if asset.packaged
    },
    "weights/mobilenet_v2_imagenet_from_quant.safetensors": {
        "": "c2edcc9a7108a73086731e41cdc4e6024755d850f88487ed458092ec9279fbf2"
    },
    "weights/squeezenet1_1_fp16_as_fp32.safetensors": {
        "": "090d26787f94c7beb8b2cda7d0eaff92a356aa591fde91e56f4bfb6715872b1c"
    },
    "weights/vgg19_conv1_1-conv3_4.safetensors": {
        "": "9e6e3d627bc496a7a99ed58367ba5387277e5843a6e2881042f9925c7e9b07fc"
    },
    "glove/glove.6B.100d.top30000_and_sentiment.txt": {
        "": "14f2a5c382f8c3f966e82fe16a8a7ac18ca14314ab6462e25bcd3f4e8ee69006"
    },
    "glove/glove.6B.50d.top30000_and_sentiment.txt": {
        "": "b6937ef5fa70565d03d8e47a6e80807ee3976a6d41147a740e766886f24a06c1"
    },
    "glove/glove.twitter.27B.25d.common11925.txt": {
        "": "bec4b94e97bd5dce096f020987211bfa2bd3690952689a11aecf55c25fac36cc"
    },
    "sentiment": {
        "train.txt": "67e1f9cc963e9377b082708667a237223c43f5890544d6427eb59f021d1ba163",
        "dev.txt": "894b625e55e7cf6b7a3d99ad9a2818fab607673793adc432c33a35a09ef356fc",
        "test.txt": "9c96043e99d84f69091ca3dfd66660472cbbd0fe096f4b56b8777ca6652efd9c",
    },
    "styles": {
        download.name: download.checksum.removeprefix("sha256:")
        for download in ORIGINS["styles"].downloads
        if download.checksum
    },
    "hymenoptera_data": {".": "b0e3506710bc375be5996e1c9b29818c80cdfc19bcc324e560091da6690149ec"},
    "flickr8k_900": {".": "9ceeb9cf169d4b95474a0cf1ed9beea002d47032244262effca15e185e3b957b"},
    "flickr8k": {".": "019fd8431b554b1f58ff2302d37c3c42b82f8c6602f8b7c80b1b43ad7f164f09"},
}
"""The SHA-256 of what lies in a data folder, by its place there and the file in it.

The file is empty where the candidate is a file itself, and ``.`` stands for the whole folder
(:func:`folder_checksum`). They are those of the files that the recorded results were computed from,
and of torchvision's weights.
"""

USUAL: tuple[str, ...] = tuple(
    name
    for name in dict.fromkeys([*(name for needs in NEEDS.values() for name in needs), "glove"])
    if not ASSETS[name].packaged
)
"""The assets that are fetched where none is named: all that the profile ``full`` needs, and the
word vectors that the source used."""


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file.

    Parameters
    ----------
    path
        The file; read block by block.
    algorithm
        Its name in :mod:`hashlib`.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    total = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return the files of an asset, in the order of their names.

    Parameters
    ----------
    path
        A file, or a folder: of all that :func:`~rnnreport.data.assets.all_below` finds, the files.
    """
    if path.is_file():
        return [path]
    files = (file for file in all_below(path) if file.is_file())
    return sorted(files, key=lambda file: file.relative_to(path).as_posix())


def folder_checksum(path: Path) -> str:
    """Return one checksum over a folder: the names and the content of its files.

    It is the SHA-256 of what ``sha256sum`` prints for the files of :func:`files_of`, each named by
    its path in the folder.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    total = hashlib.sha256()
    files: Iterable[Path] = files_of(path)
    for file in track(files, path.name):
        total.update(f"{checksum_of(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return total.hexdigest()
