"""The text classifiers, and their training against that with torch's layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from rnnreport import nn
from rnnreport.data.sentences import Sentences, order_by_length
from rnnreport.experiments.text import fitting
from rnnreport.experiments.text.fitting import train_epoch
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.trained import build_model
from rnnreport.models.text import (
    BagOfWords,
    EmbeddingAverage,
    Pooling,
    RecurrentClassifier,
    TextClassifier,
)
from rnnreport.names import BIDIRECTIONAL, MODELS, ModelName
from rnnreport.names import RECURRENT as READING

V, D, H = 9, 3, 4
UNKNOWN = 1

Rows = list[list[int]]

CELLS = {"rnn": (nn.RNN, torch.nn.RNN), "lstm": (nn.LSTM, torch.nn.LSTM)}
RECURRENT: list[tuple[str, int, Pooling]] = [
    (cell, directions, pooling)
    for cell in CELLS
    for directions in (1, 2)
    for pooling in ("last", "max")
]
RECURRENT_IDS = [f"{cell}-{directions}-{pooling}" for cell, directions, pooling in RECURRENT]
KINDS: list[Any] = ["bag", "average", *RECURRENT]
KIND_IDS = ["bag", "average", *RECURRENT_IDS]

some_rows = st.lists(
    st.lists(st.integers(1, V - 1), min_size=1, max_size=7), min_size=1, max_size=5
)

# For what is tested on every model: a third of the examples that the profile asks for.
fewer = settings(max_examples=settings().max_examples // 3)


def pack(rows: Rows) -> Sentences:
    words = [word for row in rows for word in row]
    return Sentences(torch.tensor(words), torch.tensor([len(row) for row in rows]))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw_vectors(seed: int = 5) -> Tensor:
    """Word vectors; that of the padding too, which must not matter."""
    return torch.randn(V, D, generator=generator(seed))


def recurrent(
    cell: Any,
    directions: int = 1,
    pooling: Pooling = "last",
    *,
    seed: int = 0,
    vectors: Tensor | None = None,
    hidden_dim: int = H,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    word_dropout: float = 0.0,
) -> RecurrentClassifier:
    return RecurrentClassifier(
        draw_vectors() if vectors is None else vectors,
        cell=CELLS[cell][0] if isinstance(cell, str) else cell,
        hidden_dim=hidden_dim,
        directions=directions,
        pooling=pooling,
        embedding_dropout=embedding_dropout,
        dropout=dropout,
        word_dropout=word_dropout,
        generator=generator(seed),
    )


def average(seed: int = 0, *, fixed: bool = False, dropout: float = 0.0) -> EmbeddingAverage:
    return EmbeddingAverage(draw_vectors(), fixed=fixed, dropout=dropout, generator=generator(seed))


def make(kind: Any) -> TextClassifier:
    """Build a model in float64 with no parameter at zero."""
    if kind == "bag":
        model: TextClassifier = BagOfWords(V)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, generator=generator(1))
    else:
        model = average() if kind == "average" else recurrent(*kind)
    return model.double()


def score(model: TextClassifier, rows: Rows, rng: torch.Generator | None = None) -> Tensor:
    return model(model.prepare(pack(rows)), rng).detach()  # type: ignore[no-any-return]


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


class PassOn(torch.nn.RNN):
    """A layer whose states are its input, so that a test sees what a layer is given."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return x, x[-1:]


# Forward


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@fewer
@given(rows=some_rows)
def test_company_and_padding_change_no_score(kind: Any, rows: Rows) -> None:
    model = make(kind)
    together = score(model, rows)
    assert together.shape == (len(rows),)
    alone = torch.cat([score(model, [row]) for row in rows])
    close(together, alone)
    longer = [*rows, list(itertools.islice(itertools.cycle([3, 7, 2]), 20))]
    close(score(model, longer)[:-1], together)
    close(score(model, rows[::-1]), together.flip(0))


@pytest.mark.parametrize("kind", KINDS[1:], ids=KIND_IDS[1:])
def test_the_vector_of_the_padding_does_not_matter(kind: Any) -> None:
    rows = [[2, 3, 4], [5], [6, 7]]
    model = make(kind)
    before = score(model, rows)
    model(pack(rows)).square().sum().backward()
    assert isinstance(model.vectors, torch.nn.Parameter)
    assert model.vectors.grad is not None
    assert not model.vectors.grad[0].any()
    assert not model.vectors.grad[8].any()  # does not occur
    assert model.vectors.grad[2:8].all()
    with torch.no_grad():
        model.vectors[0] = 1e3
    close(score(model, rows), before)


@given(some_rows)
def test_bag_of_words_is_a_row_of_zeros_and_ones_times_the_weights(rows: Rows) -> None:
    model = make("bag")
    assert isinstance(model, BagOfWords)
    dense = torch.zeros(len(rows), V, dtype=torch.float64)
    for row, words in zip(dense, rows, strict=True):
        row[words] = 1
    expected = dense @ model.weight[:, 0] + model.bias
    close(score(model, rows), expected.detach())
    loss = model(model.prepare(pack(rows))).square().sum()
    expected_loss = expected.square().sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    by_dense = torch.autograd.grad(expected_loss, list(model.parameters()))
    for mine, other in zip(gradients, by_dense, strict=True):
        close(mine, other)


@given(some_rows, st.randoms(use_true_random=False))
def test_bag_of_words_sees_neither_order_nor_repetition(rows: Rows, random: Any) -> None:
    model = make("bag")
    mixed = [random.sample(row + row[:2], len(row + row[:2])) for row in rows]
    close(score(model, mixed), score(model, rows))


def test_bag_of_words_begins_undecided() -> None:
    assert BagOfWords(V)(pack([[2, 3], [4]])).tolist() == [0, 0]
    assert BagOfWords(V).num_parameters == V + 1


@given(some_rows)
def test_embedding_average_is_the_mean_of_vectors(rows: Rows) -> None:
    model = make("average")
    assert isinstance(model, EmbeddingAverage)
    means = torch.stack([model.vectors[row].mean(0) for row in rows])
    expected = means @ model.output.weight[0] + model.output.bias
    close(score(model, rows), expected.detach())
    close(score(model, [row[::-1] for row in rows]), expected.detach())


@pytest.mark.parametrize("kind", RECURRENT, ids=RECURRENT_IDS)
def test_recurrent_models_see_the_order(kind: Any) -> None:
    model = make(kind)
    one, other = score(model, [[2, 3, 4, 5], [5, 4, 3, 2]]).tolist()
    assert abs(one - other) > 1e-3


def sentence_by_sentence(model: RecurrentClassifier, cell: Any, rows: Rows) -> Tensor:
    """Score with torch's layers, one sentence after the other, so that nothing is padded."""
    ours = model.recurrent
    theirs = cell(D, H, bidirectional=ours.bidirectional, dtype=torch.float64)
    for name, parameter in ours.named_parameters():  # gradients go to the same tensors
        theirs._parameters[name] = parameter
    theirs._init_flat_weights()
    scores = []
    for row in rows:
        states, _ = theirs(functional.embedding(torch.tensor(row), model.vectors))
        ends = torch.cat([states[-1, :H], states[0, H:]])
        pooled = ends if model.pooling == "last" else states.amax(0)
        scores.append(pooled @ model.output.weight[0] + model.output.bias[0])
    return torch.stack(scores)


@pytest.mark.parametrize("kind", RECURRENT, ids=RECURRENT_IDS)
@fewer
@given(rows=some_rows, seed=st.integers(0, 1000))
def test_loss_and_gradients_are_those_of_torch(kind: Any, rows: Rows, seed: int) -> None:
    cell, directions, pooling = kind
    labels = torch.randint(2, (len(rows),), generator=generator(seed)).double()
    ours = recurrent(CELLS[cell][0], directions, pooling, seed=seed).double()
    theirs = recurrent(CELLS[cell][1], directions, pooling, seed=seed).double()
    parameters = list(ours.parameters())
    assert [type(model.recurrent) for model in (ours, theirs)] == list(CELLS[cell])

    loss = nn.sigmoid_loss(ours(pack(rows)), labels)
    gradients = torch.autograd.grad(loss, parameters)
    swapped = nn.sigmoid_loss(theirs(pack(rows)), labels)
    plain = functional.binary_cross_entropy_with_logits(
        sentence_by_sentence(ours, CELLS[cell][1], rows), labels
    )
    for other_loss, leaves in ((swapped, list(theirs.parameters())), (plain, parameters)):
        close(loss.detach(), other_loss.detach())
        others = torch.autograd.grad(other_loss, leaves)
        assert len(others) == len(gradients) == 3 + 4 * directions
        for mine, other in zip(gradients, others, strict=True):
            close(mine, other)


@pytest.mark.parametrize("pooling", ["last", "max"])
@pytest.mark.parametrize("cell", CELLS)
@fewer
@given(rows=some_rows)
def test_the_second_direction_is_the_first_on_the_reversed_sentence(
    cell: str, pooling: Pooling, rows: Rows
) -> None:
    model = make((cell, 2, pooling))
    assert isinstance(model, RecurrentClassifier)
    state = model.recurrent.state_dict()
    first = {name: value for name, value in state.items() if not name.endswith("_reverse")}
    model.recurrent.load_state_dict(
        first | {f"{name}_reverse": value for name, value in first.items()}
    )
    weight = model.output.weight.detach()
    with torch.no_grad():  # each half of the state has its own weights, which are swapped
        before = score(model, [row[::-1] for row in rows])
        weight.copy_(torch.cat([weight[:, H:], weight[:, :H]], dim=1))
    close(score(model, rows), before)
    one = make((cell, 1, pooling))
    assert isinstance(one, RecurrentClassifier)
    one.recurrent.load_state_dict(first)
    with torch.no_grad():
        one.output.weight.copy_(weight[:, H:])
        one.output.bias.copy_(model.output.bias)
        weight[:, :H] = 0  # only the second direction counts
    close(score(model, rows), score(one, [row[::-1] for row in rows]))


@pytest.mark.parametrize("pooling", ["last", "max"])
@pytest.mark.parametrize("cell", CELLS)
@fewer
@given(rows=some_rows)
def test_scores_by_step_are_those_of_the_beginnings(
    cell: str, pooling: Pooling, rows: Rows
) -> None:
    model = make((cell, 1, pooling))
    assert isinstance(model, RecurrentClassifier)
    by_step = model.scores_by_step(pack(rows)).detach()
    assert by_step.shape == (max(map(len, rows)), len(rows))
    whole = score(model, rows)
    for n, row in enumerate(rows):
        close(by_step[len(row) - 1, n], whole[n])
        beginnings = [row[: t + 1] for t in range(len(row))]
        close(by_step[: len(row), n], score(model, beginnings))


def test_scores_by_step_knows_no_dropout() -> None:
    plain = recurrent("lstm")
    model = recurrent("lstm", embedding_dropout=0.5, dropout=0.5, word_dropout=0.5)
    rows = pack([[2, 3, 4], [5]])
    assert torch.equal(model.scores_by_step(rows), plain.scores_by_step(rows))


# What is refused


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_scores_by_step_refuses_two_directions(pooling: Pooling) -> None:
    with pytest.raises(ValueError, match="one direction, got one of two"):
        recurrent("rnn", 2, pooling).scores_by_step(pack([[2]]))


@pytest.mark.parametrize("directions", [0, 3])
def test_another_number_of_directions_is_refused(directions: int) -> None:
    with pytest.raises(ValueError, match=f"directions must be 1 or 2, got {directions}"):
        recurrent("rnn", directions)


def test_another_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling must be one of last, max, got 'mean'"):
        recurrent("rnn", 1, "mean")  # type: ignore[arg-type]


# Dropout

SHARES = ("embedding_dropout", "dropout", "word_dropout")
ROWS = [[2, 3, 4, 5], [6, 7], [8, 2, 3]]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("share", SHARES)
def test_dropout_acts_where_a_generator_is_given(
    share: str, directions: int, training: bool
) -> None:
    plain = recurrent("rnn", directions).train(training)
    model = recurrent("rnn", directions, **{share: 0.5}).train(training)  # type: ignore[arg-type]
    assert torch.equal(score(model, ROWS), score(plain, ROWS))
    assert torch.equal(score(plain, ROWS, generator(0)), score(plain, ROWS))
    assert not torch.equal(score(model, ROWS, generator(0)), score(plain, ROWS))


@pytest.mark.parametrize("share", SHARES)
def test_dropout_is_reproducible(share: str) -> None:
    model = recurrent("lstm", 2, "max", **{share: 0.5})  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = score(model, ROWS, generator(0))
        torch.manual_seed(2)
        assert torch.equal(score(model, ROWS, generator(0)), first)
    assert not torch.equal(score(model, ROWS, generator(1)), first)


def test_dropout_of_the_average_acts_where_a_generator_is_given() -> None:
    plain, model = average(), average(dropout=0.5)
    assert torch.equal(score(model, ROWS), score(plain, ROWS))
    assert torch.equal(score(plain, ROWS, generator(0)), score(plain, ROWS))
    dropped = score(model, ROWS, generator(0))
    assert not torch.equal(dropped, score(plain, ROWS))
    assert torch.equal(score(model, ROWS, generator(0)), dropped)


@pytest.mark.parametrize("kind", ["average", "last", "max"])
def test_dropout_keeps_the_expected_score(kind: Any) -> None:
    """The mean over many copies of a sentence is its score without dropout."""
    if kind == "average":
        model: TextClassifier = average(dropout=0.4)
    else:
        model = recurrent("lstm", 2, kind, dropout=0.4)
    copies = 4000
    scores = score(model, copies * [[2, 3, 4]], generator(3)).double()
    error = scores.std() / copies**0.5
    assert error > 0
    assert abs(scores.mean() - score(model, [[2, 3, 4]])[0]) < 5 * error


def test_a_dropped_feature_is_dropped_from_all_words_of_a_sentence() -> None:
    vectors = torch.ones(V, 50)
    model = recurrent(PassOn, vectors=vectors, hidden_dim=50, embedding_dropout=0.25)
    sentences = pack(100 * ROWS)
    forward = model.states(sentences.padded(), sentences.lengths, generator(0))
    assert forward.shape == (4, 300, 50)
    assert torch.equal(forward, forward[:1].expand_as(forward))
    assert not torch.equal(forward[0, 0], forward[0, 1])  # each sentence has its own
    nonzero = forward[0] != 0
    assert torch.equal(forward[0][nonzero], torch.full((int(nonzero.sum()),), 1 / 0.75))
    assert nonzero.double().mean().item() == pytest.approx(0.75, abs=0.02)


def test_a_dropped_word_becomes_unknown() -> None:
    """Where all words are dropped, a sentence has the score of unknown words."""
    model = recurrent("lstm", 2, "max", word_dropout=1.0)
    unknown = [len(row) * [UNKNOWN] for row in ROWS]
    assert torch.equal(score(model, ROWS, generator(0)), score(model, unknown))
    assert not torch.equal(score(model, ROWS), score(model, unknown))


def test_the_share_of_words_that_are_dropped() -> None:
    """A sentence of one word passed on as it is: its score is the word's own, or that of <UNK>."""
    model = recurrent(PassOn, hidden_dim=D, word_dropout=0.2)
    word, unknown = score(model, [[4], [UNKNOWN]])
    scores = score(model, 5000 * [[4]], generator(0))
    dropped = (scores - unknown).abs() < 1e-5
    close(scores[~dropped], word.expand(int((~dropped).sum())), 1e-5)
    assert dropped.double().mean().item() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_words_are_dropped_one_by_one(pooling: Pooling) -> None:
    model = recurrent(PassOn, pooling=pooling, hidden_dim=D, word_dropout=0.5)
    # Both words, the first one, the last one or none may be left.
    outcomes = score(model, [[4, 5], [4, UNKNOWN], [UNKNOWN, 5], [UNKNOWN, UNKNOWN]])
    seen = score(model, 200 * [[4, 5]], generator(0))
    assert set(seen.tolist()) == set(outcomes.tolist())


# Loss and gradient

BAGS: dict[str, Callable[[float], TextClassifier]] = {
    "bag": lambda _: make("bag"),
    "average": lambda dropout: average(dropout=dropout).double(),
    "average-fixed": lambda dropout: average(fixed=True, dropout=dropout).double(),
}


def by_autograd(
    model: TextClassifier, sentences: Sentences, labels: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Differentiate the loss of the scores by all that is trained; return gradients by name."""
    loss = nn.sigmoid_loss(model(sentences, rng), labels)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(trained.values()))
    return loss.detach(), dict(zip(trained, gradients, strict=True))


def left(model: TextClassifier) -> dict[str, Tensor]:
    """Return copies of the gradients that a call of loss has left, by name."""
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("dropout", [None, 0.0, 0.5], ids=["evaluation", "none", "half"])
@pytest.mark.parametrize("kind", BAGS)
@fewer
@given(rows=some_rows, seed=st.integers(0, 1000))
def test_loss_without_autograd_is_that_of_autograd(
    kind: str, dropout: float | None, rows: Rows, seed: int
) -> None:
    model = BAGS[kind](dropout or 0.0)
    labels = torch.randint(2, (len(rows),), generator=generator(seed)).double()
    sentences = model.prepare(pack(rows))
    generators = [None, None] if dropout is None else [generator(seed), generator(seed)]
    expected, gradients = by_autograd(model, sentences, labels, generators[0])
    assert not left(model)
    loss = model.loss(sentences, labels, generators[1])
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    mine = left(model)
    assert mine.keys() == gradients.keys()
    for name, parameter in model.named_parameters():
        if name in mine:
            assert mine[name].shape == parameter.shape
            assert mine[name].dtype == parameter.dtype
            assert not mine[name].requires_grad
            close(mine[name], gradients[name])
    assert ("vectors" in mine) == (kind == "average")
    one, other = generators
    if one is not None and other is not None:  # both have drawn as much
        assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_loss_replaces_the_gradients_and_leaves_the_weights(kind: Any) -> None:
    model = make(kind)
    labels = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    sentences = model.prepare(pack(ROWS))
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    expected, gradients = by_autograd(model, sentences, labels, None)
    model.loss(model.prepare(pack([[8], [2, 2, 5]])), labels[:2])
    for _ in range(2):
        assert model.loss(sentences, labels) == pytest.approx(expected.item(), rel=1e-12)
        mine = left(model)
        assert mine.keys() == gradients.keys()
        for name, gradient in mine.items():
            close(gradient, gradients[name])
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name])


@pytest.mark.parametrize("kind", BAGS)
def test_loss_is_the_mean_over_the_sentences(kind: str) -> None:
    model = BAGS[kind](0.0)
    labels = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    losses, gradients = [], []
    for row, label in zip(ROWS, labels, strict=True):
        losses.append(model.loss(model.prepare(pack([row])), label[None]))
        gradients.append(left(model))
    assert model.loss(model.prepare(pack(ROWS)), labels) == pytest.approx(sum(losses) / 3)
    for name, gradient in left(model).items():
        close(gradient, torch.stack([each[name] for each in gradients]).mean(0))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_fixed_table_gets_no_gradient(dropout: float) -> None:
    model = average(fixed=True, dropout=dropout)
    model.loss(pack(ROWS), torch.ones(3), generator(0))
    assert model.vectors.grad is None
    assert left(model).keys() == {"output.weight", "output.bias"}


@pytest.mark.parametrize("kind", ["bag", "average"])
def test_words_that_do_not_occur_get_no_gradient(kind: str) -> None:
    model = BAGS[kind](0.0)
    model.loss(model.prepare(pack([[2, 3, 2], [5]])), torch.ones(2, dtype=torch.float64))
    table = left(model)["weight" if kind == "bag" else "vectors"]
    assert table.any(1).nonzero()[:, 0].tolist() == [2, 3, 5]


@pytest.mark.parametrize("kind", BAGS)
def test_loss_refuses_labels_that_do_not_fit(kind: str) -> None:
    model = BAGS[kind](0.0)
    for labels in (torch.ones(2, dtype=torch.float64), torch.ones(3), torch.ones(3).long()):
        with pytest.raises(ValueError, match="y must have"):
            model.loss(model.prepare(pack(ROWS)), labels)
        assert not left(model)


# First weights


@pytest.mark.parametrize("kind", KINDS[1:], ids=KIND_IDS[1:])
def test_first_weights_are_the_generators(kind: Any) -> None:
    def build(seed: int) -> TextClassifier:
        return average(seed) if kind == "average" else recurrent(*kind, seed=seed)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = build(0).state_dict()
        torch.manual_seed(2)
        again = build(0).state_dict()
        torch.manual_seed(2)
        other = build(1).state_dict()
    assert first.keys() == again.keys() == other.keys()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert torch.equal(weight, other[name]) == (name == "vectors")
        assert weight.any()


def test_first_weights_fill_the_range_of_torch() -> None:
    """All weights but the recurrent ones are uniform within one over the root of the size."""
    model = recurrent("lstm", hidden_dim=64)
    for name, weight in model.recurrent.state_dict().items():
        if name != "weight_hh_l0":
            assert 0.12 < weight.abs().max() <= 1 / 8, name
            assert weight.mean().abs() < 0.02, name
    assert 0.1 < model.output.weight.detach().abs().max() <= 1 / 8


@pytest.mark.parametrize("cell", CELLS)
def test_first_recurrent_weights_are_orthogonal(cell: str) -> None:
    """Each gate has a block of its own."""
    weights = recurrent(cell, 2, hidden_dim=16).double().recurrent.state_dict()
    for name in ("weight_hh_l0", "weight_hh_l0_reverse"):
        blocks = torch.split(weights[name], 16)
        assert len(blocks) == (4 if cell == "lstm" else 1)
        for block in blocks:
            close(block @ block.T, torch.eye(16, dtype=torch.float64), 1e-5)
        for one, other in itertools.combinations(blocks, 2):
            assert not torch.allclose(one, other)


def test_the_two_directions_begin_differently() -> None:
    weights = recurrent("lstm", 2).recurrent.state_dict()
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        assert not torch.equal(weights[name], weights[f"{name}_reverse"])


@pytest.mark.parametrize("fixed", [True, False])
def test_word_vectors_are_copied(fixed: bool) -> None:
    vectors = draw_vectors()
    for model in (
        EmbeddingAverage(vectors, fixed=fixed, dropout=0, generator=generator(0)),
        recurrent("rnn", vectors=vectors),
    ):
        assert torch.equal(model.vectors, vectors)
        with torch.no_grad():
            model.vectors.zero_()
        assert vectors.any()


def test_fixed_vectors_are_not_trained() -> None:
    fixed, trained = average(fixed=True), average(fixed=False)
    for model in (fixed, trained):
        model(pack(ROWS)).sum().backward()
    assert fixed.vectors.grad is None
    assert not fixed.vectors.requires_grad
    assert trained.vectors.grad is not None
    assert fixed.output.weight.grad is not None
    assert fixed.num_parameters == D + 1
    assert trained.num_parameters == V * D + D + 1
    assert "vectors" in fixed.state_dict()


@pytest.mark.parametrize("kind", RECURRENT, ids=RECURRENT_IDS)
def test_number_of_parameters(kind: Any) -> None:
    cell, directions, _ = kind
    gates = 4 if cell == "lstm" else 1
    layer = gates * (D * H + H * H + 2 * H)
    assert recurrent(*kind).num_parameters == V * D + directions * (layer + H) + 1


# A training epoch


def config(model: ModelName, **changes: Any) -> TextConfig:
    return TextConfig(
        model=model,
        profile="sample",
        vectors="none",
        **{"wordvec_dim": 8, "hidden_dim": 12, "batch_size": 16, "learning_rate": 1e-2} | changes,
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_configured_model_is_built(name: ModelName) -> None:
    settings_ = config(name, embedding_dropout=0.1, dropout=0.2, word_dropout=0.3)
    model = build_model(settings_, draw_vectors(), generator(0))
    if name == "bag":
        assert isinstance(model, BagOfWords)
        assert len(model.weight) == V
        return
    assert isinstance(model, EmbeddingAverage | RecurrentClassifier)
    assert torch.equal(model.vectors, draw_vectors())
    assert model.vectors.requires_grad == (name != "glove-fixed")
    assert model.dropout == 0.2
    assert isinstance(model, RecurrentClassifier) == (name in READING)
    if isinstance(model, RecurrentClassifier):
        cell = nn.RNN if name == "rnn" else nn.LSTM
        assert type(model.recurrent) is cell
        assert model.recurrent.bidirectional == (name in BIDIRECTIONAL)
        assert model.pooling == ("max" if name in BIDIRECTIONAL else "last")
        assert (model.embedding_dropout, model.word_dropout) == (0.1, 0.3)
        assert model.recurrent.hidden_size == 12


def review_data(count: int, n_words: int, seed: int) -> tuple[Sentences, Tensor]:
    """Random sentences; the label says whether words of the upper half prevail."""
    rng = generator(seed)
    lengths = torch.randint(1, 16, (count,), generator=rng)
    words = torch.randint(2, n_words, (int(lengths.sum()),), generator=rng)
    sentences = Sentences(words, lengths)
    upper = [(part > n_words / 2).double().mean() for part in torch.split(words, lengths.tolist())]
    return sentences, (torch.stack(upper) > 0.5).float()


def one_epoch(settings_: TextConfig, cells: Any, seed: int = 0) -> tuple[list[float], Any]:
    """Train a model of `cells` for an epoch; all else is the same from call to call."""
    sentences, labels = review_data(300, 40, seed)
    vectors = 0.5 * torch.randn(40, settings_.wordvec_dim, generator=generator(seed + 1))
    rng = generator(seed + 2)
    model = build_model(settings_, vectors, rng, cells=cells)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings_.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / 40)
    losses = train_epoch(
        model,
        model.prepare(sentences),
        labels,
        optimiser,
        scheduler,
        batch_size=settings_.batch_size,
        generator=rng,
    )
    assert scheduler.last_epoch == len(losses) == -(-300 // settings_.batch_size)
    return losses, model


def apart(losses: list[float], others: list[float]) -> float:
    """The largest relative difference of two losses of the same batch."""
    return max(abs(a - b) / b for a, b in zip(losses, others, strict=True))


FLOAT_TOLERANCE = 1e-5


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", ["rnn", "lstm", "bilstm"])
def test_an_epoch_with_torchs_layers_gives_the_same_losses(name: ModelName, dropout: float) -> None:
    """Batch by batch, in float32, from the same first weights in the same order."""
    settings_ = config(name, dropout=dropout, embedding_dropout=dropout, word_dropout=dropout / 4)
    ours, our_model = one_epoch(settings_, nn)
    theirs, their_model = one_epoch(settings_, torch.nn)
    for model, cells in ((our_model, nn), (their_model, torch.nn)):
        cell = cells.RNN if name == "rnn" else cells.LSTM
        assert type(model.recurrent) is cell
    assert apart(ours, theirs) < FLOAT_TOLERANCE
    for mine, other in zip(our_model.parameters(), their_model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=2e-4)


def broken(cell: Any, parameter: str) -> Any:
    """A layer of ours with a wrong sign in one of its gradients."""

    class Broken(cell):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            getattr(self, parameter).register_hook(lambda gradient: -gradient)

    return Broken


@pytest.mark.parametrize("name", ["rnn", "lstm", "bilstm"])
def test_the_losses_of_an_epoch_would_show_a_wrong_sign(name: ModelName) -> None:
    settings_ = config(name, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0)
    right, _ = one_epoch(settings_, torch.nn)
    for parameter in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        cells = SimpleNamespace(RNN=broken(nn.RNN, parameter), LSTM=broken(nn.LSTM, parameter))
        wrong, _ = one_epoch(settings_, cells)
        assert wrong[0] == pytest.approx(right[0], rel=FLOAT_TOLERANCE)  # before the first step
        assert apart(wrong, right) > 100 * FLOAT_TOLERANCE


@pytest.mark.parametrize("name", ["bag", "glove-fixed", "average", "bilstm"])
def test_an_epoch_is_reproducible(name: ModelName) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first, model = one_epoch(config(name), nn)
        torch.manual_seed(2)
        again, _ = one_epoch(config(name), nn)
        other, _ = one_epoch(config(name), nn, seed=1)
    assert first == again
    assert first != other
    assert all(parameter.grad is not None for parameter in model.parameters()) == (
        name != "glove-fixed"
    )


@pytest.mark.parametrize("share", SHARES)
def test_an_epoch_has_dropout(share: str) -> None:
    none: dict[str, Any] = dict.fromkeys(SHARES, 0.0)
    plain, _ = one_epoch(config("lstm", **none), nn)
    dropped, _ = one_epoch(config("lstm", **none | {share: 0.5}), nn)
    assert dropped[0] != plain[0]  # the first batch is the same, and so are the weights


def test_an_epoch_is_a_plain_loop() -> None:
    """Each step has the gradient of its own batch and the learning rate of its turn."""
    sentences, labels = review_data(50, 20, 0)
    ours, plain = BagOfWords(20), BagOfWords(20)
    optimiser = torch.optim.SGD(ours.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / 10)
    sets = ours.prepare(sentences)
    losses = train_epoch(
        ours, sets, labels, optimiser, scheduler, batch_size=8, generator=generator(1)
    )
    order, expected = order_by_length(sets.lengths, 8, generator(1)), []
    for step, rows in enumerate(torch.split(order, 8)):
        scores = plain(sets.take(rows))
        loss = functional.binary_cross_entropy_with_logits(scores, labels[rows])
        gradients = torch.autograd.grad(loss, list(plain.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(plain.parameters(), gradients, strict=True):
                parameter.sub_((1 - step / 10) * gradient)
        expected.append(loss.item())
    assert losses == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(ours.weight, plain.weight)


@pytest.mark.parametrize("name", ["bag", "glove", "bilstm"])
def test_training_brings_the_loss_down(name: ModelName) -> None:
    sentences, labels = review_data(100, 20, 0)
    settings_ = config(name, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0)
    rng = generator(0)
    model = build_model(settings_, torch.randn(20, 8, generator=rng), rng)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
    means = []
    for _ in range(4):
        losses = train_epoch(
            model,
            model.prepare(sentences),
            labels,
            optimiser,
            scheduler,
            batch_size=10,
            generator=rng,
        )
        means.append(sum(losses) / len(losses))
    assert means[-1] < 0.6 * means[0]


def sure_model() -> tuple[BagOfWords, torch.optim.Optimizer, Any]:
    """Return a model in which words 2 and 3 decide, with an optimiser that changes nothing."""
    model = BagOfWords(V)
    with torch.no_grad():
        model.weight[2], model.weight[3] = 50, -50
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    return model, optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_labels_stay_with_their_sentences(batch_size: int) -> None:
    """A model that is sure and right loses nothing, whatever the order of the sentences."""
    labels = torch.randint(2, (50,), generator=generator(0)).float()
    lengths = torch.randint(1, 9, (50,), generator=generator(1)).tolist()
    rows = [[2 if y else 3] + (n - 1) * [4] for y, n in zip(labels.tolist(), lengths, strict=True)]
    model, optimiser, scheduler = sure_model()
    for truth, loss in ((labels, 0.0), (1 - labels, 50.0)):
        losses = train_epoch(
            model,
            model.prepare(pack(rows)),
            truth,
            optimiser,
            scheduler,
            batch_size=batch_size,
            generator=generator(2),
        )
        assert losses == pytest.approx(len(losses) * [loss])
        assert len(losses) == -(-50 // batch_size)
    everything = fitting.score(model, model.prepare(pack(rows)))
    assert torch.equal(everything > 0, labels.bool())


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_scores_come_back_in_the_order_of_the_sentences(kind: Any) -> None:
    rows = [[2, 3, 4], [5], [6, 7, 8, 2, 3], [4, 5], [6]]
    model = make(kind)
    scores = fitting.score(model, model.prepare(pack(rows)))
    close(scores, score(model, rows))
    assert not scores.requires_grad


def test_an_infinite_loss_is_not_trained_on() -> None:
    model, optimiser, scheduler = sure_model()
    with torch.no_grad():
        model.weight[2] = float("nan")
    with pytest.raises(FloatingPointError, match=r"the loss is nan: .* smaller learning_rate"):
        train_epoch(
            model,
            pack([[2], [3]]),
            torch.ones(2),
            optimiser,
            scheduler,
            batch_size=2,
            generator=generator(0),
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_cuda_agrees_with_the_cpu(kind: Any) -> None:
    model = make(kind)
    expected = score(model, ROWS)
    there = model.to("cuda")
    actual = there(there.prepare(pack(ROWS)).to("cuda"))
    torch.testing.assert_close(actual.detach().cpu(), expected, rtol=1e-11, atol=1e-11)
