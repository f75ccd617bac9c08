"""Layers and losses as functions that ``torch.autograd`` knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnreport import layers
from rnnreport.layers import DropoutCache, EmbeddingBagCache, MaxPoolCache

Result = TypeVar("Result")


class Function(torch.autograd.Function, Generic[Result]):
    """A function of autograd whose call has a type."""

    @classmethod
    def of(cls, *arguments: object) -> Result:
        """Call the function."""
        result: Result = cls.apply(*arguments)  # type: ignore[no-untyped-call]
        return result


class _DropoutFunction(Function[Tensor]):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, generator: torch.Generator) -> Tensor:
        out, cache = layers.dropout_forward(x, p, generator)
        ctx.save_for_backward(*cache)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        return layers.dropout_backward(dout, DropoutCache(*ctx.saved_tensors)), None, None


class _ScaleFunction(Function[Tensor]):
    """Dropout whose mask is there already, scaled."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: Tensor) -> Tensor:
        return x * scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(inputs[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        return layers.dropout_backward(dout, DropoutCache(*ctx.saved_tensors)), None


class _EmbeddingBagFunction(Function[Tensor]):
    @staticmethod
    def forward(ctx: Any, words: Tensor, lengths: Tensor, W: Tensor, average: bool) -> Tensor:
        out, cache = layers.embedding_bag_forward(words, lengths, W, average=average)
        ctx.save_for_backward(*cache)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        dW = layers.embedding_bag_backward(dout, EmbeddingBagCache(*ctx.saved_tensors))
        return None, None, dW, None


class _MaxPoolFunction(Function[Tensor]):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor) -> Tensor:
        out, cache = layers.max_pool_forward(x, lengths)
        ctx.save_for_backward(cache.where)
        ctx.steps = cache.steps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        (where,) = ctx.saved_tensors
        return layers.max_pool_backward(dout, MaxPoolCache(where, ctx.steps)), None


class _LossFunction(Function[Tensor]):
    """Any loss of the layers: it returns its value and the gradient of its first argument."""

    @staticmethod
    def forward(ctx: Any, loss: Callable[..., tuple[Tensor, Tensor]], *arguments: Any) -> Tensor:
        value, gradient = loss(*arguments)
        ctx.save_for_backward(gradient)
        ctx.constants = len(arguments) - 1
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return None, dloss * gradient, *(None,) * ctx.constants


def dropout(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Drop elements by chance and scale up the rest; see :func:`rnnreport.layers.dropout_forward`.

    Parameters
    ----------
    x : Tensor, any shape
        What is thinned out.
    p : float
        Probability of being dropped, 0 <= p < 1; with 0 nothing is drawn.
    generator : torch.Generator
        Draws the mask.

    Returns
    -------
    Tensor, of the shape of `x`
        The elements that stay, divided by 1 - p, and zeros.
    """
    return _DropoutFunction.of(x, p, generator)


def torch_dropout(x: Tensor, p: float) -> Tensor:
    """Drop elements as :func:`torch.nn.functional.dropout` does, by the same draws.

    Parameters
    ----------
    x : Tensor, any shape
        What is thinned out.
    p : float
        Probability of being dropped, 0 <= p <= 1.

    Returns
    -------
    Tensor, of the shape of `x`
        The elements that stay, divided by 1 - p, and zeros.
    """
    scale = torch.empty_like(x).bernoulli_(1 - p)
    return _ScaleFunction.of(x, scale.div_(1 - p) if p < 1 else scale)


def embedding_bag(words: Tensor, lengths: Tensor, W: Tensor, *, average: bool) -> Tensor:
    """Add up or average word vectors; see :func:`rnnreport.layers.embedding_bag_forward`.

    Parameters
    ----------
    words : Tensor, shape (K,), int64 or int32
        Word indices of all sentences, one sentence after the other.
    lengths : Tensor, shape (N,), int64 or int32
        How many words each sentence has.
    W : Tensor, shape (V, D)
        One vector a word.
    average : bool
        Whether to divide each sum by the number of words.

    Returns
    -------
    Tensor, shape (N, D)
        The sums or averages.
    """
    return _EmbeddingBagFunction.of(words, lengths, W, average)


def max_pool(x: Tensor, lengths: Tensor) -> Tensor:
    """Take maxima over a sequence's steps; see :func:`rnnreport.layers.max_pool_forward`.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Features.
    lengths : Tensor, shape (N,), int64 or int32
        How many steps each sequence has, 1 to T.

    Returns
    -------
    Tensor, shape (N, D)
        The maxima; what stands behind a sequence's end changes nothing.
    """
    return _MaxPoolFunction.of(x, lengths)


def sigmoid_loss(s: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of binary labels; see :func:`rnnreport.layers.sigmoid_loss`.

    Parameters
    ----------
    s : Tensor, shape (N,)
        Scores.
    y : Tensor, shape (N,), of the dtype of `s`
        Labels, 0 or 1. They get no gradient.

    Returns
    -------
    Tensor, shape ()
        The mean loss.
    """
    return _LossFunction.of(layers.sigmoid_loss, s, y)


def softmax_loss(s: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of classes; see :func:`rnnreport.layers.temporal_softmax_loss`.

    Parameters
    ----------
    s : Tensor, shape (N, V)
        Logits.
    y : Tensor, shape (N,), int64 or int32
        Indices of the right classes.

    Returns
    -------
    Tensor, shape ()
        The mean loss.
    """
    everything = torch.ones_like(y, dtype=torch.bool)
    return _LossFunction.of(layers.temporal_softmax_loss, s[None], y[None], everything[None])


def content_loss(F: Tensor, P: Tensor, weight: float) -> Tensor:
    """Compare two maps place by place; see :func:`rnnreport.layers.content_loss`.

    Parameters
    ----------
    F : Tensor, shape (C, H, W) or (C, M)
        The map of an image.
    P : Tensor, of the shape of `F`
        The map that it is to have. It gets no gradient.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    Tensor, shape ()
        The loss.
    """
    return _LossFunction.of(layers.content_loss, F, P, weight)


def style_loss(F: Tensor, A: Tensor, weight: float) -> Tensor:
    """Compare the Gram matrix of a map with another; see :func:`rnnreport.layers.style_loss`.

    Parameters
    ----------
    F : Tensor, shape (C, H, W) or (C, M)
        The map of an image.
    A : Tensor, shape (C, C)
        The Gram matrix that it is to have. It gets no gradient.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    Tensor, shape ()
        The loss.
    """
    return _LossFunction.of(layers.style_loss, F, A, weight)


def total_variation_loss(x: Tensor, weight: float) -> Tensor:
    """Sum squared differences of neighbours; see :func:`rnnreport.layers.total_variation_loss`.

    Parameters
    ----------
    x : Tensor, shape (C, H, W)
        An image.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    Tensor, shape ()
        The loss.
    """
    return _LossFunction.of(layers.total_variation_loss, x, weight)
