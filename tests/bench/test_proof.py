"""The checks of the benchmark check the same gradients, and fail where these are wrong."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

from rnnreport.bench import proof
from rnnreport.bench.__main__ import main
from rnnreport.bench.proof import checks, layers_at


@pytest.mark.parametrize("name", layers_at(1))
def test_all_checks_pass_and_find_a_mistake(name: str) -> None:
    layer = layers_at(2)[name]
    wrong = dataclasses.replace(layer, backward=lambda *given: _doubled(layer.backward(*given)))
    for check in checks(layer).values():
        check()
    for check in checks(wrong).values():
        with pytest.raises((RuntimeError, GradcheckError)):
            check()


def _doubled(gradients: object) -> object:
    if isinstance(gradients, tuple):
        return (2 * gradients[0], *gradients[1:])
    assert isinstance(gradients, torch.Tensor)
    return 2 * gradients


def test_the_benchmark_prints_a_row_for_each_layer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "SIZES", (1,))
    main(["proof", "--seconds", "0"])
    lines = capsys.readouterr().out.splitlines()
    for name in layers_at(1):
        assert any(line.startswith(f"{name:<16}") and line.endswith("3") for line in lines)
