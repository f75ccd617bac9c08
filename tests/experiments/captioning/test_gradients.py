"""The gradient over time: products of Jacobians, held against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from rnnreport.experiments.captioning.gradients import WHEN, GradientsConfig, jacobians, run
from rnnreport.experiments.captioning.settings import CaptionConfig, default_config
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.experiments.captioning.training import images_of
from rnnreport.experiments.captioning.training import run as train
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.names import CellType

WORDS = ("<NULL>", "<START>", "<END>", "<UNK>", "a", "dog", "runs")
CAPTIONS = torch.tensor([[1, 4, 5, 6, 4, 2], [1, 5, 6, 3, 5, 2]])
H = 5


pytestmark = pytest.mark.usefixtures("store")


def make_model(cell: CellType) -> CaptioningRNN:
    return CaptioningRNN(
        {word: index for index, word in enumerate(WORDS)},
        input_dim=3,
        wordvec_dim=4,
        hidden_dim=H,
        cell_type=cell,
        dtype=torch.float64,
        generator=Generator().manual_seed(3),
    )


def make_features() -> Tensor:
    return torch.randn(2, 3, generator=Generator().manual_seed(1), dtype=torch.float64)


def tiny(cell: CellType, learning_rate: float = 0.01) -> CaptionConfig:
    return CaptionConfig(
        cell_type=cell,
        profile="sample",
        n_train=12,
        n_val=6,
        wordvec_dim=8,
        hidden_dim=10,
        min_count=1,
        epochs=1,
        learning_rate=learning_rate,
    )


def advance(model: CaptioningRNN, word: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of a plain recurrence, for one image, in formulas of its own."""
    p = model.params
    z = p["W_embed"][word] @ p["Wx"] + h @ p["Wh"] + p["b"]
    if model.cell_type == "rnn":
        return torch.tanh(z), c
    f, i, g, o = z.split(H)  # type: ignore[no-untyped-call]
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_products_of_jacobians_are_those_of_autograd(cell: CellType) -> None:
    model, features = make_model(cell), make_features()
    T = CAPTIONS.shape[1] - 1
    products = list(jacobians(model, features, CAPTIONS, T))
    assert len(products) == T
    assert set(products[0]) == ({"h"} if cell == "rnn" else {"h", "c"})
    for row in range(2):
        h = c = features[row] @ model.params["W_proj"] + model.params["b_proj"]
        for t in range(T):  # from h_t on

            def last(h: Tensor, c: Tensor, t: int = t, row: int = row) -> Tensor:
                for word in CAPTIONS[row, t:-1]:
                    h, c = advance(model, word, h, c)
                return h

            by_h, by_c = torch.autograd.functional.jacobian(last, (h, c))  # type: ignore[no-untyped-call]
            parts = products[T - t - 1]
            assert (parts["h"][row] - by_h).abs().max() < 1e-10
            if cell == "lstm":
                assert (parts["c"][row] - by_c).abs().max() < 1e-10
            h, c = advance(model, CAPTIONS[row, t], h, c)


def test_a_shorter_distance_is_seen_from_the_same_end() -> None:
    longer = jacobians(make_model("lstm"), make_features(), CAPTIONS, 5)
    shorter = list(jacobians(make_model("lstm"), make_features(), CAPTIONS, 2))
    assert len(shorter) == 2
    for parts, others in zip(shorter, longer, strict=False):
        assert torch.equal(parts["h"], others["h"])


@pytest.mark.parametrize("distance", [0, 6])
def test_captions_must_be_as_long_as_the_distance(distance: int) -> None:
    with pytest.raises(
        ValueError, match=f"distance must be 1 to 5 for these captions, got {distance}"
    ):
        next(jacobians(make_model("rnn"), make_features(), CAPTIONS, distance))


def test_a_network_with_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="without attention"):
        next(jacobians(make_model("attention"), make_features()[:, None], CAPTIONS, 2))
    with pytest.raises(ValueError, match="without attention"):
        GradientsConfig(default_config("attention", profile="sample"))
    with pytest.raises(ValueError, match="distance must be at least 1, got 0"):
        GradientsConfig(tiny("rnn"), distance=0)


@pytest.mark.parametrize(("cell", "states"), [("rnn", ["h"]), ("lstm", ["h", "c"])])
def test_run_measures_both_networks(cell: CellType, states: list[str]) -> None:
    config = GradientsConfig(tiny(cell), n_captions=3, distance=4)
    result = run(config)
    norms, captions = result.details["norms"], result.details["captions"]
    assert list(norms) == list(WHEN)
    for when in WHEN:
        assert list(norms[when]) == states
        for rows in norms[when].values():
            assert [len(row) for row in rows] == [3] * 4
            assert all(value > 0 for row in rows for value in row)
    assert norms["before"] != norms["after"]
    assert result.metrics == {"captions": 3, "distance": 4}
    trained = TrainedCaptioner(train(config.training))
    images = images_of(config.training)
    val = images.splits(trained.vocabulary, places=False, max_words=40).val
    read = iter(trained.vocabulary.decode(val.captions))  # unknown words are <UNK>
    longest = [max((tuple(next(read)) for _ in of_one), key=len) for of_one in val.references]
    assert [tuple(c) for c in captions] == [c for c in longest if len(c) >= 4][:3]
    again = run(config)
    assert again.date == result.date
    assert again.data["network"] == train(config.training).key


def test_norms_are_largest_singular_values() -> None:
    config = GradientsConfig(tiny("lstm"), n_captions=1, distance=3)
    result = run(config)
    captioner = TrainedCaptioner(train(config.training))
    images = images_of(config.training)
    val = images.splits(captioner.vocabulary, places=False, max_words=40).val
    read = tuple(result.details["captions"][0])
    val_captions = [tuple(words) for words in captioner.vocabulary.decode(val.captions)]
    row = int(val.owners[val_captions.index(read)])
    index = captioner.vocabulary.word_to_idx
    caption = torch.tensor([[index[w] for w in ("<START>", *read, "<END>")]])
    features = val.features[row : row + 1].double()
    model = captioner.model
    model.params = {key: param.double() for key, param in model.params.items()}
    for k, parts in enumerate(jacobians(model, features, caption, 3)):
        for state, jacobian in parts.items():
            u, s, _ = torch.linalg.svd(jacobian[0])
            assert result.details["norms"]["after"][state][k] == pytest.approx([float(s.max())])
            assert float((u[:, 0] @ jacobian[0]).norm()) == pytest.approx(float(s.max()))


def test_before_training_are_the_weights_that_training_begins_with() -> None:
    result = run(GradientsConfig(tiny("rnn", learning_rate=1e-12), n_captions=2, distance=3))
    before, after = (result.details["norms"][when]["h"] for when in WHEN)
    for one, other in zip(before, after, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_the_longest_caption_bounds_the_distance() -> None:
    result = run(GradientsConfig(tiny("rnn"), distance=40))
    longest = max(map(len, result.details["captions"]))
    assert result.metrics["distance"] == longest < 40
    assert len(result.details["norms"]["after"]["h"]) == longest
