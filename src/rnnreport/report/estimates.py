"""How long missing runs will take: their work, times what a unit of it took before.

The seconds below are those of a recorded run (``docs/recorded``) that had two cores to itself, and
for the generated samples those of a whole run of them on such a machine, shared out among its runs.
An earlier result of the same configuration and data, which other code computed, says more: its time
is taken as it is. All other times are scaled by how fast this machine is, which such results tell,
and else a small calibration.
"""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import safetensors
import torch

from rnnreport.data.assets import require
from rnnreport.data.hymenoptera import load_hymenoptera
from rnnreport.experiments.captioning.by_heart import ByHeartConfig
from rnnreport.experiments.captioning.data import image_data
from rnnreport.experiments.captioning.gradients import GradientsConfig
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.together import TogetherConfig
from rnnreport.experiments.style.painting import StyleConfig
from rnnreport.experiments.text import training as text_training
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.language import LanguageConfig
from rnnreport.experiments.text.live import LiveConfig
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.experiments.transfer.choice import ChoiceConfig
from rnnreport.experiments.transfer.rate import RateConfig
from rnnreport.experiments.transfer.training import TransferConfig
from rnnreport.names import MODELS, RECURRENT, BackboneName, ResolvedProfile
from rnnreport.report.parts import Plan, Runs
from rnnreport.runs import store
from rnnreport.runs.engine import Workers, count
from rnnreport.runs.store import Request, one_thread, store_folder

__all__ = ["Outlook", "makespan", "usual_seconds"]

_START = 6.0
"""Seconds until the processes of a stage have started and loaded torch."""

_PER_PHOTOGRAPH = 0.1
"""Seconds for the features of a photograph, which the first run of captioning computes."""

# Seconds for each caption and epoch: of the network, and for each 1,000 words that it scores.
_CAPTIONS = {"rnn": 30e-5, "lstm": 95e-5, "attention": 240e-5}
_CAPTIONS_PER_1000_WORDS = 26e-5
# Seconds for each drawn scene and epoch.
_SCENES = {"rnn": 35e-5, "lstm": 97e-5, "attention": 145e-5}

_BY_HEART = {
    "full": {"rnn": 4.0, "lstm": 3.8, "attention": 29.0},
    "sample": {"rnn": 9.0, "lstm": 1.6, "attention": 18.0},
}
_GRADIENTS = {"full": {"rnn": 3.0, "lstm": 7.2}, "sample": {"rnn": 1.0, "lstm": 2.0}}

_TOGETHER = {"full": 20.0, "sample": 1.0}
"""Seconds in which one of the networks that write together captions the test images."""

# Seconds for each sentence and epoch, with vectors of as many numbers as stand below.
_SENTENCES = {
    "full": {
        "bag": 1.75e-6,
        "average": 21e-6,
        "glove-fixed": 5e-6,
        "glove": 60e-6,
        "rnn": 120e-6,
        "lstm": 200e-6,
        "bilstm": 400e-6,
        "pretrained": 400e-6,
    },
    "sample": {
        "bag": 10e-6,
        "average": 15e-6,
        "glove-fixed": 15e-6,
        "glove": 25e-6,
        "rnn": 45e-6,
        "lstm": 91e-6,
        "bilstm": 175e-6,
        "pretrained": 175e-6,
    },
}
_NUMBERS = {
    "full": {"bag": 1, "average": 100, "glove-fixed": 100}
    | dict.fromkeys(("glove", *RECURRENT), 175),
    "sample": {"bag": 1} | dict.fromkeys(MODELS[1:], 50),
}
_WORD_VECTORS = {"full": 16e-6, "sample": 3.3e-6}
_LIVE = 24e-6
_LANGUAGE = {"full": 4.5e-3, "sample": 0.45e-3}

# Seconds for each photograph: the choice of the new layer, that of the rate, a fine-tuning.
_TRANSFER = {
    ("full", "efficientnet_lite1"): (0.19, 0.82, 0.12),
    ("full", "mobilenet_v2"): (0.171, 0.894, 0.133),
    ("sample", "efficientnet_lite1"): (0.05, 0.001, 0.1),
}
_FROZEN = 0.5

# Seconds for each pixel of a square picture and step.
_PIXELS = {"vgg19": 11e-6, "squeezenet1_1": 2e-6, "embedded": 5.5e-6}

_CALIBRATED = 1.6e-3
"""Seconds that a round of the calibration took on the machine of the recorded run, left alone."""


def usual_seconds(config: object) -> float | None:
    """Return how long a run takes on the machine of the recorded run.

    Parameters
    ----------
    config
        Its configuration.

    Returns
    -------
    float or None
        Seconds; None where nothing is known.
    """
    rule = _RULES.get(type(config))
    return None if rule is None else rule(config)


def _captions(config: CaptionConfig) -> float | None:
    if config.dataset == "coco":
        return None
    if config.profile == "sample":  # to count captions, scenes would have to be drawn
        return config.n_train * config.epochs * _SCENES[config.cell_type]
    captions, words = _amount_of_captions(config)
    each = _CAPTIONS[config.cell_type] + _CAPTIONS_PER_1000_WORDS * words / 1000
    return captions * config.epochs * each


def _amount_of_captions(config: CaptionConfig) -> tuple[int, int]:
    """Return how many captions there are to train on, and how many words they have."""
    return _counted(replace(config, cell_type="rnn", seed=0))


@functools.lru_cache(maxsize=1)  # the same for all cells and seeds
def _counted(config: CaptionConfig) -> tuple[int, int]:
    images = image_data(
        config.profile,
        n_train=config.n_train,
        n_val=config.n_val,
        n_test=config.n_test,
        data_seed=config.data_seed,
        max_words=config.max_words,
    )
    captions = sum(map(len, images.pools().train.values()))
    return captions, len(images.vocabulary(config.min_count))


def _by_heart(config: ByHeartConfig) -> float:
    return _BY_HEART[config.profile][config.cell_type]


def _gradients(config: GradientsConfig) -> float:
    return _GRADIENTS[config.training.profile][config.training.cell_type]


def _together(config: TogetherConfig) -> float:
    return len(config.trainings) * _TOGETHER[config.trainings[0].profile]


def _sentences(profile: ResolvedProfile, data_seed: int) -> int:
    return len(text_data(profile, data_seed).train)


def _text(config: TextConfig) -> float:
    usual = _NUMBERS[config.profile][config.model]
    # Of an LSTM's time, about a twelfth goes into 25 numbers of a word.
    wider = (300 + max(_numbers(config), config.wordvec_dim)) / (300 + usual)
    sentences = _sentences(config.profile, config.data_seed)
    return sentences * config.epochs * _SENTENCES[config.profile][config.model] * wider


def _numbers(config: TextConfig) -> int:
    """Return how many numbers a word vector begins with."""
    if config.vectors == "none":
        return config.wordvec_dim
    return config.own_dim if config.vectors == "own" else _numbers_of_files(config)


def _numbers_of_files(config: TextConfig) -> int:
    return int(text_training.request(config).data["vectors_dim"])


def _word_vectors(config: WordVectorsConfig) -> float:
    wider = config.dim / 100 if config.profile == "full" else 1
    sentences = _sentences(config.profile, config.data_seed)
    return sentences * config.epochs * _WORD_VECTORS[config.profile] * wider


def _language(config: LanguageConfig) -> float:
    text = config.classifier
    return _sentences(text.profile, text.data_seed) * config.epochs * _LANGUAGE[text.profile]


def _live(config: LiveConfig) -> float:
    return _sentences(config.profile, config.data_seed) * config.epochs * _LIVE


@functools.cache
def _photographs(profile: ResolvedProfile) -> int:
    if profile == "sample":
        return 400
    data = load_hymenoptera(require("hymenoptera"))
    return len(data.train) + len(data.val)


def _choice(config: ChoiceConfig) -> float | None:
    return _of_photographs(config.profile, config.backbone, 0)


def _rate(config: RateConfig) -> float | None:
    return _of_photographs(config.choice.profile, config.choice.backbone, 1)


def _transfer(config: TransferConfig) -> float | None:
    if config.mode == "frozen":
        return _FROZEN
    return _of_photographs(config.profile, config.backbone, 2)


def _of_photographs(profile: ResolvedProfile, backbone: BackboneName, place: int) -> float | None:
    each = _TRANSFER.get((profile, backbone))
    return None if each is None else _photographs(profile) * each[place]


def _painting(config: StyleConfig) -> float:
    pixels = sum(level.short_side**2 * level.steps for level in config.levels)
    return pixels * _PIXELS[config.network]


_RULES: Mapping[type, Callable[[Any], float | None]] = {
    CaptionConfig: _captions,
    ByHeartConfig: _by_heart,
    GradientsConfig: _gradients,
    TogetherConfig: _together,
    TextConfig: _text,
    WordVectorsConfig: _word_vectors,
    LanguageConfig: _language,
    LiveConfig: _live,
    ChoiceConfig: _choice,
    RateConfig: _rate,
    TransferConfig: _transfer,
    StyleConfig: _painting,
}


class _Run(NamedTuple):
    """A missing run: what it takes where it was recorded, and what it took here before."""

    usual: float | None
    earlier: float | None


class Outlook:
    """Estimates for the missing runs of plans.

    Parameters
    ----------
    workers
        Who does them. Other machines are taken to be as fast as this one.
    """

    def __init__(self, workers: Workers = None) -> None:
        self._workers = count(workers)
        self._runs: dict[tuple[str, str], list[_Run]] = {}
        self._features = 0.0

    def add(self, plan: Plan) -> None:
        """Look at the missing runs of a plan."""
        missing = {runs.label: runs.configs for runs in plan.missing}
        for runs in plan.runs:
            requests = [
                request
                for config, request in zip(runs.configs, runs.requests, strict=True)
                if config in missing.get(runs.label, ())
            ]
            self._runs[plan.part, runs.label] = [
                _Run(usual_seconds(request.config), before)
                for request, before in zip(requests, _earlier(requests), strict=True)
            ]
        if plan.part == "captioning" and plan.profile == "full" and plan.n_missing:
            self._features = _missing_features(plan.runs[0].requests[0])

    def seconds(self, plans: Sequence[Plan], *, after: int | None = None) -> float | None:
        """Estimate how long the missing runs of plans take.

        Parameters
        ----------
        plans
            Some that have been looked at.
        after
            Only what comes after this stage; all stages if not given.

        Returns
        -------
        float or None
            Seconds; None where nothing is known about one of the runs.
        """
        total = 0.0
        for stage in sorted({runs.stage for plan in plans for runs in plan.missing}):
            if after is not None and stage <= after:
                continue
            chains: list[float] = []
            for plan in plans:
                chain = 0.0
                for runs in plan.missing:
                    if runs.stage != stage:
                        continue
                    seconds = self._seconds(plan, runs)
                    if None in seconds:
                        return None
                    known = [each for each in seconds if each is not None]
                    if runs.chained:
                        chain += sum(known)
                    else:
                        chains += known
                chains += [chain] if chain else []
            total += _START + makespan(chains, self._workers)
        # The runs of captioning wait for the features; those of other parts use the time.
        if self._features and after is None and any(plan.part == "captioning" for plan in plans):
            total += self._features * self._speed / min(self._workers, len(plans))
        return total

    def _seconds(self, plan: Plan, runs: Runs) -> list[float | None]:
        def of(run: _Run) -> float | None:
            if run.earlier is not None or run.usual is None:
                return run.earlier
            return run.usual * self._speed

        return [of(run) for run in self._runs[plan.part, runs.label]]

    @property
    def _speed(self) -> float:
        """How much slower than the machine of the recorded run this one is."""
        ratios = [
            run.earlier / run.usual
            for runs in self._runs.values()
            for run in runs
            if run.earlier is not None and run.usual is not None and run.usual > 1
        ]
        return statistics.median(ratios) if len(ratios) > 2 else _calibration()


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return how long chains of runs take side by side, at best.

    Parameters
    ----------
    seconds
        Of each chain.
    workers
        How many are done at a time.
    """
    return max([*seconds, sum(seconds) / workers]) if seconds else 0.0


def _earlier(requests: Sequence[Request]) -> list[float | None]:
    """Return how long runs took when other code computed them here, on the same data."""
    known: dict[str, float] = {}
    for experiment in {request.experiment for request in requests}:
        for result in store.all_results(experiment):  # the latest first
            mark = _mark(result.config, result.data, result.device)
            known.setdefault(mark, result.wall_time)
    return [
        known.get(_mark(_plain(request.config), request.data, request.device))
        for request in requests
    ]


def _mark(config: object, data: Mapping[str, Any], device: str) -> str:
    return json.dumps([config, data.get("fingerprint"), device], sort_keys=True)


def _plain(config: Any) -> Any:
    """Return a configuration as it comes back from JSON."""
    return json.loads(json.dumps(asdict(config)))


def _missing_features(request: Request) -> float:
    """Return the usual seconds for the features of photographs that no file holds yet."""
    n_images = request.data.get("n_images", 0)
    for path in store_folder().glob("efficientnet_lite1-whole-*.safetensors"):
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                if file.get_slice("places").get_shape()[0] == n_images:
                    return 0.0
        except (OSError, safetensors.SafetensorError):
            continue
    return float(n_images * _PER_PHOTOGRAPH)


@functools.cache
def _calibration() -> float:
    """Compare this machine with that of the recorded run: the steps of an LSTM, for 0.3 s."""
    weights, hidden = torch.full((256, 1024), 1e-3), torch.ones(100, 256)
    rounds = 0
    with one_thread(), torch.no_grad():
        _steps(hidden, weights)  # the first one is slow
        start = time.perf_counter()
        while time.perf_counter() - start < 0.3:
            _steps(hidden, weights)
            rounds += 1
        return (time.perf_counter() - start) / rounds / _CALIBRATED


def _steps(hidden: torch.Tensor, weights: torch.Tensor) -> None:
    for _ in range(2):
        one, two, three, four = (hidden @ weights).sigmoid().chunk(4, 1)
        hidden = one * two + three * four
