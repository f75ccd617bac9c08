"""From the gradients before the nonlinearities to those of inputs, weights and biases.

Each is one product or one sum over all steps and sequences, so nothing in the loop over time waits
for it, and whoever does not need a gradient leaves its product out.
"""

from __future__ import annotations

from torch import Tensor


def input_gradient(dz: Tensor, Wx: Tensor) -> Tensor:
    """Take `dz`, shape (..., K), to the inputs, shape (..., D), that `Wx`, shape (D, K), met."""
    flat: Tensor = dz.flatten(0, -2) @ Wx.T
    return flat.view(*dz.shape[:-1], len(Wx))


def input_weights_gradient(dz: Tensor, x: Tensor) -> Tensor:
    """Return the gradient, shape (D, K), of the weights that inputs, shape (..., D), met."""
    return x.flatten(0, -2).T @ dz.flatten(0, -2)


def state_weights_gradient(dz: Tensor, h0: Tensor, h: Tensor) -> Tensor:
    """Return the gradient, shape (H, K), of the weights that the states before the steps met.

    Those are `h0`, shape (N, H), and all of `h`, shape (T, N, H), but the last one. They are not
    copied into one tensor.
    """
    from_first: Tensor = h0.T @ dz[0]
    return from_first.addmm_(h[:-1].flatten(0, -2).T, dz[1:].flatten(0, -2))


def bias_gradient(dz: Tensor) -> Tensor:
    """Return the gradient, shape (K,), of what was added at every step of every sequence."""
    return dz.flatten(0, -2).sum(0)
