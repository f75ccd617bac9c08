"""What the page on style transfer shows of a study: tables, figures and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from rnnreport.experiments.style.study import Study
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.figures import Figure, Gallery, Html, gallery
from rnnreport.show.tables import Table, share_text, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "loss_figure",
    "paintings_gallery",
    "results_table",
    "settings_table",
    "steps_gallery",
    "trade_off_gallery",
]

_PARTS = ("content", "style", "variation")
_SHOWN = 512  # longer side of a picture from the data, in pixels


def results_table(study: Study) -> Table:
    """Lay out what is left of each loss, and what it took.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Table
        A table, one line a painting.
    """
    lines = []
    for name, result in study.results.items():
        cells = [share_text(result.metrics["style_left"])]
        cells += [f"{result.history[part][-1]:.4f}" for part in _PARTS]
        cells += [f"{_steps(result)}", f"{result.wall_time:.0f} s", _memory(result)]
        lines.append((study.data.paintings[name].title, cells))
    head = ["", "Style left", "Content", "Style", "Variation", "Steps", "Time", "Peak memory"]
    return table(head, lines, "What is left of the losses, and what it took")


def settings_table(study: Study) -> Html:
    """Lay out the weights of each painting.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, one line a painting.
    """
    lines = []
    for name, result in study.results.items():
        settings = result.config["settings"]
        cells = [f"{settings['content']:g}", f"{settings['variation']:g}"]
        cells.append(", ".join(f"{weight:g}" for weight in settings["style"]))
        lines.append((study.data.paintings[name].title, cells))
    return table(
        ["", "Content", "Total variation", "Style, layer by layer"], lines, "Weights of the losses"
    )


def paintings_gallery(study: Study) -> Html:
    """Show the content, then each painting and beside it what becomes of the content.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        Pictures with captions.
    """
    data = study.data
    images, captions, alts = [], [], []
    for name, result in study.results.items():
        painting = data.paintings[name]
        left = share_text(result.metrics["style_left"])
        images += [_shrunk(painting.picture), _picture(result, "image")]
        captions += [f"{painting.title} ({painting.origin})", f"{left} of the style loss left"]
        alts += [
            f"{painting.title}, {painting.origin}.",
            f"The content in the style of {painting.title}, with {left} of the style loss left.",
        ]
    content = gallery(
        [_shrunk(data.content)],
        [data.content_title],
        [f"The content: {data.content_title}."],
        label="The content",
        **_ENCODED,
    )
    pairs = gallery(images, captions, alts, label="Paintings and results", **_ENCODED)
    return Html(_wide(content).html + _wide(pairs).html, pairs.label)


def steps_gallery(study: Study) -> Gallery:
    """Show how the image of the last painting comes about.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Gallery
        The image after some steps, all shown at one size.
    """
    name, result = list(study.results.items())[-1]
    last = _steps(result)
    steps = [step for step in result.config["snapshots"] if step < last]
    images = [_picture(result, f"after_{step}") for step in steps] + [_picture(result, "image")]
    captions, alts = [], []
    for step, image in zip([*steps, last], images, strict=True):
        told = f"after {step} step{'s' if step > 1 else ''}, {min(image.size)} px"
        left = share_text(result.history["style"][step] / result.history["style"][0])
        captions.append(told)
        alts.append(f"{study.data.paintings[name].title}, {told}: {left} of the first style loss.")
    shown = [image.resize(images[-1].size, Image.Resampling.BICUBIC) for image in images]
    return gallery(shown, captions, alts, label="The image after some steps", **_ENCODED)


def trade_off_gallery(study: Study) -> Html:
    """Show what the weight of the content does, from none to much.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        One picture a weight.
    """
    images, captions, alts = [], [], []
    for result in study.trade_off:
        weight = f"{result.config['settings']['content']:g}"
        left = share_text(result.metrics["style_left"])
        images.append(_picture(result, "image"))
        captions.append({"content weight": weight, "style left": left})
        alts.append(f"The image with content weight {weight}: {left} of the style loss left.")
    return _wide(gallery(images, captions, alts, label="The weight of the content", **_ENCODED))


def loss_figure(study: Study) -> Figure:
    """Plot the three losses of each painting, step by step.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Figure
        One panel a painting; thin lines where the image grows.
    """
    titles = {name: study.data.paintings[name].title for name in study.results}

    def draw(fig: MplFigure, panels: Any) -> None:
        for ax, (name, result) in zip(panels, study.results.items(), strict=True):
            for k, part in enumerate(_PARTS):
                values = result.history[part]
                ax.plot(range(len(values)), values, color=f"C{k}", label=part)
            for step in _growth(result):
                ax.axvline(step, color="0.5", lw=0.8, linestyle=":")
            ax.set_yscale("log", nonpositive="mask")
            # The image begins as the content: that loss is 0 at first, far below all others.
            ax.set_ylim(bottom=0.5 * min(*result.history["style"], *result.history["variation"]))
            ax.set_title(titles[name], loc="left")
            ax.set_ylabel("weighted loss")
            ax.margins(x=0.02)
        panels[-1].set_xlabel("step")
        handles, names = panels[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside upper center", ncols=len(names))

    told = "; ".join(
        f"{titles[name]}: style {result.history['style'][0]:.2g} at first; "
        + ", ".join(f"{part} {result.history[part][-1]:.2g}" for part in ("style", *_PARTS[::2]))
        + " at the end"
        for name, result in study.results.items()
    )
    count = len(study.results)
    return Figure(
        draw,
        f"The weighted losses step by step, on a logarithmic axis. {told}.",
        figsize=(5.4, 2.2 * count + 0.6),
        subplots={"nrows": count, "sharex": True},
    )


_ENCODED: dict[str, Any] = {"encoding": "jpeg", "max_side": None}


def _steps(result: Result) -> int:
    return sum(steps for _, steps in result.config["levels"])


def _growth(result: Result) -> list[int]:
    """Return the steps before which the image has grown."""
    sides = result.history["short_side"]
    return [k for k in range(1, len(sides)) if sides[k] != sides[k - 1]]


def _memory(result: Result) -> str:
    peak = result.metrics.get("peak_memory")
    return "–" if peak is None else f"{peak / 2**20:.0f} MiB"


def _picture(result: Result, name: str) -> Image.Image:
    return Image.fromarray(load_tensors(result)[name].numpy())


def _shrunk(picture: Image.Image) -> Image.Image:
    shrunk = picture.copy()
    shrunk.thumbnail((_SHOWN, _SHOWN), Image.Resampling.LANCZOS)
    return shrunk


def _wide(pictures: Gallery) -> Html:
    return Html(f'<div class="gallery-wide">{pictures.html}</div>', pictures.label)
