"""Figures for the pages: plots drawn for the light and the dark page, pictures with captions.

A cell returns one of these objects as its last value, and the notebook asks it for HTML.
Every figure says in words what it shows: an empty ``alt`` is refused.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure
    from PIL.Image import Image

__all__ = ["PALETTES", "Figure", "Gallery", "Html", "gallery", "line_plot", "loss_curves"]

Style = Literal["light", "dark"]
Caption = str | Mapping[str, str]

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
# A column of a phone is about 340 CSS pixels wide. Type of 12 points in a figure of 5.4 inches is
# 10.5 pixels there and 16 on a desk; a wider figure is shrunk more and gets larger type.
_WIDTH, _POINTS = 5.4, 12.0


def _require_alt(alt: Any, name: str = "alt") -> str:
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"{name} must say in words what is shown, got {alt!r}")
    return " ".join(alt.split())


def _points(width: float) -> float:
    return _POINTS * max(1.0, width / _WIDTH)


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
        "font.size": _points(width),
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
    figsize: tuple[float, float] = (_WIDTH, 3.3)
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
        alt = html.escape(self.alt, quote=True)

        def image(style: Style, hidden: str) -> str:
            src = _data_uri(self.svg(style).encode(), "svg+xml")
            return f'<img class="only-{style}"{hidden} alt="{alt}" src="{src}">'

        # "hidden" keeps the dark copy out of sight where the page's style sheet is missing.
        return f'<div class="two-tone">{image("light", "")}{image("dark", " hidden")}</div>'

    def __repr__(self) -> str:
        return f"Figure({self.alt!r})"


def _data_uri(data: bytes, subtype: str) -> str:
    return f"data:image/{subtype};base64,{base64.b64encode(data).decode()}"


def loss_curves(
    histories: Mapping[str, Sequence[float]],
    *,
    alt: str,
    xlabel: str = "step",
    ylabel: str = "loss",
    figsize: tuple[float, float] = (_WIDTH, 3.3),
) -> Figure:
    """Plot losses on a logarithmic axis, each line named at its end.

    Parameters
    ----------
    histories
        One to four lines by name, each a sequence of numbers, one a step.
    alt
        What the curves show, in words; never empty.
    xlabel, ylabel
        Names of the axes.
    figsize
        Width and height in inches.

    Returns
    -------
    Figure
        To be shown as a cell's last value.

    Raises
    ------
    ValueError
        If ``alt`` is empty, there is no line or there are more than four, or a line has no positive
        finite value. Other values that are not positive and finite leave a gap.
    """
    lines = {}
    _check_count("histories", histories)
    for name, series in histories.items():
        values = np.asarray(series, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"histories[{name!r}] must be one row of numbers, got {values.shape}")
        good = np.isfinite(values) & (values > 0)
        if not good.any():
            raise ValueError(f"histories[{name!r}] has no positive finite value")
        lines[name] = (np.arange(1, len(values) + 1), np.where(good, values, np.nan))
    return _named_lines(lines, alt, xlabel, ylabel, figsize, log=True)


def line_plot(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    alt: str,
    xlabel: str,
    ylabel: str,
    markers: bool = False,
    figsize: tuple[float, float] = (_WIDTH, 3.3),
) -> Figure:
    """Plot lines on linear axes, each named at its end.

    Parameters
    ----------
    curves
        One to four lines by name, each as its places along the x-axis and its values.
    alt
        What the curves show, in words; never empty.
    xlabel, ylabel
        Names of the axes.
    markers
        Whether to mark each point.
    figsize
        Width and height in inches.

    Returns
    -------
    Figure
        To be shown as a cell's last value.

    Raises
    ------
    ValueError
        If ``alt`` is empty, there is no line or there are more than four, or a line is empty, has
        not as many places as values or holds a number that is not finite.
    """
    _check_count("curves", curves)
    lines = {}
    for name, (places, values) in curves.items():
        x, y = np.asarray(places, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if x.shape != y.shape or x.ndim != 1 or not len(x):
            raise ValueError(
                f"curves[{name!r}] must be two rows of equal length, got {x.shape} and {y.shape}"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError(f"curves[{name!r}] must be finite, got other numbers")
        lines[name] = (x, y)
    return _named_lines(lines, alt, xlabel, ylabel, figsize, log=False, markers=markers)


def _check_count(name: str, lines: Mapping[str, object]) -> None:
    limit = len(PALETTES["light"])
    if not 1 <= len(lines) <= limit:
        raise ValueError(f"{name} must hold 1 to {limit} lines, got {len(lines)}")


def _named_lines(
    lines: Mapping[str, tuple[Any, Any]],
    alt: str,
    xlabel: str,
    ylabel: str,
    figsize: tuple[float, float],
    *,
    log: bool,
    markers: bool = False,
) -> Figure:
    """Plot lines with their names at their ends; a value may be missing, all of a line may not."""

    def draw(_: MplFigure, ax: Axes) -> None:
        ends = {}
        for i, (name, (places, values)) in enumerate(lines.items()):
            single = np.isfinite(values).sum() == 1
            ax.plot(places, values, color=f"C{i}", marker="o" if markers or single else "", ms=5)
            last = int(np.flatnonzero(np.isfinite(values))[-1])
            ends[name] = (float(places[last]), float(values[last]), f"C{i}")
        if log:
            ax.set_yscale("log")
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.margins(x=0.02)
        to, back = (math.log, math.exp) if log else (float, float)
        low, high = (to(v) for v in ax.get_ylim())
        # One label a line of text: closer ends are pushed apart.
        gap = 1.5 * _points(figsize[0]) / 72 / figsize[1] * (high - low)
        spots = _spread([to(y) for _, y, _ in ends.values()], gap, low, high)
        for (name, (x, y, colour)), spot in zip(ends.items(), spots, strict=True):
            ax.annotate(
                name,
                (x, y),
                xytext=(1.02, back(spot)),
                textcoords=("axes fraction", "data"),
                color=colour,
                fontweight="bold",
                va="center",
                annotation_clip=False,
            )

    return Figure(draw, alt, figsize)


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least ``gap``, in order, between ``low`` and ``high``."""
    order = sorted(range(len(values)), key=lambda i: (values[i], -i))
    spots = [values[i] for i in order]
    for i in range(1, len(spots)):
        spots[i] = max(spots[i], spots[i - 1] + gap)
    if spots[-1] > high:
        spots[-1] = max(high, values[order[-1]])
    for i in range(len(spots) - 1, 0, -1):
        spots[i - 1] = min(spots[i - 1], spots[i] - gap)
    if spots[0] < low:
        spots = [s + low - spots[0] for s in spots]
    result = [0.0] * len(spots)
    for i, spot in zip(order, spots, strict=True):
        result[i] = spot
    return result


@dataclass(frozen=True, repr=False)
class Html:
    """A piece of a page that shows itself; `label` is what it says in plain text."""

    html: str
    label: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"


class Gallery(Html):
    """Pictures side by side, each a ``<figure>`` with its caption; made by :func:`gallery`."""


def gallery(
    images: Sequence[Any],
    captions: Sequence[Caption],
    alt: Sequence[str],
    *,
    label: str = "Pictures with captions",
    encoding: Literal["png", "jpeg"] = "png",
    max_side: int | None = 320,
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
    figures, shapes = [], set()
    for i, (image, caption, text) in enumerate(zip(images, captions, alt, strict=True)):
        picture = _to_pil(image, f"images[{i}]")
        if max_side is not None:
            picture.thumbnail((max_side, max_side))
        shapes.add(picture.size)
        buffer = io.BytesIO()
        if encoding == "jpeg":
            picture.convert("RGB").save(buffer, "JPEG", quality=85)
        else:
            picture.save(buffer, "PNG", optimize=True)
        words = html.escape(_require_alt(text, f"alt[{i}]"), quote=True)
        figures.append(
            f'<figure><img src="{_data_uri(buffer.getvalue(), encoding)}" alt="{words}" '
            f'width="{picture.width}" height="{picture.height}">'
            f"<figcaption>{_caption_html(caption)}</figcaption></figure>"
        )
    kind = "gallery gallery-uniform" if len(shapes) == 1 else "gallery"
    return Gallery(
        f'<div class="{kind}" role="group" aria-label="{html.escape(label, quote=True)}">'
        f"{''.join(figures)}</div>",
        label,
    )


def _caption_html(caption: Caption) -> str:
    if isinstance(caption, str):
        return html.escape(caption)
    rows = (f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in caption.items())
    return f"<dl>{''.join(rows)}</dl>"


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
