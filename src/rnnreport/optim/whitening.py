"""Adam in whitened coordinates: an optimiser for a chain of convolutions.

What a convolution sees, the patch of its input under the kernel, has entries that are far from
zero on average and that say nearly the same. A step along the gradient then learns the mean
brightness of patches quickly, and what tells them apart hardly at all. In other coordinates of
the weights, those in which the patches have mean zero and the identity as covariance, all
directions learn alike :cite:p:`desjardins2015`. Adam's steps :cite:p:`kingma2015` are taken there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["WhitenedAdam"]

_MOST_ROWS = 20_000  # of patches; enough for the covariance of 1,152 entries
_RIDGE = 1e-3  # added to the covariance, as a share of its mean eigenvalue


@dataclass
class _Moments:
    first: Tensor
    second: Tensor


class WhitenedAdam:
    """Trains the weights and biases of some convolutions.

    Parameters
    ----------
    convolutions : sequence of torch.nn.Conv2d
        With biases, without groups, of stride 1. Changed in place.
    betas
        How much of Adam's two moments stays at each step.
    """

    def __init__(
        self, convolutions: Sequence[nn.Conv2d], *, betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        self._convolutions = list(convolutions)
        self._betas = betas
        self._steps = 0
        self._centres: list[Tensor] = []
        self._whitenings: list[Tensor] = []
        self._moments = [
            tuple(_Moments(torch.zeros_like(p), torch.zeros_like(p)) for p in _matrix(convolution))
            for convolution in self._convolutions
        ]

    @torch.no_grad()
    def rewhiten(self, run: Callable[[], object], generator: torch.Generator) -> None:
        """Measure what the convolutions see.

        Parameters
        ----------
        run
            Passes images through the network, so that each of the convolutions runs once.
        generator
            Chooses patches where there are very many.
        """
        seen: dict[nn.Module, Tensor] = {}

        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[module] = inputs[0]

        hooks = [c.register_forward_pre_hook(note) for c in self._convolutions]
        run()
        for hook in hooks:
            hook.remove()
        self._centres, self._whitenings = [], []
        for convolution in self._convolutions:
            centre, whitening = _whitening(seen[convolution], convolution, generator)
            self._centres.append(centre)
            self._whitenings.append(whitening)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and drop these.

        Parameters
        ----------
        learning_rate
            How far what a convolution says about a patch moves at most, roughly: each of its n
            weights moves by at most 1/√n of that, in whitened coordinates.

        Raises
        ------
        RuntimeError
            If nothing has been measured yet, or a convolution has no gradient.
        """
        if not self._whitenings:
            raise RuntimeError("call rewhiten before step")
        self._steps += 1
        for convolution, centre, whitening, moments in zip(
            self._convolutions, self._centres, self._whitenings, self._moments, strict=True
        ):
            weight, bias = _matrix(convolution)
            dweight, dbias = (p.grad for p in convolution.parameters())
            if dweight is None or dbias is None:
                raise RuntimeError("call backward before step: a convolution has no gradient")
            # Of weights that multiply (patch - centre) @ whitening, at a bias that stays.
            dwhite = (dweight.flatten(1) - torch.outer(dbias, centre)) @ whitening
            move = self._move(moments[0], dwhite) @ whitening / math.sqrt(weight.shape[1])
            weight -= learning_rate * move
            bias -= learning_rate * (self._move(moments[1], dbias) - move @ centre)
            convolution.zero_grad()

    def _move(self, moments: _Moments, gradient: Tensor) -> Tensor:
        keep_first, keep_second = self._betas
        moments.first.lerp_(gradient, 1 - keep_first)
        moments.second.lerp_(gradient.square(), 1 - keep_second)
        spread = (moments.second / (1 - keep_second**self._steps)).sqrt_().add_(1e-10)
        move = moments.first / (1 - keep_first**self._steps) / spread
        return move.clamp_(-1, 1)  # more than one only where gradients suddenly grow


def _matrix(convolution: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return the kernels as rows of a matrix, and the biases, both shared with the module."""
    if convolution.bias is None:
        raise ValueError("convolutions must have a bias")
    return convolution.weight.detach().view(len(convolution.weight), -1), convolution.bias.detach()


def _whitening(
    x: Tensor, convolution: nn.Conv2d, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean of the patches, and the symmetric root of their inverse covariance."""
    kernel, padding = convolution.kernel_size, convolution.padding
    patches = functional.unfold(x, kernel, padding=padding)  # type: ignore[arg-type]
    rows = patches.transpose(1, 2).flatten(0, 1)  # (N places, C k k)
    if len(rows) > _MOST_ROWS:
        rows = rows[torch.randint(len(rows), (_MOST_ROWS,), generator=generator)]
    centre = rows.mean(0)
    rows = rows - centre
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    scale = (values.clamp_min(0) + _RIDGE * values.mean()).rsqrt()
    return centre, (vectors * scale) @ vectors.T
