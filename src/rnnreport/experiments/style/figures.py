"""Tables, figures and pictures of the page on style transfer."""

from __future__ import annotations

from typing import Any

from PIL import Image

from rnnreport.experiments.style.study import Study
from rnnreport.models.style import LAYERS
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.figures import Gallery, gallery
from rnnreport.show.html import Html, joined
from rnnreport.show.plots import Curves, LinePlot, Panel
from rnnreport.show.tables import Table, share_text, table

__all__ = [
    "facts",
    "loss_figure",
    "networks_gallery",
    "networks_table",
    "paintings_gallery",
    "results_gallery",
    "results_table",
    "settings_table",
    "steps_gallery",
    "trade_off_gallery",
]

_PARTS = ("content", "style", "variation")
_SIDE = 512  # longer side of a picture from the data, in pixels


def results_table(study: Study) -> Table:
    """Lay out what is left of each loss, and the time and memory that it took."""
    lines = []
    for name, (result,) in study.results.items():
        cells = [share_text(result.metrics["style_left"])]
        cells += [f"{result.history[part][-1]:.4f}" for part in _PARTS]
        cells += [f"{_steps(result)}", f"{result.wall_time:.0f} s", _memory(result)]
        lines.append((study.data.paintings[name].title, cells))
    head = ["", "Style left", "Content", "Style", "Variation", "Steps", "Time", "Peak memory"]
    return table(head, lines, "What is left of the losses, and what it took")


def facts(study: Study) -> dict[str, str]:
    """Return the numbers of the page's sentences, by name."""
    first, last = study.first, list(study.results)[-1]
    levels, layers = first.config["levels"], LAYERS[first.config["network"]]
    left = [result.metrics["style_left"] for (result,) in study.results.values()]
    return {
        "style-most": share_text(max(left)),
        "style-content-layer": layers.content,
        "style-layers": f"{', '.join(layers.style[:-1])} and {layers.style[-1]}",
        "style-side": str(levels[-1][0]),
        "style-sizes": ", then ".join(f"{steps} steps at {side} pixels" for side, steps in levels),
        "style-last": study.data.paintings[last].title,
        "style-small-side": str(study.trade_off[0].config["levels"][-1][0]),
        "style-pictures": "The photograph and the paintings are those of the source."
        if study.profile == "full"
        else "All pictures are drawn by the package: a river town, and three paintings, each after "
        "one of the source's three in palette and stroke.",
    }


def networks_table(study: Study) -> Table:
    """Lay out what two networks leave of the style, each by itself and both by VGG-19."""
    lines = []
    for name, squeezenet in study.squeezenet.items():
        for network, result in (("VGG-19", study.results[name][0]), ("SqueezeNet", squeezenet)):
            cells = [share_text(result.metrics["style_left"]), share_text(study.judged(result))]
            cells.append(f"{result.wall_time:.0f} s")
            lines.append((f"{study.data.paintings[name].title}, {network}", cells))
    head = ["", "Style left, by itself", "Style left, by VGG-19", "Time"]
    return table(head, lines, "Two networks paint")


def networks_gallery(study: Study) -> Gallery:
    """Show the last painting's style as both networks paint it."""
    name, squeezenet = list(study.squeezenet.items())[-1]
    title = study.data.paintings[name].title
    images, captions, alts = [], [], []
    for network, result in (("VGG-19", study.results[name][0]), ("SqueezeNet", squeezenet)):
        left = share_text(study.judged(result))
        images.append(_picture(result, "image"))
        captions.append(f"{network}: {left} of the style loss left, by VGG-19")
        alts.append(f"The content in the style of {title}, painted with {network}.")
    return gallery(images, captions, alts, label="The same with two networks", **_WIDE)


def settings_table(study: Study) -> Html:
    """Lay out the weights of each painting."""
    lines = []
    for name, (result,) in study.results.items():
        settings = result.config["settings"]
        cells = [f"{settings['content']:g}", f"{settings['variation']:g}"]
        cells.append(", ".join(f"{weight:g}" for weight in settings["style"]))
        lines.append((study.data.paintings[name].title, cells))
    return table(
        ["", "Content", "Total variation", "Style, layer by layer"], lines, "Weights of the losses"
    )


def paintings_gallery(study: Study) -> Html:
    """Show the content, then each painting and beside it what becomes of the content."""
    data = study.data
    images, captions, alts = [], [], []
    for name, (result,) in study.results.items():
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
        **_WIDE,
    )
    pairs = gallery(images, captions, alts, label="Paintings and results", **_WIDE)
    return Html(joined(content, pairs), pairs.label)


def results_gallery(study: Study) -> Gallery:
    """Show what becomes of the content in the style of each painting, without the paintings."""
    paintings = [study.data.paintings[name] for name in study.results]
    left = [share_text(result.metrics["style_left"]) for (result,) in study.results.values()]
    return gallery(
        [_picture(result, "image") for (result,) in study.results.values()],
        [
            f"After {painting.title} ({painting.origin}): {share} of the style loss left"
            for painting, share in zip(paintings, left, strict=True)
        ],
        [
            f"{study.data.content_title} painted after {painting.title} by {painting.origin}."
            for painting in paintings
        ],
        label="One picture in the style of each painting",
        layout="three",
        **_ENCODED,
    )


def steps_gallery(study: Study) -> Gallery:
    """Show how the image of the last painting comes about, all steps at one size."""
    name, (result,) = list(study.results.items())[-1]
    last = _steps(result)
    steps = [step for step in result.config["snapshots"] if step < last]
    images = [_picture(result, f"after_{step}") for step in steps] + [_picture(result, "image")]
    grown, captions, alts = _growth(result), [], []
    for step, image in zip([*steps, last], images, strict=True):
        caption = f"after {step} step{'s' if step > 1 else ''}, {min(image.size)} px"
        at = step - 1 if step in grown else step  # what follows is of a larger image
        left = share_text(result.history["style"][at] / result.history["style"][0])
        captions.append(caption)
        alts.append(
            f"{study.data.paintings[name].title}, {caption}: {left} of the first style loss."
        )
    resized = [image.resize(images[-1].size, Image.Resampling.BICUBIC) for image in images]
    return gallery(resized, captions, alts, label="The image after some steps", **_ENCODED)


def trade_off_gallery(study: Study) -> Gallery:
    """Show the effect of the content's weight, from none to much."""
    images, captions, alts = [], [], []
    for result in study.trade_off:
        weight = f"{result.config['settings']['content']:g}"
        left = share_text(result.metrics["style_left"])
        images.append(_picture(result, "image"))
        captions.append({"content weight": weight, "style left": left})
        alts.append(f"The image with content weight {weight}: {left} of the style loss left.")
    return gallery(images, captions, alts, label="The weight of the content", **_WIDE)


def loss_figure(study: Study) -> LinePlot:
    """Plot the three losses of each painting, step by step; dotted where the image grows."""
    panels, numbers = [], []
    for name, (result,) in study.results.items():
        history, title = result.history, study.data.paintings[name].title
        lines = {part: (range(len(history[part])), history[part]) for part in _PARTS}
        # The image begins as the content: that loss is 0 at first, far below all others.
        lowest = 0.5 * min(*history["style"], *history["variation"])
        panels.append(Panel(lines, title, marks=_growth(result), limits=(lowest, None)))
        ends = (f"{part} {history[part][-1]:.2g}" for part in ("style", *_PARTS[::2]))
        numbers.append(
            f"{title}: style {history['style'][0]:.2g} at first; {', '.join(ends)} at the end"
        )
    return Curves(
        "step",
        "weighted loss",
        f"The weighted losses step by step, on a logarithmic axis. {'; '.join(numbers)}.",
        panels,
        log=True,
    ).plot()


_ENCODED: dict[str, Any] = {"encoding": "jpeg", "max_side": None}
_WIDE: dict[str, Any] = {**_ENCODED, "layout": "wide"}


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
    shrunk.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return shrunk
