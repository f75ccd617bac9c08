"""Networks of several seeds write captions together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny import CAPTIONS

from rnnreport.experiments.captioning import study as captioning_study
from rnnreport.experiments.captioning.data import image_data
from rnnreport.experiments.captioning.settings import SEEDS
from rnnreport.experiments.captioning.together import TogetherConfig, request, run
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.experiments.captioning.training import run as train
from rnnreport.models.captioning import write_together
from rnnreport.runs.store import basis

pytestmark = pytest.mark.usefixtures("one_thread", "store")

TINY = replace(CAPTIONS, cell_type="attention", epochs=2)


def test_one_network_writes_what_it_wrote_alone() -> None:
    result = run(TogetherConfig((TINY,)))
    assert result.details["captions"] == [record["beam"] for record in train(TINY).details["test"]]


def test_several_networks_write_by_the_mean_of_their_probabilities() -> None:
    config = TogetherConfig((TINY, replace(TINY, seed=1)))
    result = run(config)
    captioners = [TrainedCaptioner(train(each)) for each in config.trainings]
    images = image_data("sample", n_train=12, n_val=4, n_test=5)
    pictures = [images.image(name) for name in images.pools().test]
    rows = write_together(
        [captioner.model for captioner in captioners],
        [captioner.features(pictures) for captioner in captioners],
        TINY.max_words + 1,
        beam=TINY.beam,
        length_penalty=TINY.length_penalty,
    )
    assert result.details["captions"] == captioners[0].vocabulary.decode(rows)
    assert run(config) == result
    keys = {train(each).key for each in config.trainings}
    assert {each.key for each in basis(request(config))} == keys


def test_somebody_must_write() -> None:
    with pytest.raises(ValueError, match="trainings must hold at least one configuration"):
        TogetherConfig(())


def test_the_networks_of_the_page_are_those_with_attention() -> None:
    config = captioning_study.together_config("sample")
    assert [each.seed for each in config.trainings] == list(SEEDS)
    assert {each.cell_type for each in config.trainings} == {"attention"}
