"""The captioning network: its gradients against two oracles, and how it writes captions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from rnnreport.models import captioning
from rnnreport.models.captioning import CaptioningRNN, write_together
from rnnreport.names import CellType

WORDS = ("<NULL>", "<START>", "<END>", "<UNK>", "a", "red", "ball", "lies", "here")
NULL, START, END, UNK = range(4)
INDEX = {word: idx for idx, word in enumerate(WORDS)}
CELLS: tuple[CellType, ...] = ("rnn", "lstm", "attention")
PARAMS = ("W_proj", "b_proj", "W_embed", "Wx", "Wh", "b", "W_vocab", "b_vocab")
PLACES = 3


def _params(cell: CellType) -> tuple[str, ...]:
    return (*PARAMS[:5], "Wa", *PARAMS[5:]) if cell == "attention" else PARAMS


def _model(
    cell: CellType,
    *,
    dropout: float = 0.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    width: int = 5,
    D: int = 3,
    H: int = 4,
) -> CaptioningRNN:
    generator = torch.Generator().manual_seed(seed)
    model = CaptioningRNN(
        INDEX,
        input_dim=width,
        wordvec_dim=D,
        hidden_dim=H,
        cell_type=cell,
        dropout=dropout,
        dtype=dtype,
        generator=generator,
    )
    for name in ("b_proj", "b", "b_vocab"):  # zero at first, which would hide errors
        param = model.params[name]
        param.copy_(torch.randn(param.shape, dtype=torch.float64, generator=generator) * 0.3)
    return model


def _features(
    count: int, width: int = 5, *, cell: CellType = "rnn", places: int = PLACES, seed: int = 7
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, places, width) if cell == "attention" else (count, width)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def _captions(lengths: list[int], total: int, *, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.full((len(lengths), total), NULL)
    for row, length in enumerate(lengths):
        words = torch.randint(UNK, len(WORDS), (length,), generator=generator).tolist()
        rows[row, : length + 2] = torch.tensor([START, *words, END])
    return rows


def _places_read(cell: CellType, y: Tensor) -> list[tuple[int, int]]:
    """Step and caption in the order in which dropout is drawn: by steps, longest captions first."""
    T = y.shape[1] - 1
    if cell == "attention":
        return [(t, n) for t in range(T) for n in range(len(y))]
    lengths = [max((t for t in range(1, T + 1) if row[t] != NULL), default=1) for row in y.tolist()]
    longest_first = sorted(range(len(y)), key=lambda n: -lengths[n])
    return [(t, n) for t in range(T) for n in longest_first if t < lengths[n]]


def _plain_loss(
    model: CaptioningRNN,
    params: dict[str, Tensor],
    x: Tensor,
    y: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Compute the loss once more, from torch's own parts and nothing of ours."""
    T, D, H = y.shape[1] - 1, params["W_embed"].shape[1], params["Wh"].shape[0]
    kept_x, kept_h = torch.ones(T, len(x), D), torch.ones(T, len(x), H)
    if generator is not None:
        places = _places_read(model.cell_type, y)
        for mask in (kept_x, kept_h):
            drawn = torch.rand(len(places), mask.shape[2], generator=generator)
            for (t, n), row in zip(places, drawn, strict=True):
                mask[t, n] = (row < 1 - model.dropout) / (1 - model.dropout)
    A = F.linear(x, params["W_proj"].T, params["b_proj"])
    h = c = A.mean(1) if model.cell_type == "attention" else A
    total = x.new_zeros(())
    for t in range(T):
        word = F.embedding(y[:, t], params["W_embed"]) * kept_x[t]
        z = F.linear(word, params["Wx"].T, params["b"]) + F.linear(h, params["Wh"].T)
        if model.cell_type == "attention":
            context = F.scaled_dot_product_attention(h[:, None], A, A)[:, 0]
            z = z + F.linear(context, params["Wa"].T)
        if model.cell_type == "rnn":
            h = z.tanh()
        else:
            f, i, g, o = z.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        scores = F.linear(h * kept_h[t], params["W_vocab"].T, params["b_vocab"])
        total = total + F.cross_entropy(scores, y[:, t + 1], ignore_index=NULL, reduction="sum")
    return total / len(x)


def _assert_as_autograd(
    model: CaptioningRNN, x: Tensor, y: Tensor, seed: int
) -> tuple[Tensor, dict[str, Tensor]]:
    draw = [torch.Generator().manual_seed(seed) if model.dropout else None for _ in range(2)]
    loss, grads = model.loss(x, y, draw[0])
    leaves = {name: param.clone().requires_grad_() for name, param in model.params.items()}
    expected = _plain_loss(model, leaves, x, y, draw[1])
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    assert tuple(grads) == tuple(model.params) == _params(model.cell_type)
    for name, leaf in leaves.items():
        torch.testing.assert_close(grads[name], leaf.grad, rtol=1e-10, atol=1e-12, msg=name)
    return loss, grads


@pytest.mark.parametrize("cell", CELLS)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    extra=st.integers(0, 2),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)),
    dropout=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradients_against_autograd(
    cell: CellType,
    lengths: list[int],
    extra: int,
    sizes: tuple[int, int, int],
    dropout: float,
    seed: int,
) -> None:
    width, D, H = sizes
    model = _model(cell, dropout=dropout, seed=seed, width=width, D=D, H=H)
    x = _features(len(lengths), width, cell=cell, places=1 + seed % 4, seed=seed)
    y = _captions(lengths, max(lengths) + 2 + extra, seed=seed)
    _assert_as_autograd(model, x, y, seed)


# <NULL> between words, at the first step, before the end and all along
HOLES = torch.tensor(
    [
        [START, 4, NULL, NULL, END, NULL, NULL],
        [START, NULL, NULL, NULL, NULL, NULL, NULL],
        [START, 5, 6, 7, 4, 8, END],
        [START, NULL, 5, END, NULL, NULL, NULL],
        [START, 4, 5, 6, NULL, 5, NULL],
    ]
)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [1], [1, 1], [0], [3, 0, 1]])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("cell", CELLS)
def test_null_counts_nothing_wherever_it_stands(
    cell: CellType, dropout: float, rows: list[int]
) -> None:
    model, x = _model(cell, dropout=dropout), _features(len(rows), cell=cell)
    loss, grads = _assert_as_autograd(model, x, HOLES[rows], seed=4)
    if set(rows) == {1}:
        assert loss == 0
        assert not any(grad.any() for grad in grads.values())


@pytest.mark.parametrize("cell", CELLS)
def test_the_order_of_captions_does_not_matter(cell: CellType) -> None:
    model, x = _model(cell), _features(len(HOLES), cell=cell)
    loss, grads = model.loss(x, HOLES)
    turned = torch.tensor([3, 0, 4, 2, 1])
    other_loss, other_grads = model.loss(x[turned], HOLES[turned])
    torch.testing.assert_close(other_loss, loss, rtol=1e-14, atol=0)
    for name, grad in grads.items():
        torch.testing.assert_close(other_grads[name], grad, rtol=1e-12, atol=1e-14, msg=name)


@pytest.mark.parametrize(
    ("cell", "name"), [(cell, name) for cell in CELLS for name in _params(cell)]
)
def test_gradients_against_the_complex_step(cell: CellType, name: str) -> None:
    real, model = _model(cell), _model(cell, dtype=torch.complex128)
    x, y = _features(3, cell=cell), _captions([4, 1, 2], total=6)
    _, grads = real.loss(x, y)
    step = 1e-30
    imaginary = torch.view_as_real(model.params[name]).view(-1, 2)[:, 1]
    derivative = torch.zeros_like(grads[name])
    for position in range(derivative.numel()):
        imaginary[position] = step
        loss, _ = model.loss(x.to(torch.complex128), y)
        derivative.view(-1)[position] = loss.imag / step
        imaginary[position] = 0
    assert derivative.abs().max() > 0
    error = (derivative - grads[name]).abs().max() / derivative.abs().max()
    assert error < 1e-13


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing(cell: CellType) -> None:
    model, x, y = _model(cell), _features(3, cell=cell), _captions([4, 1, 2], total=6)
    loss, grads = model.loss(x, y)
    longer = torch.cat([y, torch.full((3, 5), NULL)], dim=1)
    padded_loss, padded_grads = model.loss(x, longer)
    torch.testing.assert_close(padded_loss, loss, rtol=1e-14, atol=0)
    for name, grad in grads.items():
        torch.testing.assert_close(padded_grads[name], grad, rtol=1e-12, atol=1e-15, msg=name)
    assert not grads["W_embed"][NULL].any()


@pytest.mark.parametrize("cell", CELLS)
def test_loss_is_the_mean_over_captions(cell: CellType) -> None:
    model, x, y = _model(cell), _features(3, cell=cell), _captions([4, 1, 2], total=6)
    loss, grads = model.loss(x, y)
    alone = [model.loss(x[n : n + 1], y[n : n + 1]) for n in range(3)]
    torch.testing.assert_close(loss, torch.stack([one for one, _ in alone]).mean())
    for name, grad in grads.items():
        mean = torch.stack([grads_of_one[name] for _, grads_of_one in alone]).mean(0)
        torch.testing.assert_close(grad, mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_autograd_is_never_asked(cell: CellType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("autograd was asked for a gradient")

    for owner, name in (
        (torch.autograd, "backward"),
        (torch.autograd, "grad"),
        (torch.Tensor, "backward"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    model, x = _model(cell), _features(2, cell=cell).requires_grad_()
    y = _captions([2, 3], total=5)
    for param in model.params.values():
        assert not param.requires_grad
        param.requires_grad_()  # even where a caller asks for a graph, none is built
    loss, grads = model.loss(x, y)
    assert loss.grad_fn is None
    assert not any(grad.requires_grad for grad in grads.values())
    assert "autograd" not in vars(captioning)


@pytest.mark.parametrize("cell", CELLS)
def test_loss_twice_agrees_and_changes_nothing(cell: CellType) -> None:
    model, y = _model(cell, dtype=torch.float32), _captions([2, 3], 5)
    x = _features(2, cell=cell).float()
    before = {name: param.clone() for name, param in model.params.items()}
    arguments = x.clone(), y.clone()
    (loss, grads), (again, grads_again) = model.loss(x, y), model.loss(x, y)
    assert torch.equal(loss, again)
    assert all(torch.equal(grads[name], grads_again[name]) for name in grads)
    assert all(torch.equal(before[name], model.params[name]) for name in before)
    assert torch.equal(arguments[0], x)
    assert torch.equal(arguments[1], y)


@pytest.mark.parametrize("cell", CELLS)
def test_first_weights(cell: CellType) -> None:
    state = torch.random.get_rng_state()
    model = CaptioningRNN(
        INDEX,
        input_dim=400,
        wordvec_dim=100,
        hidden_dim=200,
        cell_type=cell,
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(state, torch.random.get_rng_state())
    gates = 1 if cell == "rnn" else 4
    shapes = {
        "W_proj": (400, 200),
        "b_proj": (200,),
        "W_embed": (9, 100),
        "Wx": (100, gates * 200),
        "Wh": (200, gates * 200),
        **({"Wa": (200, 800)} if cell == "attention" else {}),
        "b": (gates * 200,),
        "W_vocab": (200, 9),
        "b_vocab": (9,),
    }
    assert {name: tuple(param.shape) for name, param in model.params.items()} == shapes
    assert model.num_parameters == sum(param.numel() for param in model.params.values())
    for name, param in model.params.items():
        assert param.dtype == torch.float32
        if param.ndim == 1:
            assert not param.any()
        else:
            std = 1.0 if name == "W_embed" else param.shape[0] ** -0.5
            assert abs(float(param.std()) / std - 1) < 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_sampling_follows_the_highest_score(cell: CellType, seed: int) -> None:
    # Written out with torch's own cells, whose gates stand in the order i, f, g, o.
    model, x = _model(cell, seed=seed), _features(6)
    p = model.params
    p["b_vocab"][END] -= 1.0  # longer captions show more of the recurrence
    kind = nn.RNNCell if cell == "rnn" else nn.LSTMCell
    own = kind(3, 4, dtype=torch.float64)
    order = list(range(4)) if cell == "rnn" else [*range(4, 8), *range(4), *range(8, 16)]
    with torch.no_grad():
        own.weight_ih.copy_(p["Wx"].T[order])
        own.weight_hh.copy_(p["Wh"].T[order])
        own.bias_ih.copy_(p["b"][order])
        own.bias_hh.zero_()
        expected = torch.full((6, 8), NULL)
        for row in range(6):
            h = c = x[row : row + 1] @ p["W_proj"] + p["b_proj"]
            word = START
            for step in range(8):
                vector = p["W_embed"][word][None]
                if isinstance(own, nn.RNNCell):
                    h = own(vector, h)
                else:
                    h, c = own(vector, (h, c))
                scores = (h @ p["W_vocab"] + p["b_vocab"])[0]
                word = max((END, *range(4, len(WORDS))), key=lambda w: float(scores[w]))
                expected[row, step] = word
                if word == END:
                    break
    sampled = model.sample(x, max_length=8)
    assert sampled.dtype == torch.int64
    assert torch.equal(sampled, expected)
    assert torch.equal(model.sample(x, max_length=8), sampled)
    assert torch.equal(model.sample(x[2:3], max_length=8), sampled[2:3])
    assert torch.equal(model.sample(x, max_length=3), sampled[:, :3])


@pytest.mark.parametrize("cell", CELLS)
def test_sampling_ends_with_end_and_null(cell: CellType) -> None:
    model, x = _model(cell), _features(4, cell=cell)
    model.params["W_vocab"].zero_()
    model.params["b_vocab"].zero_()[[NULL, START, UNK]] = 9.0  # never to be written
    model.params["b_vocab"][INDEX["ball"]] = 1.0
    assert (model.sample(x, max_length=5) == INDEX["ball"]).all()
    model.params["b_vocab"][END] = 2.0
    assert model.sample(x, max_length=5).tolist() == [[END] + [NULL] * 4] * 4


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_written_is_what_the_trace_reads(cell: CellType) -> None:
    model, x = _model(cell, seed=1), _features(6, cell=cell)
    model.params["b_vocab"][END] -= 1.0
    captions = torch.cat([torch.full((6, 1), START), model.sample(x, max_length=7)], dim=1)
    trace = model.trace(x, captions)
    scores = trace.scores.clone()
    scores[:, :, [NULL, START, UNK]] = -torch.inf
    words = captions[:, 1:].T
    assert torch.equal(scores.argmax(2)[words != NULL], words[words != NULL])
    assert trace.h.shape == (7, 6, 4)
    if cell == "rnn":
        assert trace.c is trace.gates is trace.weights is None
        return
    assert trace.c is not None
    assert trace.gates is not None
    torch.testing.assert_close(trace.gates[:, :, 3] * trace.c.tanh(), trace.h)
    if cell == "lstm":
        assert trace.weights is None
        return
    assert trace.weights is not None
    assert trace.weights.shape == (7, 6, PLACES)
    torch.testing.assert_close(trace.weights.sum(2), torch.ones(7, 6, dtype=torch.float64))


def test_dropout_is_drawn_from_the_generator_alone() -> None:
    model, x, y = _model("lstm", dropout=0.5), _features(3), _captions([4, 1, 2], total=6)
    state = torch.random.get_rng_state()
    first, again, other = (
        model.loss(x, y, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == again != other
    assert model.loss(x, y)[0] not in (first, other)
    assert model.loss(x, y)[0] == _model("lstm").loss(x, y)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell_type": "gru"}, "cell_type must be one of rnn, lstm, attention, got 'gru'"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"input_dim": 0}, "input_dim must be at least 1, got 0"),
        ({"wordvec_dim": -1}, "wordvec_dim must be at least 1, got -1"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
        ({"word_to_idx": {"<NULL>": 0, "<START>": 1}}, "word_to_idx must hold <END>"),
        ({"word_to_idx": INDEX | {"a": 99}}, "each index from 0 to 8 once"),
    ],
)
def test_refuses_bad_models(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "word_to_idx": INDEX,
        "input_dim": 5,
        "wordvec_dim": 3,
        "hidden_dim": 4,
        "generator": torch.Generator(),
    }
    with pytest.raises(ValueError, match=message):
        CaptioningRNN(**(arguments | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "captions", "message"),
    [
        (_features(2, 4), _captions([1, 1], 4), r"features must have shape .*5\), got \(2, 4\)"),
        (_features(2)[0], _captions([1, 1], 4), r"features must have shape .* got \(5,\)"),
        (_features(2)[:0], _captions([1], 3)[:0], r"features must have shape .* got \(0, 5\)"),
        (_features(2).float(), _captions([1, 1], 4), r"features must have dtype torch\.float64"),
        (_features(2), _captions([1], 4), r"captions must have shape .* got \(1, 4\)"),
        (_features(2), _captions([1, 1], 4)[:, :1], r"captions must have shape .* got \(2, 1\)"),
        (_features(2), _captions([1, 1], 4)[0], r"captions must have shape .* got \(4,\)"),
        (_features(2), _captions([1, 1], 4).int(), r"captions must have dtype torch\.int64"),
        (_features(2), _captions([1, 1], 4) + 6, r"indices in \[0, 9\), got 6 to 1\d"),
        (_features(2), _captions([1, 1], 4) - 1, r"indices in \[0, 9\), got -1 to"),
    ],
)
def test_loss_refuses_bad_input(features: Tensor, captions: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _model("rnn").loss(features, captions)


def test_sample_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="max_length must be at least 1, got 0"):
        _model("rnn").sample(_features(2), max_length=0)
    with pytest.raises(ValueError, match="features must have shape"):
        _model("rnn").sample(_features(2, 6))


def test_attention_needs_places() -> None:
    model, y = _model("attention"), _captions([1, 1], 4)
    for x in (_features(2), _features(2, 4, cell="attention"), _features(2, cell="attention")[:0]):
        with pytest.raises(ValueError, match=r"features must have shape \(N, P, F\) = .*any, 5\)"):
            model.loss(x, y)
    with pytest.raises(ValueError, match=r"features must have shape \(N, F\)"):
        _model("lstm").trace(_features(2, cell="attention"), y)


# Beam search


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("cell", CELLS)
def test_a_beam_of_one_is_greedy(cell: CellType, length_penalty: float) -> None:
    for seed in range(5):
        model, x = _model(cell, seed=seed), _features(8, cell=cell, seed=seed)
        model.params["b_vocab"][END] -= 1.0
        greedy = model.sample(x, max_length=6)
        captions = model.beam_search(x, 6, beam=1, length_penalty=length_penalty)
        assert captions.dtype == torch.int64
        assert torch.equal(captions, greedy)


def _log_p(model: CaptioningRNN, x: Tensor, words: list[int]) -> float:
    """Log-probability of a caption, with its end, read in one go."""
    caption = torch.tensor([[START, *words]])
    scores = model.trace(x, caption).scores[:, 0]
    return float(scores.log_softmax(1)[range(len(words)), words].sum())


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("cell", CELLS)
def test_a_wide_beam_is_exhaustive(cell: CellType, length_penalty: float) -> None:
    longest, sayable = 4, range(4, len(WORDS))
    beginnings: list[list[int]] = [[]]
    sentences = []
    for _ in range(longest):
        sentences += [[*words, END] for words in beginnings]
        beginnings = [[*words, word] for words in beginnings for word in sayable]
    differs = 0
    for seed in range(3):
        model, x = _model(cell, seed=seed), _features(2, cell=cell, seed=seed)
        model.params["b_vocab"][END] -= 1.0
        captions = model.beam_search(x, longest, beam=800, length_penalty=length_penalty)
        for row in range(2):
            best = max(
                sentences,
                key=lambda words: (
                    _log_p(model, x[row : row + 1], words) / len(words) ** length_penalty
                ),
            )
            assert [word for word in captions[row].tolist() if word != NULL] == best
        differs += not torch.equal(captions, model.sample(x, longest))
    assert differs  # else greedy search would do


@pytest.mark.parametrize("beam", [2, 3, 7])
def test_a_beam_writes_words_only_and_each_image_for_itself(beam: int) -> None:
    model, x = _model("attention", seed=2), _features(5, cell="attention")
    model.params["b_vocab"][[NULL, START, UNK]] = 9.0
    model.params["b_vocab"][END] -= 0.5
    captions = model.beam_search(x, 7, beam=beam)
    assert captions.shape == (5, 7)
    for row in captions.tolist():
        words = row[: row.index(END)] if END in row else row
        assert all(word > UNK for word in words)
        assert all(word == NULL for word in row[len(words) + 1 :])
    for row in range(5):
        alone = model.beam_search(x[row : row + 1], 7, beam=beam)
        assert torch.equal(alone, captions[row : row + 1])


def test_a_beam_prefers_an_end_and_else_is_cut_off() -> None:
    model, x = _model("rnn"), _features(2)
    model.params["W_vocab"].zero_()
    model.params["b_vocab"].zero_()[INDEX["ball"]] = 1.0
    model.params["b_vocab"][END] = 0.5
    assert (model.sample(x, 3) == INDEX["ball"]).all()
    # An end at once is the only end in view, and less probable than going on.
    assert model.beam_search(x, 3, beam=2, length_penalty=0.0)[:, 0].tolist() == [END, END]
    model.params["b_vocab"][END] = -1e3
    assert (model.beam_search(x, 3, beam=4) == INDEX["ball"]).all()


def test_beam_search_refuses_bad_input() -> None:
    for change, message in (
        ({"beam": 0}, "beam must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"length_penalty": -0.1}, r"length_penalty must be a number from 0, got -0\.1"),
        ({"length_penalty": float("nan")}, "length_penalty must be a number from 0, got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            _model("rnn").beam_search(_features(2), **change)
    with pytest.raises(ValueError, match="features must have shape"):
        _model("rnn").beam_search(_features(2, 4))


def test_networks_that_write_together_average_their_probabilities() -> None:
    models = [_model("lstm", seed=1), _model("attention", seed=2)]
    features = [_features(2), _features(2, cell="attention")]
    for model in models:
        model.params["b_vocab"][END] -= 1.0
    longest, sayable = 3, range(4, len(WORDS))
    beginnings: list[list[int]] = [[]]
    sentences = []
    for _ in range(longest):
        sentences += [[*words, END] for words in beginnings]
        beginnings = [[*words, word] for words in beginnings for word in sayable]

    def log_p(row: int, words: list[int]) -> float:
        caption = torch.tensor([[START, *words]])
        shares = [
            model.trace(x[row : row + 1], caption).scores[:, 0].softmax(1)[range(len(words)), words]
            for model, x in zip(models, features, strict=True)
        ]
        return float(torch.stack(shares).mean(0).log().sum())

    captions = write_together(models, features, longest, beam=800, length_penalty=0.7)
    for row in range(2):
        best = max(sentences, key=lambda words: log_p(row, words) / len(words) ** 0.7)
        assert [word for word in captions[row].tolist() if word != NULL] == best
    alone = write_together(models[:1], features[:1], longest, beam=4)
    assert torch.equal(alone, models[0].beam_search(features[0], longest, beam=4))


def test_networks_that_cannot_write_together_are_refused() -> None:
    model, x = _model("lstm"), _features(2)
    with pytest.raises(ValueError, match="models must be as many as features and at least one"):
        write_together([], [])
    with pytest.raises(ValueError, match="got 1 models and features for 2"):
        write_together([model], [x, x])
    with pytest.raises(ValueError, match="one vocabulary and features of the same images"):
        write_together([model, model], [x, x[:1]])
    other = _model("lstm")
    other.word_to_idx = {word: index for word, index in INDEX.items() if word != "ball"}
    with pytest.raises(ValueError, match="one vocabulary"):
        write_together([model, other], [x, x])
