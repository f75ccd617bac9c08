"""The contenders of the captioning benchmark are the same model, trained by the same steps."""

from __future__ import annotations

import pytest
import torch

from rnnreport.bench import captioning
from rnnreport.bench.__main__ import main
from rnnreport.bench.captioning import Cell, Sizes, contenders, disagreement, measure

SMALL = Sizes(T=5, N=7, D=3, H=4, V=11, F=6)
CELLS: tuple[Cell, ...] = ("rnn", "lstm")


@pytest.mark.parametrize("cell", CELLS)
def test_losses_and_gradients_agree(cell: Cell) -> None:
    running = contenders(cell, SMALL, dtype=torch.float64)
    assert disagreement(running) < 1e-12
    losses = {name: each.gradients()[0] for name, each in running.items()}
    assert len(set(losses)) == 4
    assert min(losses.values()) > 0


@pytest.mark.parametrize("cell", CELLS)
def test_iterations_agree(cell: Cell) -> None:
    running = contenders(cell, SMALL, dtype=torch.float64)
    # torch trains two vectors of biases where the others have one: their sum goes twice as far.
    del running["torch_nn"]
    first = running["ours"].gradients()[0]
    for _ in range(5):
        for each in running.values():
            each.step()
        assert disagreement(running) < 1e-9
    assert running["ours"].gradients()[0] < first


@pytest.mark.parametrize("cell", CELLS)
def test_torch_learns_too(cell: Cell) -> None:
    script = contenders(cell, SMALL, dtype=torch.float64)["torch_nn"]
    first = script.gradients()[0]
    for _ in range(5):
        script.step()
    assert script.gradients()[0] < first


def test_captions_end_at_different_steps() -> None:
    running = contenders("rnn", SMALL, dtype=torch.float64)
    captions = running["ours"]._captions  # type: ignore[attr-defined]
    assert captions.shape == (SMALL.N, SMALL.T + 1)
    assert (captions[:, 0] == 1).all()
    assert ((captions == 2).sum(1) == 1).all()
    assert len(set((captions == 0).sum(1).tolist())) > 1


def test_dtypes_are_kept() -> None:
    running = contenders("lstm", SMALL, dtype=torch.float32)
    for name, each in running.items():
        for _ in range(2):
            each.step()
        kinds = {str(grad.dtype) for grad in each.gradients()[1].values()}
        assert kinds == {"numpy_64": {"float64"}}.get(name, {"float32"})


@pytest.mark.parametrize("spoiled", ["_lstm_step_backward", "_softmax_loss"])
def test_a_wrong_peer_is_not_timed(spoiled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(captioning, spoiled)

    def wrong(*arguments: object) -> tuple[object, ...]:
        first, *rest = right(*arguments)
        return (1.001 * first, *rest)

    monkeypatch.setattr(captioning, spoiled, wrong)
    with pytest.raises(RuntimeError, match=r"losses and gradients of ours, numpy, .* differ by"):
        measure("lstm", SMALL, seconds=0, dtype=torch.float32)


def test_the_benchmark_prints_a_row_for_each_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(captioning, "Sizes", lambda: SMALL)
    main(["captioning", "--seconds", "0", "--dtype", "float64"])
    printed = capsys.readouterr().out
    assert "float64; medians; T = 5, N = 7, D = 3, H = 4, V = 11, F = 6\n" in printed
    lines = printed.splitlines()
    for cell in CELLS:
        (row,) = (line.split() for line in lines if line.startswith(cell))
        numbers = [float(value) for value in row[1:] if value != "ms"]
        assert len(numbers) == 8
        assert min(numbers) > 0
        assert numbers[-1] == 5
