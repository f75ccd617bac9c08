"""Adam in whitened coordinates: what it measures, what it changes, and that it learns faster."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnreport.optim.whitening import WhitenedAdam, _whitening


def smooth_images(n: int, generator: torch.Generator) -> Tensor:
    """Return images in which neighbours are nearly alike, far from zero: like photographs."""
    coarse = torch.randn(n, 3, 5, 5, generator=generator)
    images = functional.interpolate(coarse, size=(24, 24), mode="bicubic")
    return images + 2 + 0.02 * torch.randn(n, 3, 24, 24, generator=generator)


def convolution(generator: torch.Generator) -> nn.Conv2d:
    module = nn.Conv2d(3, 8, 3, padding=1)
    for parameter in module.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return module


def test_whitened_patches_have_mean_zero_and_the_identity_as_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    images, module = smooth_images(8, generator), convolution(generator)
    module.padding = (0, 0)
    centre, whitening = _whitening(images, module, generator)
    rows = (functional.unfold(images, 3).transpose(1, 2).flatten(0, 1) - centre) @ whitening
    assert rows.mean(0).abs().max() < 1e-2
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows))
    # The ridge holds back only directions in which the patches hardly vary.
    assert values.max() == pytest.approx(1, abs=0.01)
    assert (values > 0.2).sum() >= 20


def fit(method: str, steps: int = 150) -> float:
    """Let a convolution follow another one; return the error left on other images."""
    generator = torch.Generator().manual_seed(1)
    teacher, student = convolution(generator), convolution(generator)
    others = smooth_images(8, generator)
    whitened = WhitenedAdam([student])
    adam = torch.optim.Adam(student.parameters(), lr=0.02)
    whitened.rewhiten(lambda: student(others), generator)
    for step in range(steps):
        images = smooth_images(4, generator)
        error = functional.mse_loss(student(images), teacher(images).detach())
        error.backward()  # type: ignore[no-untyped-call]
        rate = 0.1 * (1 - step / steps)
        if method == "whitened":
            whitened.step(rate)
        else:
            adam.param_groups[0]["lr"] = rate / 5
            adam.step()
            adam.zero_grad()
    with torch.no_grad():
        wanted = teacher(others)
        return float((student(others) - wanted).square().mean() / wanted.var())


def test_it_learns_what_tells_alike_patches_apart_where_adam_does_not() -> None:
    left = fit("whitened")
    assert left < 1e-3
    assert fit("adam") > 5 * left


def test_a_step_at_learning_rate_zero_changes_nothing_and_drops_the_gradient() -> None:
    generator = torch.Generator().manual_seed(2)
    module, images = convolution(generator), smooth_images(2, generator)
    before = [parameter.clone() for parameter in module.parameters()]
    optimiser = WhitenedAdam([module])
    optimiser.rewhiten(lambda: module(images), generator)
    module(images).square().mean().backward()
    optimiser.step(0.0)
    assert all(map(torch.equal, module.parameters(), before))
    assert all(parameter.grad is None for parameter in module.parameters())


def test_shifting_the_input_shifts_only_the_bias() -> None:
    """Whitened coordinates know no mean: steps on x and on x + 5 lead to the same answers."""
    answers = []
    for shift in (0.0, 5.0):
        generator = torch.Generator().manual_seed(3)
        module = convolution(generator).double()
        module.padding = (0, 0)
        images = smooth_images(4, generator).double()
        wanted = torch.randn(4, 8, 22, 22, generator=generator, dtype=torch.float64)
        with torch.no_grad():  # the same function of the unshifted images at first
            module.get_parameter("bias").sub_(shift * module.weight.sum((1, 2, 3)))
        seen = images + shift
        optimiser = WhitenedAdam([module])
        optimiser.rewhiten(partial(module, seen), generator)
        for _ in range(5):
            error = functional.mse_loss(module(seen), wanted)
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step(0.1)
        answers.append(module(seen).detach())
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-6, atol=1e-6)


def test_steps_without_what_they_need_are_refused() -> None:
    generator = torch.Generator().manual_seed(4)
    module, images = convolution(generator), smooth_images(1, generator)
    optimiser = WhitenedAdam([module])
    with pytest.raises(RuntimeError, match="rewhiten before step"):
        optimiser.step(0.1)
    optimiser.rewhiten(lambda: module(images), generator)
    with pytest.raises(RuntimeError, match="backward before step"):
        optimiser.step(0.1)
    with pytest.raises(ValueError, match="must have a bias"):
        WhitenedAdam([nn.Conv2d(3, 4, 3, bias=False)])


def test_the_patches_that_are_measured_are_chosen_by_the_generator() -> None:
    generator = torch.Generator().manual_seed(5)
    module = convolution(generator)
    many = smooth_images(60, generator)  # more patches than are measured
    measured = [_whitening(many, module, torch.Generator().manual_seed(k))[0] for k in (0, 0, 1)]
    assert torch.equal(measured[0], measured[1])
    assert not torch.equal(measured[0], measured[2])
