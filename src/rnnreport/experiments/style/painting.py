"""Style transfer: one picture in the style of several paintings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnnreport._checks import check_choice, check_numbers
from rnnreport.experiments.paintings import (
    about,
    feature_network,
    painting_names,
    style_data,
)
from rnnreport.models.style import (
    MARGIN,
    SETTINGS,
    Level,
    StyleSettings,
    coarse_to_fine,
    stylise,
    to_pixels,
)
from rnnreport.names import NETWORKS, RESOLVED_PROFILES, NetworkName, ResolvedProfile
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = [
    "LEVELS",
    "TRADE_OFFS",
    "StyleConfig",
    "default_config",
    "request",
    "run",
    "trade_off_configs",
]

LEVELS: dict[ResolvedProfile, tuple[Level, ...]] = {
    "full": coarse_to_fine(256, (40, 60, 60)),
    "sample": coarse_to_fine(192, (30, 40, 30)),
}
"""Sizes and steps of each profile, the coarsest first."""

TRADE_OFFS: tuple[float, ...] = (0.0, 0.02, 0.2, 2.0)
"""Weights of the content that the page compares."""

_SNAPSHOTS: dict[ResolvedProfile, tuple[int, ...]] = {
    "full": (1, 10, 20, 50, 100),
    "sample": (1, 5, 10, 20, 50),
}


@dataclass(frozen=True)
class StyleConfig:
    """How a picture is painted.

    Attributes
    ----------
    painting
        Whose style it gets; one of the profile's.
    settings
        The weights of the losses.
    levels
        Sizes and steps, the coarsest first.
    profile
        ``"full"``: a photograph and famous paintings; ``"sample"``: drawn ones.
    network
        Gives the maps.
    snapshots
        After which steps to keep the image besides; it is kept at the end in any case.
    data_seed
        Of the drawn pictures.
    device
        Where to compute, as torch names it.
    """

    painting: str
    settings: StyleSettings
    levels: tuple[Level, ...]
    profile: ResolvedProfile = "full"
    network: NetworkName = "vgg19"
    snapshots: tuple[int, ...] = ()
    data_seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_choice("network", self.network, NETWORKS)
        check_choice("painting", self.painting, painting_names(self.profile))
        check_numbers(self, filled="levels")


def default_config(
    painting: str, *, profile: ResolvedProfile, network: NetworkName | None = None
) -> StyleConfig:
    """Return the configuration that the report uses, with the profile's network if none is named.

    Raises
    ------
    ValueError
        If the profile has no such painting.
    """
    check_choice("painting", painting, painting_names(profile))
    return StyleConfig(
        painting=painting,
        settings=SETTINGS[painting],
        levels=LEVELS[profile],
        profile=profile,
        network=network or ("vgg19" if profile == "full" else "embedded"),
        snapshots=_SNAPSHOTS[profile],
    )


def trade_off_configs(painting: str, *, profile: ResolvedProfile) -> tuple[StyleConfig, ...]:
    """Return configurations that differ in the weight of the content alone, one size smaller."""
    usual = default_config(painting, profile=profile)
    return tuple(
        replace(
            usual,
            settings=replace(usual.settings, content=weight),
            levels=usual.levels[:-1],
            snapshots=(),
        )
        for weight in TRADE_OFFS
    )


def request(config: StyleConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    """
    return Request(
        "style",
        __name__,
        config,
        data=about(style_data(config.profile, config.data_seed), config.network),
        seeds={"data": config.data_seed},
        device=describe_device(config.device),
    )


def run(config: StyleConfig) -> Result:
    """Paint, or return the stored result.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds the weighted losses ``content``, ``style`` and ``variation`` and the
        ``short_side``, before each step and at the end. ``metrics`` has ``style_left``, the style
        loss at the end as a share of the content picture's own, and where the system says it,
        ``peak_memory`` of the process in bytes. The tensors are ``image`` and ``after_N`` for each
        snapshot, (H, W, 3), uint8.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    Exception
        What :func:`request` raises.
    """
    return get_or_compute(request(config), lambda: _paint(config))


def _paint(config: StyleConfig) -> Outcome:
    data = style_data(config.profile, config.data_seed)
    painting = data.paintings[config.painting].picture
    network = feature_network(config.network).to(config.device)
    stylised = stylise(
        data.content,
        painting,
        network,
        config.settings,
        levels=config.levels,
        margin=MARGIN,
        snapshots=config.snapshots,
        label=f"{config.painting}, {config.network}",
    )
    metrics: dict[str, float] = {"style_left": stylised.style_left}
    if stylised.peak_memory is not None:
        metrics["peak_memory"] = stylised.peak_memory
    tensors = {f"after_{step}": to_pixels(image) for step, image in stylised.snapshots.items()}
    return Outcome(
        history=stylised.history,
        metrics=metrics,
        details={},
        tensors={"image": to_pixels(stylised.image), **tensors},
    )
