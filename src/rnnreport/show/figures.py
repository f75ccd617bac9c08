"""Figures for the pages: plots drawn for the light and the dark page, pictures with captions.

A cell returns one of these objects as its last value, and the notebook asks it for HTML.
Every figure says in words what it shows: an empty ``alt`` is refused.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnnreport.show.html import Html, Markup, joined, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure
    from PIL.Image import Image
    from torch import Tensor

__all__ = [
    "PALETTES",
    "WIDTH",
    "Figure",
    "Gallery",
    "Picture",
    "StoredFigure",
    "gallery",
    "overlay",
    "type_size",
]

Style = Literal["light", "dark"]
Caption = str | Mapping[str, str]
Layout = Literal["", "wide", "three"]

#: Four line colours for each style, at least eight steps of CIE lightness apart, so that they stay
#: distinct in grey and for every common colour blindness; each has a contrast of 4.5 or more.
PALETTES: Mapping[Style, tuple[str, ...]] = {
    "light": ("#10187f", "#c04a03", "#155d85", "#820526"),
    "dark": ("#eef08a", "#61a9f4", "#9ad6d4", "#b5813a"),
}
_DASHES = ("-", "--", "-.", ":")
_INK: Mapping[Style, tuple[str, str, str]] = {
    # text, axes and ticks, grid
    "light": ("#222832", "#48566b", "#d1d5da"),
    "dark": ("#ced6dd", "#9ca4af", "#364150"),
}
_LIGHT = (255.0, 176.0, 40.0)  # the colour of large weights in an overlay
# A column of a phone is about 340 CSS pixels wide. Type of 12 points in a figure of 5.4 inches is
# 10.5 pixels there and 16 on a desk; a wider figure is shrunk more and gets larger type.
WIDTH, _POINTS = 5.4, 12.0


def _require_alt(alt: Any, name: str = "alt") -> str:
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"{name} must say in words what is shown, got {alt!r}")
    return " ".join(alt.split())


def type_size(width: float) -> float:
    """Return the size of the type in a figure of a width in inches, in points."""
    return _POINTS * max(1.0, width / WIDTH)


def _rc(style: Style, width: float) -> dict[Any, Any]:
    from cycler import cycler

    text, axes, grid = _INK[style]
    palette = PALETTES[style]
    return {
        "axes.edgecolor": axes,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": text,
        "axes.prop_cycle": cycler(color=palette) + cycler(linestyle=_DASHES[: len(palette)]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.facecolor": "none",
        "font.size": type_size(width),
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "image.cmap": "cividis",
        "legend.frameon": False,
        "lines.linewidth": 2.0,
        "savefig.facecolor": "none",
        "svg.fonttype": "path",  # the reader's fonts do not matter
        "svg.hashsalt": "rnnreport",  # the same picture has the same bytes
        "text.color": text,
        "xtick.color": axes,
        "xtick.labelcolor": text,
        "xtick.labelsize": "small",
        "ytick.color": axes,
        "ytick.labelcolor": text,
        "ytick.labelsize": "small",
    }


@dataclass(frozen=True)
class Figure:
    """A plot that is drawn twice, once in the colours of each page style.

    Parameters
    ----------
    draw
        Called as ``draw(fig, axes)`` for each style; ``axes`` is one axes, or the array of them
        that ``subplots`` gives. It must take its colours from the current style (``C0`` … ``C3``,
        or none at all) and must not depend on anything that changes between the two calls.
    alt
        What the figure shows, in words; never empty.
    figsize
        Width and height in inches. The type grows with a width above 5.4, so that it stays legible
        when a phone shrinks the figure.
    subplots
        Keywords for ``matplotlib.figure.Figure.subplots``, such as ``{"ncols": 2}``.

    Raises
    ------
    ValueError
        If ``alt`` is empty or ``figsize`` is not positive.
    """

    draw: Callable[[MplFigure, Any], None]
    alt: str
    figsize: tuple[float, float] = (WIDTH, 3.3)
    subplots: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "alt", _require_alt(self.alt))
        if not all(side > 0 for side in self.figsize):
            raise ValueError(f"figsize must be two positive numbers, got {self.figsize!r}")

    def svg(self, style: Style) -> str:
        """Draw the figure.

        Parameters
        ----------
        style
            ``"light"`` or ``"dark"``.

        Returns
        -------
        str
            One SVG document, the same bytes every time.
        """
        if style not in PALETTES:
            raise ValueError(f"style must be one of {sorted(PALETTES)}, got {style!r}")
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as MplFigure

        # From the defaults, not from a reader's matplotlibrc; the context puts everything back.
        # No pyplot: it would register the figure and pick a backend.
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_rc(style, self.figsize[0]))
            fig = MplFigure(figsize=self.figsize, layout="constrained")
            FigureCanvasSVG(fig)
            self.draw(fig, fig.subplots(**(self.subplots or {})))
            buffer = io.StringIO()
            # The date and the program's name would change the bytes without changing the picture.
            fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        return _two_tone(self.svg("light"), self.svg("dark"), self.alt)

    def __repr__(self) -> str:
        return f"Figure({self.alt!r})"


@dataclass(frozen=True)
class StoredFigure:
    """A figure as it was drawn before, for both styles.

    Attributes
    ----------
    light, dark
        SVG documents.
    alt
        What the figure shows, in words.
    """

    light: str
    dark: str
    alt: str

    @classmethod
    def of(cls, figure: Figure) -> StoredFigure:
        """Draw a figure."""
        return cls(figure.svg("light"), figure.svg("dark"), figure.alt)

    def _repr_html_(self) -> str:
        return _two_tone(self.light, self.dark, self.alt)


def _two_tone(light: str, dark: str, alt: str) -> Markup:
    def image(style: Style, svg: str, *, hidden: bool) -> Markup:
        src = _data_uri(svg.encode(), "svg+xml")
        return tag("img", class_=f"only-{style}", hidden=hidden, alt=alt, src=src)

    # "hidden" keeps the dark copy out of sight where the page's style sheet is missing.
    both = (image("light", light, hidden=False), image("dark", dark, hidden=True))
    return tag("div", *both, class_="two-tone")


def _data_uri(data: bytes, subtype: str) -> str:
    return f"data:image/{subtype};base64,{base64.b64encode(data).decode()}"


@dataclass(frozen=True)
class Picture:
    """A picture of a gallery.

    Attributes
    ----------
    data
        Its file.
    caption
        The words below it.
    alt
        Its content in words.
    """

    data: bytes
    caption: Caption
    alt: str


@dataclass(frozen=True, repr=False)
class Gallery(Html):
    """Pictures side by side, each a ``<figure>`` with its caption; made by :func:`gallery`.

    Attributes
    ----------
    pictures : tuple of Picture
        What it shows.
    layout : str
        ``"wide"``: large pictures; ``"three"``: as wide as three of them need; ``""``: small ones.
    """

    pictures: tuple[Picture, ...]
    layout: Layout

    @classmethod
    def of(cls, pictures: Sequence[Picture], label: str, layout: Layout = "") -> Gallery:
        """Lay out pictures whose files are made."""
        from PIL import Image

        figures, sizes = [], set()
        for picture in pictures:
            with Image.open(io.BytesIO(picture.data)) as image:
                size, encoding = image.size, str(image.format).lower()
            sizes.add(size)
            element = tag(
                "img",
                src=_data_uri(picture.data, encoding),
                alt=picture.alt,
                width=size[0],
                height=size[1],
            )
            figures.append(tag("figure", element, tag("figcaption", _caption(picture.caption))))
        kind = "gallery gallery-uniform" if len(sizes) == 1 else "gallery"
        html = tag("div", *figures, class_=kind, role="group", aria_label=label)
        kinds = [f"gallery-{layout}"] if layout else []
        if len(figures) > 2:
            kinds.append("full-width")  # the theme's: as wide as the text and its margin
        if kinds:
            html = tag("div", html, class_=" ".join(kinds))
        return cls(html, label, tuple(pictures), layout)


def gallery(
    images: Sequence[Any],
    captions: Sequence[Caption],
    alt: Sequence[str],
    *,
    label: str = "Pictures with captions",
    encoding: Literal["png", "jpeg"] = "png",
    max_side: int | None = 320,
    layout: Layout = "",
) -> Gallery:
    """Put pictures and their captions into a grid.

    Parameters
    ----------
    images
        NumPy arrays, ``(H, W)`` or ``(H, W, 3 or 4)``, ``uint8`` or floats from 0 to 1, or PIL
        images.
    captions
        One for each picture: plain text, or a mapping from terms to texts such as
        ``{"truth": "a dog runs", "model": "a dog"}``.
    alt
        One text for each picture that says what it shows; never empty.
    label
        Name of the whole grid for a reader who cannot see it; never empty.
    encoding
        ``"png"`` keeps every pixel, ``"jpeg"`` suits photographs.
    max_side
        Larger pictures are shrunk to this many pixels on the longer side; ``None`` shrinks none.
    layout
        As :class:`Gallery` has it.

    Returns
    -------
    Gallery
        To be shown as a cell's last value. The pictures are inside it: no file is written.

    Raises
    ------
    ValueError
        If an ``alt`` or ``label`` is empty, the numbers of pictures, captions and texts differ or
        are zero, or an array is no picture.
    """
    if isinstance(alt, str):
        raise ValueError("alt must hold one text for each picture, got a single text")
    if not len(images) == len(captions) == len(alt):
        raise ValueError(
            "images, captions and alt must be equally many, "
            f"got {len(images)}, {len(captions)} and {len(alt)}"
        )
    if not len(images):
        raise ValueError("images must hold at least one picture")
    if encoding not in ("png", "jpeg"):
        raise ValueError(f"encoding must be 'png' or 'jpeg', got {encoding!r}")
    label = _require_alt(label, "label")
    pictures = []
    for i, (image, caption, text) in enumerate(zip(images, captions, alt, strict=True)):
        picture = _to_pil(image, f"images[{i}]")
        if max_side is not None:
            picture.thumbnail((max_side, max_side))
        buffer = io.BytesIO()
        if encoding == "jpeg":
            picture.convert("RGB").save(buffer, "JPEG", quality=85, optimize=True)
        else:
            picture.save(buffer, "PNG", optimize=True)
        pictures.append(Picture(buffer.getvalue(), caption, _require_alt(text, f"alt[{i}]")))
    return Gallery.of(pictures, label, layout)


def _caption(caption: Caption) -> str:
    if isinstance(caption, str):
        return caption
    terms = (joined(tag("dt", term), tag("dd", text)) for term, text in caption.items())
    return tag("dl", *terms)


def overlay(picture: Image, weights: Tensor, *, grey: float, tint: float) -> Image:
    """Lay weights over a picture: dim and grey where they are small, tinted where they are large.

    Parameters
    ----------
    picture
        In any mode that becomes RGB.
    weights : Tensor, (h, w)
        At least 0; only their ratio to the largest counts.
    grey
        How bright the picture is where a weight is 0.
    tint
        How strong the colour is where a weight is largest.
    """
    import torch
    from PIL import Image as PilImage

    shares = torch.nn.functional.interpolate(
        (weights / weights.max().clamp_min(1e-12))[None, None], picture.size[::-1], mode="bilinear"
    )[0, 0].numpy()[:, :, None]
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    dim = grey * pixels.mean(2, keepdims=True) + 12
    lit = (1 - tint) * pixels + tint * np.array(_LIGHT)
    return PilImage.fromarray(((1 - shares) * dim + shares * lit).clip(0, 255).astype(np.uint8))


def _to_pil(image: Any, name: str) -> Image:
    from PIL import Image as PilImage

    if isinstance(image, PilImage.Image):
        picture = image.copy()  # thumbnail() below works in place
        return picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB")
    array = np.asarray(image)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"{name} must be (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} has no pixels: {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ValueError(f"{name} holds floats that are not between 0 and 1")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 or floating point, got {array.dtype}")
    return PilImage.fromarray(array)
