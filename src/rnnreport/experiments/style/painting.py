"""Style transfer: one picture in the style of several paintings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Generator

from rnnreport.data.assets import Profile, ResolvedProfile, resolve
from rnnreport.experiments.style.data import (
    about,
    feature_network,
    network_needs,
    painting_names,
    style_data,
)
from rnnreport.models.style import (
    SETTINGS,
    Level,
    NetworkName,
    Optimiser,
    StyleSettings,
    coarse_to_fine,
    stylise,
    to_pixels,
)
from rnnreport.runs.store import Outcome, Result, describe_device, stored_or_computed

__all__ = ["LEVELS", "TRADE_OFFS", "StyleConfig", "default_config", "run", "trade_off_configs"]

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
        ``"full"``: a photograph and famous paintings; ``"sample"``: drawn ones; ``"auto"``: the
        first where their data is there.
    network
        Gives the maps.
    optimiser, learning_rate
        As :func:`~rnnreport.models.style.stylise` takes them.
    snapshots
        After which steps to keep the image besides; it is kept at the end in any case.
    noise_seed
        If given, the image begins as noise from this seed, otherwise as the content.
    data_seed
        Of the drawn pictures.
    device
        Where to compute, as torch names it.
    """

    painting: str
    settings: StyleSettings
    levels: tuple[Level, ...]
    profile: Profile = "auto"
    network: NetworkName = "vgg19"
    optimiser: Optimiser = "lbfgs"
    learning_rate: float = 0.2
    snapshots: tuple[int, ...] = ()
    noise_seed: int | None = None
    data_seed: int = 0
    device: str = "cpu"


def default_config(
    painting: str,
    *,
    profile: Profile = "auto",
    network: NetworkName | None = None,
) -> StyleConfig:
    """Return the configuration that the report uses.

    Parameters
    ----------
    painting
        One of the profile's, from :func:`~rnnreport.experiments.style.data.painting_names`.
    profile
        As :class:`StyleConfig` has them.
    network
        The usual one is VGG-19 for real pictures, and the embedded one for drawn ones.

    Raises
    ------
    ValueError
        If there is no such painting or profile.
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    resolved = resolve(profile, *network_needs(network))
    _check_painting(painting, resolved)
    usual: NetworkName = "vgg19" if resolved == "full" else "embedded"
    return StyleConfig(
        painting=painting,
        settings=SETTINGS[painting],
        levels=LEVELS[resolved],
        profile=resolved,
        network=network or usual,
        snapshots=_SNAPSHOTS[resolved],
    )


def trade_off_configs(painting: str, *, profile: Profile = "auto") -> tuple[StyleConfig, ...]:
    """Return configurations that differ in the weight of the content alone, one size smaller.

    Parameters
    ----------
    painting, profile
        As :func:`default_config` takes them.

    Returns
    -------
    tuple of StyleConfig
        One for each of :data:`TRADE_OFFS`.
    """
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


def run(config: StyleConfig) -> Result:
    """Paint, or give back how that went.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds the weighted losses ``content``, ``style`` and ``variation`` and the
        ``short_side``, before each step and at the end. ``metrics`` has ``style_left``, the style
        loss at the end as a share of the content picture's own; where the system says it,
        ``peak_memory`` of the process in bytes; with a judge ``judged_left``, the share by its
        eyes. The tensors are ``image`` and ``after_N`` for each snapshot, (H, W, 3), uint8.

    Raises
    ------
    ValueError
        If a setting does not fit.
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    profile = resolve(config.profile, *network_needs(config.network))
    _check_painting(config.painting, profile)
    config = replace(config, profile=profile)
    data = style_data(profile, config.data_seed)
    seeds = {"data": config.data_seed}
    if config.noise_seed is not None:
        seeds["noise"] = config.noise_seed
    return stored_or_computed(
        __name__,
        config,
        data=about(data, config.network),
        seeds=seeds,
        device=describe_device(config.device),
        compute=lambda: _paint(config, profile),
    )


def _check_painting(painting: str, profile: ResolvedProfile) -> None:
    known = painting_names(profile)
    if painting not in known:
        raise ValueError(f"painting must be one of {', '.join(known)}, got {painting!r}")


def _paint(config: StyleConfig, profile: ResolvedProfile) -> Outcome:
    data = style_data(profile, config.data_seed)
    painting = data.paintings[config.painting].picture
    network = feature_network(config.network).to(config.device)
    noise = None if config.noise_seed is None else Generator().manual_seed(config.noise_seed)
    done = stylise(
        data.content,
        painting,
        network,
        config.settings,
        levels=config.levels,
        optimiser=config.optimiser,
        learning_rate=config.learning_rate,
        noise=noise,
        snapshots=config.snapshots,
        label=f"{config.painting}, {config.network}",
    )
    metrics: dict[str, float] = {"style_left": done.style_left}
    if done.peak_memory is not None:
        metrics["peak_memory"] = done.peak_memory
    tensors = {f"after_{step}": to_pixels(image) for step, image in done.snapshots.items()}
    return Outcome(
        history=done.history,
        metrics=metrics,
        details={},
        tensors={"image": to_pixels(done.image), **tensors},
    )
